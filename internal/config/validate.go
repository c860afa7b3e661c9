package config

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/faults"
)

// Validate returns every fault, joined, or nil.
func (c *Config) Validate() error {
	f := &faults.List{}
	oneOf(f, "profile", c.Profile, Dev, Production)
	oneOf(f, "log", c.Log, "debug", "info", "warn", "error")
	f.Check(len(c.Environment) > 0 && len(c.Environment) <= 40, "environment: want a name of 1 to 40 bytes")
	f.Check(len(c.Roles) > 0, "roles: want at least one of %s", strings.Join(AllRoles(), ", "))
	for _, r := range c.Roles {
		oneOf(f, "roles", r, AllRoles()...)
	}
	f.Check(c.Shards >= 1 && c.Shards <= events.MaxShards, "shards: %d, want 1 to %d", c.Shards, events.MaxShards)
	f.Check(c.Shard >= -1 && c.Shard < max(c.Shards, 1), "shard: %d, want -1 (all) to %d", c.Shard, max(c.Shards, 1)-1)
	c.validateServers(f)
	c.validateOperation(f)
	c.validateSecrets(f)
	c.validateLimits(f)
	_, err := c.Requests.Rules()
	f.Check(err == nil, "requests: %v", err)
	if _, err := c.Callbacks.Prefixes(); err != nil {
		f.Check(false, "callbacks.allow: %v", err)
	} else if c.Runs(RoleAPI) {
		_, err := c.Registry()
		f.Check(err == nil, "requests.recipients: %v", err)
	}
	c.validateOpenDSR(f)
	if c.Profile == Production {
		c.validateTransport(f)
	}
	return f.Err()
}

func (c *Config) validateServers(f *faults.List) {
	f.Check(c.NATS.URL != "", "nats.url: want nats://host:port or tls://host:port")
	f.Check(c.NATS.Replicas == 1 || c.NATS.Replicas == 3 || c.NATS.Replicas == 5, "nats.replicas: %d, want 1, 3 or 5", c.NATS.Replicas)
	f.Check(c.NATS.IntakeMaxBytes >= stream.MinIntakeBytes, "nats.intake_max_bytes: %d, want at least %d", c.NATS.IntakeMaxBytes, stream.MinIntakeBytes)
	if c.Runs(RoleAudit) || c.Runs(RoleAPI) {
		_, _, err := net.SplitHostPort(c.ClickHouse.Addr)
		f.Check(err == nil, "clickhouse.addr: %q, want host:port", c.ClickHouse.Addr)
		f.Check(ValidDatabase(c.ClickHouse.Database), "clickhouse.database: %.40q, want a plain identifier", c.ClickHouse.Database)
	}
	if c.Runs(RoleAPI) {
		_, _, err := net.SplitHostPort(c.HTTP.Addr)
		f.Check(err == nil, "http.addr: %q, want host:port", c.HTTP.Addr)
		f.Check(c.Auth.Issuer != "" && c.Auth.Audience != "" && c.Auth.JWKS != "", "auth.issuer, auth.audience and auth.jwks are all needed by the api")
	}
}

