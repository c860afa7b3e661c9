package main

import (
	"errors"
	"io/fs"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
)

// addClientFlags declares how a command finds the API.
func addClientFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.String("url", "", "base URL of the API (RESCIND_URL), with the access token in RESCIND_TOKEN")
	f.String("data", "", "`folder` of a running rescind dev, for its URL and tokens, whatever the variables say (RESCIND_DATA, default .rescind)")
	f.String("as", "", "which token of rescind dev to use: admin, officer, handler, approver, agent, issuer, verifier")
	cmd.PersistentPreRunE = refuseEmpty
}

// addDeploymentFlags declares how a command finds what an API tells everybody.
func addDeploymentFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("url", "", "base URL of the API (RESCIND_URL)")
	f.String("data", "", "`folder` of a running rescind dev, for its URL, whatever the variables say (RESCIND_DATA, default .rescind)")
	cmd.PreRunE = refuseEmpty
}

// refuseEmpty refuses a flag that is given without a value: from a variable that
// is not set --starts "" would revoke at once, --not-after "" for good, and a
// search without its --subject is one for everybody.
func refuseEmpty(cmd *cobra.Command, _ []string) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if v := f.Value.String(); err == nil && (v == "" || v == "[]") && f.Name != "cursor" {
			err = usage("--%s is empty (see %s --help)", f.Name, cmd.CommandPath())
		}
	})
	return err
}

// place is the API that is meant: at url, or that of the rescind dev in the
// folder data.
type place struct {
	url, data string
	named     bool // on the command line, as a folder: what is exported is of others
}

// placeOf is what the command line names, then RESCIND_URL, then RESCIND_DATA.
func placeOf(cmd *cobra.Command, env environment) (place, error) {
	flag := func(name string) string { s, _ := cmd.Flags().GetString(name); return s }
	url, data := flag("url"), flag("data")
	switch {
	case url != "" && data != "":
		return place{}, usage("%s: --url and --data name two deployments: give one of them", cmd.CommandPath())
	case data != "":
		return place{data: data, named: true}, nil
	}
	if url = first(url, env.getenv("RESCIND_URL")); url != "" {
		return place{url: url}, nil
	}
	return place{data: first(env.getenv("RESCIND_DATA"), ".rescind")}, nil
}

// dev is the rescind dev in the folder.
func (p place) dev() (*dev.File, error) {
	d, err := dev.ReadFile(p.data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage("no running Rescind: no dev.json in %s; start `rescind dev --data %s`, or give --url and RESCIND_TOKEN", p.data, p.data)
	}
	return d, err
}

// base is the base URL of the API.
func (p place) base() (string, error) {
	if p.url != "" {
		return p.url, nil
	}
	d, err := p.dev()
	if err != nil {
		return "", err
	}
	return d.HTTP, nil
}

// newClient is a client of the API that is meant, with the token of the role
// where it is that of a rescind dev and RESCIND_TOKEN is none for it.
func newClient(cmd *cobra.Command, env environment, role string) (*client.Client, error) {
	at, err := placeOf(cmd, env)
	if err != nil {
		return nil, err
	}
	as, _ := cmd.Flags().GetString("as")
	token := env.getenv("RESCIND_TOKEN")
	switch {
	case at.named:
		token = ""
	case as != "" && (token != "" || at.url != ""):
		return nil, usage("%s: --as is for the tokens of a rescind dev, which are not used with --url, RESCIND_URL or RESCIND_TOKEN: give --data", cmd.CommandPath())
	case at.url != "" && token == "":
		return nil, usage("%s: --url needs the access token in RESCIND_TOKEN", cmd.CommandPath())
	case at.url != "":
		return client.New(at.url, token), nil
	}
	d, err := at.dev()
	if err != nil {
		return nil, err
	}
	if token = first(token, d.Tokens[first(as, role)]); token == "" {
		return nil, usage("no token named %q in %s/dev.json", first(as, role), at.data)
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
