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
checked: that is a verifier's work. Exit code 3 means revoked or unknown.

With --as-of it is what was so then, whatever came later.`,
		Example: `  rescind check --tenant acme --iss https://id.example --jti t-1
  rescind check --tenant acme --token-file token.txt
  rescind check --tenant acme --iss https://id.example --jti t-1 --as-of 2026-11-20T12:00:00Z`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := checkBody(cmd, tenant, file, issuedAt, claims)
			if err == nil {
				err = addAsOf(in, asOf)
			}
			if err != nil {
				return err
			}
			return check(cmd, env, in, file == "" && *claims["sub"] == "")
		},
	}
	addClientFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&tenant, "tenant", "", "tenant")
	_ = cmd.MarkFlagRequired("tenant")
	f.StringVar(&file, "token-file", "", "file with the token, - for standard input")
	f.StringVar(&issuedAt, "iat", "", "when it was issued, RFC 3339")
	f.StringVar(&asOf, "as-of", "", "decide as of then: a time, RFC 3339, or a position in the log")
	for _, name := range []string{"iss", "jti", "sid", "sub", "client_id", "grant_id"} {
		claims[name] = f.String(strings.ReplaceAll(name, "_", "-"), "", "claim "+name)
	}
	claims["kid"] = f.String("kid", "", "signing key: kid in the token's header")
	return cmd
}

func checkBody(cmd *cobra.Command, tenant, file, issuedAt string, flags map[string]*string) (map[string]any, error) {
	in := map[string]any{"tenant": tenant}
	claims := map[string]any{}
	for name, v := range filled(flags) {
		claims[name] = v
	}
	if issuedAt != "" {
		at, err := time.Parse(time.RFC3339, issuedAt)
		if err != nil {
			return nil, usage("--iat %q is not RFC 3339, for example 2026-11-21T12:00:00Z", issuedAt)
		}
		claims["iat"] = at.Unix()
	}
	switch {
	case file != "" && len(claims) > 0:
		return nil, usage("check: give --token-file or claims, not both")
	case file != "":
		return in, addToken(cmd, in, file)
	case claims["iss"] == nil:
		return nil, usage("check: give --token-file, or claims, --iss among them")
	}
	in["claims"] = claims
	return in, nil
}

// addToken adds the token in a file.
func addToken(cmd *cobra.Command, in map[string]any, file string) error {
	b, err := readInput(cmd, file)
	if err != nil {
		return usage("check: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return usage("check: --token-file %s: there is no token in it", file)
	}
	in["token"] = token
	return nil
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
		return usage("--as-of %q is neither RFC 3339, for example 2026-11-21T12:00:00Z, nor a position in the log", asOf)
	}
	in["as_of"] = at
	return nil
}

func check(cmd *cobra.Command, env environment, in map[string]any, nameless bool) error {
	c, err := newClient(cmd, env, "verifier")
	if err != nil {
		return err
	}
	var out client.Checked
	err = ask(cmd, c, "POST", "/v1/check", in, &out, func(w io.Writer) {
		fmt.Fprintln(w, decided(&out))
		if nameless && out.Decision == "active" {
			fmt.Fprintln(w, "by what was given: a revocation of its subject, as an erasure makes, is seen only with --sub or --token-file")
		}
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

// decided is a decision in one line.
func decided(d *client.Checked) string {
	line := d.Decision
	if d.Cause != "" {
		line += ": " + d.Cause
	}
	if d.Scope != "" {
		line += " by its " + d.Scope + ": " + d.Reason
	}
	if d.At != "" {
		line += ", since " + d.At
	}
	return visible(line)
}