// validateOperation holds where a process without the api is watched.
func (c *Config) validateOperation(f *faults.List) {
	if c.Runs(RoleAPI) || c.HTTP.OperationAddr == "" {
		return
	}
	host, _, err := net.SplitHostPort(c.HTTP.OperationAddr)
	f.Check(err == nil, "http.operation_addr: %q, want host:port, or nothing to listen nowhere", c.HTTP.OperationAddr)
	f.Check(c.Profile == Dev || loopback(host) || c.HTTP.Cert != "" && c.HTTP.Key != "",
		"http.operation_addr: %q is not loopback, where profile %s needs http.cert and http.key", c.HTTP.OperationAddr, c.Profile)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (c *Config) validateSecrets(f *faults.List) {
	f.Check(c.Keys.Root.valid(), "keys.root: want dir:PATH, vault:https://HOST/MOUNT, aws:REGION, gcp:projects/P/locations/L/keyRings/R/cryptoKeys/K, file:PATH or env:NAME: keys are only referred to here")
	f.Check(!c.Keys.Root.Permanent() || c.Profile == Dev,
		"keys.root: a key from a file or variable can never be destroyed, so that old copies of the keyring would open what was erased: profile %s wants dir:PATH, vault:URL, aws:REGION or gcp:CRYPTOKEY", c.Profile)
	vault, isVault := c.Keys.Root.Vault()
	f.Check(!isVault || c.Keys.RootToken != "", "keys.root_token: want file:PATH or env:NAME for keys.root in Vault")
	f.Check(!isVault || c.Profile == Dev || strings.HasPrefix(vault, "https://"), "keys.root: %q is not vault:https://, which profile %s requires", c.Keys.Root, c.Profile)
	f.Check(c.Profile == Dev || c.LedgerDir() != "" || !c.Runs(RoleIntake) && !c.Runs(RoleAPI), "erasure.ledger: want a folder, as keys.root is none to put it into")
	f.Check(c.Keys.Feed != "" || !c.Runs(RoleRevoke) && !c.Runs(RoleAPI), "keys.feed: want file:PATH or env:NAME")
	for key, s := range map[string]Secret{
		"keys.feed": c.Keys.Feed, "keys.root_token": c.Keys.RootToken, "clickhouse.migrator_password": c.ClickHouse.MigratorPassword,
		"clickhouse.projector_password": c.ClickHouse.ProjectorPassword, "clickhouse.api_password": c.ClickHouse.APIPassword,
		"clickhouse.rebuilder_password": c.ClickHouse.RebuilderPassword,
	} {
		f.Check(s.valid(), "%s holds something else than file:PATH or env:NAME: secrets are only referred to here", key)
	}
}

func (c *Config) validateLimits(f *faults.List) {
	between := func(key string, d, lo, hi time.Duration) {
		f.Check(d >= lo && d <= hi, "%s: %s, want %s to %s", key, d, lo, hi)
	}
	between("keys.epoch", c.Keys.Epoch, time.Hour, 90*24*time.Hour)
	between("keys.keep", c.Keys.Keep, 0, 30*24*time.Hour)
	between("keys.feed_period", c.Keys.FeedPeriod, 8*24*time.Hour, 366*24*time.Hour)
	between("limits.token_lifetime", c.Limits.TokenLifetime, time.Minute, 8784*time.Hour)
	between("limits.skew", c.Limits.Skew, 0, 10*time.Minute)
	between("limits.ahead", c.Limits.Ahead, time.Second, time.Hour)
	between("limits.approval_ttl", c.Limits.ApprovalTTL, time.Minute, 24*time.Hour)
	f.Check(c.Limits.Approval >= 0, "limits.approval: %d, want 0 (never) or more", c.Limits.Approval)
	between("requests.link", c.Requests.Link, time.Hour, 30*24*time.Hour)
	between("limits.stale", c.Limits.Stale, 2*time.Second, time.Hour)
}

// validateTransport holds production to TLS on every connection.
func (c *Config) validateTransport(f *faults.List) {
	for _, u := range strings.Split(c.NATS.URL, ",") {
		f.Check(u == "" || strings.HasPrefix(strings.TrimSpace(u), "tls://"), "nats.url: %q is not tls://, which profile production requires", u)
	}
	if c.Runs(RoleAudit) || c.Runs(RoleAPI) {
		f.Check(c.ClickHouse.Secure, "clickhouse.secure: false, which profile production refuses")
	}
	if c.Runs(RoleAPI) {
		f.Check(c.HTTP.Cert != "" && c.HTTP.Key != "", "http.cert and http.key are needed in profile production")
	}
}

func oneOf(f *faults.List, key, got string, want ...string) {
	f.Check(slices.Contains(want, got), "%s: %q, want %s", key, got, strings.Join(want, ", "))
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
