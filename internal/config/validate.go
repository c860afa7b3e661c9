package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Validate returns every fault, joined, or nil.
func (c *Config) Validate() error {
	f := &faults{}
	f.oneOf("profile", c.Profile, Dev, Production)
	f.oneOf("log", c.Log, "debug", "info", "warn", "error")
	f.check(len(c.Environment) > 0 && len(c.Environment) <= 40, "environment: want a name of 1 to 40 characters")
	f.check(len(c.Roles) > 0, "roles: want at least one of %s", strings.Join(AllRoles(), ", "))
	for _, r := range c.Roles {
		f.oneOf("roles", r, AllRoles()...)
	}
	f.check(c.Shards >= 1 && c.Shards <= events.MaxShards, "shards: %d, want 1 to %d", c.Shards, events.MaxShards)
	f.check(c.Shard >= -1 && c.Shard < max(c.Shards, 1), "shard: %d, want -1 (all) to %d", c.Shard, max(c.Shards, 1)-1)
	c.validateServers(f)
	c.validateSecrets(f)
	c.validateLimits(f)
	_, err := c.Requests.Rules()
	f.check(err == nil, "requests: %v", err)
	if _, err := c.Callbacks.Prefixes(); err != nil {
		f.check(false, "callbacks.allow: %v", err)
	} else if c.Runs(RoleAPI) {
		_, err := c.Registry()
		f.check(err == nil, "requests.recipients: %v", err)
	}
	c.validateOpenDSR(f)
	if c.Profile == Production {
		c.validateTransport(f)
	}
	return errors.Join(f.all...)
}

func (c *Config) validateServers(f *faults) {
	f.check(c.NATS.URL != "", "nats.url: want nats://host:port or tls://host:port")
	f.check(c.NATS.Replicas == 1 || c.NATS.Replicas == 3 || c.NATS.Replicas == 5, "nats.replicas: %d, want 1, 3 or 5", c.NATS.Replicas)
	f.check(c.NATS.IntakeMaxBytes >= 1<<20, "nats.intake_max_bytes: %d, want at least 1 MiB", c.NATS.IntakeMaxBytes)
	if c.Runs(RoleAudit) || c.Runs(RoleAPI) {
		_, _, err := net.SplitHostPort(c.ClickHouse.Addr)
		f.check(err == nil, "clickhouse.addr: %q, want host:port", c.ClickHouse.Addr)
		f.check(ValidDatabase(c.ClickHouse.Database), "clickhouse.database: %.40q, want a plain identifier", c.ClickHouse.Database)
	}
	if c.Runs(RoleAPI) {
		_, _, err := net.SplitHostPort(c.HTTP.Addr)
		f.check(err == nil, "http.addr: %q, want host:port", c.HTTP.Addr)
		f.check(c.Auth.Issuer != "" && c.Auth.Audience != "" && c.Auth.JWKS != "", "auth.issuer, auth.audience and auth.jwks are all needed by the api")
	}
}

func (c *Config) validateSecrets(f *faults) {
	f.check(c.Keys.Root.valid(), "keys.root: want dir:PATH, vault:https://HOST/MOUNT, aws:REGION, gcp:projects/P/locations/L/keyRings/R/cryptoKeys/K, file:PATH or env:NAME: keys are only referred to here")
	f.check(!c.Keys.Root.Permanent() || c.Profile == Dev,
		"keys.root: a key from a file or variable can never be destroyed, so that old copies of the keyring would open what was erased: profile %s wants dir:PATH, vault:URL, aws:REGION or gcp:CRYPTOKEY", c.Profile)
	vault, isVault := c.Keys.Root.Vault()
	f.check(!isVault || c.Keys.RootToken != "", "keys.root_token: want file:PATH or env:NAME for keys.root in Vault")
	f.check(!isVault || c.Profile == Dev || strings.HasPrefix(vault, "https://"), "keys.root: %q is not vault:https://, which profile %s requires", c.Keys.Root, c.Profile)
	f.check(c.Profile == Dev || c.LedgerDir() != "" || !c.Runs(RoleIntake) && !c.Runs(RoleAPI), "erasure.ledger: want a folder, as keys.root is none to put it into")
	f.check(c.Keys.Feed != "" || !c.Runs(RoleRevoke) && !c.Runs(RoleAPI), "keys.feed: want file:PATH or env:NAME")
	for key, s := range map[string]Secret{
		"keys.feed": c.Keys.Feed, "keys.root_token": c.Keys.RootToken, "clickhouse.migrator_password": c.ClickHouse.MigratorPassword,
		"clickhouse.projector_password": c.ClickHouse.ProjectorPassword, "clickhouse.api_password": c.ClickHouse.APIPassword,
		"clickhouse.rebuilder_password": c.ClickHouse.RebuilderPassword,
	} {
		f.check(s.valid(), "%s holds something else than file:PATH or env:NAME: secrets are only referred to here", key)
	}
}

func (c *Config) validateLimits(f *faults) {
	between := func(key string, d, lo, hi time.Duration) {
		f.check(d >= lo && d <= hi, "%s: %s, want %s to %s", key, d, lo, hi)
	}
	between("keys.epoch", c.Keys.Epoch, time.Hour, 90*24*time.Hour)
	between("keys.keep", c.Keys.Keep, 0, 30*24*time.Hour)
	between("limits.token_lifetime", c.Limits.TokenLifetime, time.Minute, 8784*time.Hour)
	between("limits.skew", c.Limits.Skew, 0, 10*time.Minute)
	between("limits.ahead", c.Limits.Ahead, time.Second, time.Hour)
	between("limits.approval_ttl", c.Limits.ApprovalTTL, time.Minute, 24*time.Hour)
	f.check(c.Limits.Approval >= 0, "limits.approval: %d, want 0 (never) or more", c.Limits.Approval)
	between("requests.link", c.Requests.Link, time.Hour, 30*24*time.Hour)
	between("limits.stale", c.Limits.Stale, 2*time.Second, time.Hour)
}

// validateTransport holds production to TLS on every connection.
func (c *Config) validateTransport(f *faults) {
	for _, u := range strings.Split(c.NATS.URL, ",") {
		f.check(u == "" || strings.HasPrefix(strings.TrimSpace(u), "tls://"), "nats.url: %q is not tls://, which profile production requires", u)
	}
	if c.Runs(RoleAudit) || c.Runs(RoleAPI) {
		f.check(c.ClickHouse.Secure, "clickhouse.secure: false, which profile production refuses")
	}
	if c.Runs(RoleAPI) {
		f.check(c.HTTP.Cert != "" && c.HTTP.Key != "", "http.cert and http.key are needed in profile production")
	}
}

type faults struct{ all []error }

func (f *faults) check(ok bool, format string, args ...any) {
	if !ok {
		f.all = append(f.all, fmt.Errorf(format, args...))
	}
}

func (f *faults) oneOf(key, got string, want ...string) {
	f.check(slices.Contains(want, got), "%s: %q, want %s", key, got, strings.Join(want, ", "))
}

// ValidDatabase reports whether s can be the name of a database: a plain
// identifier, as it stands in statements that take no parameters.
func ValidDatabase(s string) bool {
	for i, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
