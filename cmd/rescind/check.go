package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
)

func newCheck(env environment) *cobra.Command {
	var file, tenant, issuedAt, asOf string
	claims := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Ask whether a token is revoked",
		Long: `Check asks the running Rescind for its decision: active, revoked or unknown. The
token is read from a file or standard input, never from the command line, where
others could see it; or its claims are given as flags. The signature is not
checked: that is a verifier's work. Exit code 3 means revoked or unknown.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := checkBody(cmd, tenant, file, issuedAt, claims)
			if err == nil {
				err = addAsOf(in, asOf)
			}
			if err != nil {
				return err
			}
			return check(cmd, env, in)
		},
	}
	addClientFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&tenant, "tenant", "", "tenant")
	_ = cmd.MarkFlagRequired("tenant")
	f.StringVar(&file, "token-file", "", "file with the token, - for standard input")
	f.StringVar(&issuedAt, "iat", "", "when it was issued, RFC 3339")
	f.StringVar(&asOf, "as-of", "", "decide as of then: a time, RFC 3339, or a position in the log")
	for _, name := range []string{"iss", "jti", "sid", "sub", "client_id", "kid"} {
		claims[name] = f.String(strings.ReplaceAll(name, "_", "-"), "", "claim "+name)
	}
	return cmd
}

func checkBody(cmd *cobra.Command, tenant, file, issuedAt string, flags map[string]*string) (map[string]any, error) {
	in := map[string]any{"tenant": tenant}
	if file != "" {
		b, err := readInput(cmd, file)
		if err != nil {
			return nil, err
		}
		in["token"] = strings.TrimSpace(string(b))
		return in, nil
	}
	claims := map[string]any{}
	for name, v := range flags {
		if *v != "" {
			claims[name] = *v
		}
	}
	if issuedAt != "" {
		at, err := time.Parse(time.RFC3339, issuedAt)
		if err != nil {
			return nil, usage("check: --iat %q is not RFC 3339", issuedAt)
		}
		claims["iat"] = at.Unix()
	}
	if len(claims) == 0 {
		return nil, usage("check: give --token-file or at least one claim")
	}
	in["claims"] = claims
	return in, nil
}

// addAsOf adds the moment of the past that is asked for, if any.
func addAsOf(in map[string]any, asOf string) error {
	if asOf == "" {
		return nil
	}
	if position, err := strconv.ParseUint(asOf, 10, 64); err == nil {
		in["as_of_position"] = position
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, asOf)
	if err != nil {
		return usage("check: --as-of %q is neither RFC 3339 nor a position", asOf)
	}
	in["as_of"] = at
	return nil
}

func check(cmd *cobra.Command, env environment, in map[string]any) error {
	c, err := newClient(cmd, env, "verifier")
	if err != nil {
		return err
	}
	var out client.Checked
	err = ask(cmd, c, "POST", "/v1/check", in, &out, func(w io.Writer) {
		fmt.Fprintln(w, strings.TrimSpace(strings.Join([]string{out.Decision, out.Scope, out.Reason, out.Cause, out.At}, " ")))
		if out.AsOf != "" {
			fmt.Fprintf(w, "as of %s, position %d\n", out.AsOf, out.Position)
			return
		}
		fmt.Fprintf(w, "view: position %d, %d ms old\n", out.Position, out.AgeMS)
	})
	if err == nil && out.Decision != "active" {
		return errNo
	}
	return err
}
