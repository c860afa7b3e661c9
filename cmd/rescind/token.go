package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/secrets"
	"github.com/rescindhq/rescind/query"
)

func newToken(env environment) *cobra.Command {
	var role, subject, keys, data string
	var tenants []string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "token", Short: "Mint an access token for the API with a key of this machine",
		Long: `Token signs with the key that ` + "`rescind dev` or `rescind keys init`" + ` made. In
production an identity provider of yours issues these tokens instead.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if keys == "" {
				keys = filepath.Join(first(data, env.getenv("RESCIND_DATA"), ".rescind"), "keys")
			}
			token, err := mint(keys, query.MintConfig{Role: role, Subject: first(subject, role), Tenants: tenants, TTL: ttl})
			if err != nil {
				return err
			}
			return show(cmd, map[string]string{"token": token}, func(w io.Writer) { fmt.Fprintln(w, token) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&role, "role", "", strings.Join(query.RoleNames(), ", "))
	_ = cmd.MarkFlagRequired("role")
	f.StringVar(&subject, "subject", "", "who: the principal in audit records (default the role)")
	f.StringSliceVar(&tenants, "tenants", []string{query.AllTenants}, "tenants that it reaches")
	f.DurationVar(&ttl, "ttl", time.Hour, "how long it is valid")
	f.StringVar(&keys, "keys", "", "folder of keys (default DATA/keys)")
	f.StringVar(&data, "data", "", "folder of rescind dev (RESCIND_DATA, default .rescind)")
	return cmd
}

// mint signs a token with the key in the folder.
func mint(folder string, c query.MintConfig) (string, error) {
	keys, err := secrets.Open(folder)
	if err != nil {
		return "", err
	}
	if c.Key, c.KeyID, err = keys.APIKey(); err != nil {
		return "", err
	}
	c.Issuer, c.Audience = dev.TokenIssuer, dev.TokenAudience
	return query.Mint(c)
}
