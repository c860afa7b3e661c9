package main

import (
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
)

// addClientFlags declares how a command finds the API.
func addClientFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.String("url", "", "base URL of the API (RESCIND_URL)")
	f.String("data", "", "`folder` of a running rescind dev, for its URL and tokens (RESCIND_DATA, default .rescind)")
	f.String("as", "", "which token of rescind dev to use: admin, officer, handler, approver, agent, issuer, verifier")
}

// newClient finds the API: --url and RESCIND_TOKEN, or the dev.json of a
// running `rescind dev`. role is the token to use from it.
func newClient(cmd *cobra.Command, env environment, role string) (*client.Client, error) {
	flag := func(name string) string { s, _ := cmd.Flags().GetString(name); return s }
	base, token := first(flag("url"), env.getenv("RESCIND_URL")), env.getenv("RESCIND_TOKEN")
	if base != "" {
		if token == "" {
			return nil, usage("%s: --url needs the access token in RESCIND_TOKEN", cmd.CommandPath())
		}
		return client.New(base, token), nil
	}
	dir := first(flag("data"), env.getenv("RESCIND_DATA"), ".rescind")
	d, err := dev.ReadFile(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage("no running Rescind: no dev.json in %s; start `rescind dev --data %s`, or give --url and RESCIND_TOKEN", dir, dir)
	}
	if err != nil {
		return nil, err
	}
	if token = first(token, d.Tokens[first(flag("as"), role)]); token == "" {
		return nil, usage("no token named %q in %s/dev.json", first(flag("as"), role), dir)
	}
	return client.New(d.HTTP, token), nil
}

func first(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
