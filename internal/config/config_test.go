package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func valid() Config {
	c := Default()
	c.Environment = "prod"
	c.NATS.URL = "tls://nats:4222"
	c.ClickHouse.Addr, c.ClickHouse.Secure = "ch:9440", true
	c.HTTP.Cert, c.HTTP.Key = "cert.pem", "key.pem"
	c.Auth = Auth{Issuer: "https://id.example", Audience: "rescind", JWKS: "jwks.json"}
	c.Keys.Root, c.Keys.Feed = "dir:/run/root", "env:FEED"
	return c
}

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	c := valid()
	if err := c.Validate(); err != nil {
		t.Fatalf("the valid configuration: %v", err)
	}
	tests := []struct {
		name  string
		fault func(*Config)
		want  string
	}{
		{"profile", func(c *Config) { c.Profile = "prod" }, "profile"},
		{"environment", func(c *Config) { c.Environment = "" }, "environment"},
		{"role", func(c *Config) { c.Roles = []string{"web"} }, "roles"},
		{"plaintext NATS", func(c *Config) { c.NATS.URL = "tls://a:1,nats://b:2" }, "nats.url"},
		{"plaintext ClickHouse", func(c *Config) { c.ClickHouse.Secure = false }, "clickhouse.secure"},
		{"plaintext HTTP", func(c *Config) { c.HTTP.Cert = "" }, "http.cert"},
		{"watched in clear", func(c *Config) {
			c.Roles, c.HTTP = []string{RoleIntake}, HTTP{OperationAddr: "0.0.0.0:8081"}
		}, "http.operation_addr"},
		{"watched nowhere", func(c *Config) { c.Roles, c.HTTP.OperationAddr = []string{RoleIntake}, "8081" }, "http.operation_addr"},
		{"replicas", func(c *Config) { c.NATS.Replicas = 2 }, "nats.replicas"},
		{"no shards", func(c *Config) { c.Shards = 0 }, "shards"},
		{"too many shards", func(c *Config) { c.Shards = 65 }, "shards"},
		{"a shard beyond them", func(c *Config) { c.Shards, c.Shard = 3, 3 }, "shard: 3"},
		{"secret in the file", func(c *Config) { c.Keys.Root = "c2VjcmV0" }, "keys.root"},
		{"no root", func(c *Config) { c.Keys.Root = "" }, "keys.root"},
		{"a root without a folder", func(c *Config) { c.Keys.Root = "dir:" }, "keys.root"},
		{"a root that cannot destroy", func(c *Config) { c.Keys.Root = "file:/run/kek" }, "can never be destroyed"},
		{"a vault without a token", func(c *Config) { c.Keys.Root = "vault:https://vault/transit" }, "keys.root_token"},
		{"no region of aws", func(c *Config) { c.Keys.Root = "aws:alias/rescind" }, "aws:REGION"},
		{"a version of a crypto key", func(c *Config) {
			c.Keys.Root = "gcp:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
		}, "gcp:projects/"},
		{"a vault without TLS", func(c *Config) { c.Keys.Root, c.Keys.RootToken = "vault:http://vault/transit", "env:T" }, "vault:https://"},
		{"a token in the file", func(c *Config) { c.Keys.RootToken = "s.secret" }, "keys.root_token"},
		{"another that cannot", func(c *Config) { c.Keys.Root = "env:KEK" }, "can never be destroyed"},
		{"short epochs", func(c *Config) { c.Keys.Epoch = time.Minute }, "keys.epoch"},
		{"long epochs", func(c *Config) { c.Keys.Epoch = 91 * 24 * time.Hour }, "keys.epoch"},
		{"keys kept for long", func(c *Config) { c.Keys.Keep = 31 * 24 * time.Hour }, "keys.keep"},
		{"feed keys that turn before they are known", func(c *Config) { c.Keys.FeedPeriod = 7 * 24 * time.Hour }, "keys.feed_period"},
		{"feed keys for ever", func(c *Config) { c.Keys.FeedPeriod = 367 * 24 * time.Hour }, "keys.feed_period"},
		{"no secret", func(c *Config) { c.Keys.Feed = "" }, "keys.feed"},
		{"lifetime", func(c *Config) { c.Limits.TokenLifetime = 0 }, "limits.token_lifetime"},
		{"stale", func(c *Config) { c.Limits.Stale = time.Second }, "limits.stale"},
		{"auth", func(c *Config) { c.Auth.Issuer = "" }, "auth.issuer"},
	}
	all := valid()
	for _, tt := range tests {
		one := valid()
		tt.fault(&one)
		if tt.name != "profile" && tt.name != "role" && !strings.HasPrefix(tt.name, "watched") { // the others are judged by these
			tt.fault(&all)
		}
		if err := one.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want a fault naming %s", tt.name, err, tt.want)
		}
	}
	err := all.Validate()
	if err == nil || strings.Count(err.Error(), "\n") < 7 {
		t.Errorf("all at once: got %v", err)
	}
	if strings.Contains(err.Error(), "c2VjcmV0") {
		t.Error("a fault repeats a secret")
	}
}

