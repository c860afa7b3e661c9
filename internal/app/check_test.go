package app_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/internal/app"
	"github.com/rescindhq/rescind/internal/config"
)

// TestCheckReadsWhatIsNamed: what a configuration names is read before anything
// is started, and connects to nothing: no server is at the addresses.
func TestCheckReadsWhatIsNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := func() config.Config {
		c := s.config(config.AllRoles()...)
		c.NATS.URL, c.ClickHouse.Addr = "nats://127.0.0.1:1", "127.0.0.1:1"
		return c
	}
	check := func(c config.Config) error {
		return app.Check(app.Config{Config: c, Log: slog.New(slog.DiscardHandler)})
	}
	if err := check(good()); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for _, tt := range []struct {
		want  string
		fault func(c *config.Config)
	}{
		{"environment", func(c *config.Config) { c.Environment = "" }},
		{"nats.intake_max_bytes", func(c *config.Config) { c.NATS.IntakeMaxBytes = 1 << 20 }},
		{"auth.jwks", func(c *config.Config) { c.Auth.JWKS = junk }},
		{"auth.jwks", func(c *config.Config) { c.Auth.JWKS = "none" }},
		{"http.cert", func(c *config.Config) { c.HTTP.Cert, c.HTTP.Key = junk, junk }},
		{"keys.feed", func(c *config.Config) { c.Keys.Feed = config.Secret("file:" + junk) }},
		{"keys.root", func(c *config.Config) { c.Keys.Root = "dir:none" }},
		{"keys.root", func(c *config.Config) { c.Keys.Root = config.Root("file:" + junk) }},
		{"keys.root_token", func(c *config.Config) { c.Keys.Root, c.Keys.RootToken = "vault:https://v/transit", "file:none" }},
		{"nats.projector_creds", func(c *config.Config) { c.NATS.ProjectorCreds = "none" }},
		{"nats.api_creds", func(c *config.Config) { c.NATS.APICreds = junk }},
		{"nats.operator_creds", func(c *config.Config) { c.NATS.OperatorCreds = junk }},
		{"nats.ca", func(c *config.Config) { c.NATS.CA = junk }},
		{"clickhouse.ca", func(c *config.Config) { c.ClickHouse.CA = junk }},
		{"clickhouse.api_password", func(c *config.Config) { c.ClickHouse.APIPassword = "file:none" }},
		{"clickhouse.projector_password", func(c *config.Config) { c.ClickHouse.ProjectorPassword = "env:NONE" }},
		{"clickhouse.migrator_password", func(c *config.Config) { c.ClickHouse.MigratorPassword = "file:none" }},
		{"opendsr.cert", func(c *config.Config) { c.OpenDSR.Cert, c.OpenDSR.Key = "none", "none" }},
		{"requests.statement", func(c *config.Config) { c.Requests.Statement = "none" }},
	} {
		c := good()
		tt.fault(&c)
		if err := check(c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want a fault of %s", err, tt.want)
		}
	}
	two := good()
	two.Auth.JWKS, two.HTTP.Cert, two.HTTP.Key = junk, junk, junk
	if err := check(two); err == nil || !strings.Contains(err.Error(), "auth.jwks") || !strings.Contains(err.Error(), "http.cert") {
		t.Errorf("got %v, want both at once", err)
	}
	other := good() // what its roles do not read is not asked for
	other.Roles, other.Auth.JWKS, other.ClickHouse.APIPassword, other.Requests.Statement = []string{config.RoleRevoke}, "", "file:none", "none"
	if err := check(other); err != nil {
		t.Errorf("a process that only revokes: %v", err)
	}
}