func TestLoadOrder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.yaml")
	yaml := "environment: from-file\nlog: debug\nnats: {url: 'nats://file:1', replicas: 3}\nlimits: {skew: 30s}\n"
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse([]string{"--nats-url", "nats://flag:1", "--roles", "intake,audit"}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Source{File: path, Flags: fs, Environ: []string{
		"RESCIND_ENVIRONMENT=from-env", "RESCIND_NATS_URL=nats://env:1", "RESCIND_NATS_INTAKE_MAX_BYTES=1048577",
		"RESCIND_TOKEN=x", "HOME=/root",
	}, Ignore: []string{"RESCIND_TOKEN"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.NATS.URL != "nats://flag:1" || c.Environment != "from-env" || c.Log != "debug" || c.NATS.Replicas != 3 {
		t.Errorf("flags, then environment, then file: got %+v", c)
	}
	if len(c.Roles) != 2 || c.NATS.IntakeMaxBytes != 1048577 || c.Limits.Skew != 30*time.Second || c.Limits.Stale != 5*time.Second {
		t.Errorf("types and defaults: got %+v", c)
	}
}

func TestMisspeltSettingsAreErrors(t *testing.T) {
	t.Parallel()
	if _, err := Load(Source{Environ: []string{"RESCIND_NATS_ULR=x"}}); err == nil || !strings.Contains(err.Error(), "RESCIND_NATS_ULR") {
		t.Errorf("environment: got %v", err)
	}
	for _, yaml := range []string{"nats: {ulr: x}", "limits: {skew: 30}", "nats: [1]"} {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(Source{File: path}); err == nil {
			t.Errorf("%s: accepted", yaml)
		}
	}
}

// TestServiceLinksAreNoSettings: Kubernetes puts what it knows of a Service into
// the environment of every pod beside it, under names that begin with the Service's.
func TestServiceLinksAreNoSettings(t *testing.T) {
	t.Parallel()
	links := []string{
		"RESCIND_SERVICE_HOST=10.0.0.1", "RESCIND_SERVICE_PORT=8080", "RESCIND_SERVICE_PORT_HTTP=8080", "RESCIND_PORT=tcp://10.0.0.1:8080",
		"RESCIND_PORT_8080_TCP=tcp://10.0.0.1:8080", "RESCIND_PORT_8080_TCP_PROTO=tcp", "RESCIND_PORT_8080_TCP_PORT=8080", "RESCIND_PORT_8080_TCP_ADDR=10.0.0.1",
		"RESCIND_NATS_SERVICE_HOST=10.0.0.2", "RESCIND_NATS_SERVICE_PORT_CLIENT=4222", "RESCIND_NATS_PORT=tcp://10.0.0.2:4222", "RESCIND_NATS_PORT_4222_UDP_ADDR=10.0.0.2",
		"RESCIND_NATS_PORT_4222_SCTP=sctp://[fd00::2]:4222", "RESCIND_CLICKHOUSE_PORT=tcp://[fd00::1]:9000",
	}
	c, err := Load(Source{Environ: append(links, "RESCIND_NATS_URL=nats://x")})
	if err != nil || c.NATS.URL != "nats://x" {
		t.Errorf("%q, %v", c.NATS.URL, err)
	}
	for _, misspelt := range []string{"RESCIND_HTTP_PORT=8080", "RESCIND_NATS_PORT=", "RESCIND_SERVICE_HOSTS=x", "RESCIND_PORT_8080=x", "RESCIND_PORT_X_TCP=y", "RESCIND_PORTS=tcp://x"} {
		if _, err := Load(Source{Environ: []string{misspelt}}); err == nil {
			t.Errorf("%s: accepted", misspelt)
		}
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string { return map[string]string{"S": "loud"}[name] }
	for ref, want := range map[Secret]string{Secret("file:" + path): "hush", "env:S": "loud", "": ""} {
		if got, err := ref.Resolve(getenv); err != nil || got != want {
			t.Errorf("%s: got %q, %v", ref, got, err)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []Secret{Secret("file:" + path), "env:NONE", "plain", "file:/does/not/exist"} {
		if got, err := ref.Resolve(getenv); err == nil {
			t.Errorf("%s: got %q", ref, got)
		}
	}
}

func TestOwnShards(t *testing.T) {
	t.Parallel()
	c := valid()
	if got := c.OwnShards(); len(got) != 1 || got[0] != 0 {
		t.Errorf("by default: %v", got)
	}
	c.Shards = 3
	if got := c.OwnShards(); len(got) != 3 || got[2] != 2 {
		t.Errorf("all of three: %v", got)
	}
	c.Shard = 1
	if got := c.OwnShards(); len(got) != 1 || got[0] != 1 || c.Validate() != nil {
		t.Errorf("one of three: %v, %v", got, c.Validate())
	}
}
