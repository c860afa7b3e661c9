package config

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/rescindhq/rescind/query/deadline"
)

// Config is everything that `rescind serve` can be told.
type Config struct {
	// Profile is dev or production. Production refuses plaintext connections
	// and events that name no environment. Default: production, so that
	// leaving it out is the safe choice.
	Profile string `koanf:"profile" desc:"dev or production"`

	// Environment is the name that every event of this deployment carries in
	// rescindenv; events of another are refused (PCI DSS 6.5.3). Required, 1 to
	// 40 bytes.
	Environment string `koanf:"environment" desc:"name of this environment; foreign events are refused" bounds:"1 to 40 bytes"`

	// Roles are the parts that this process runs: intake, audit, revoke, api.
	// Default: all four.
	Roles []string `koanf:"roles" desc:"parts to run: intake, audit, revoke, api"`

	// Shards is how many logs tenants are split over, each with a writer, an
	// index and a tree of its own: more writers than one can keep up with. It
	// is fixed when the streams are made; a start with another number is
	// refused, because tenants would go on in another log than the one that
	// holds their past. 1 to 64. Default 1.
	Shards int `koanf:"shards" desc:"logs that tenants are split over; fixed once the streams are made" bounds:"1 to 64"`

	// Shard is the one that the roles intake and audit of this process are for,
	// so that shards can be written, and fail, apart from each other; 0 to
	// shards - 1. Default -1: all of them. The other roles are for all.
	Shard int `koanf:"shard" desc:"shard of intake and audit in this process, -1 for all" bounds:"-1 to shards - 1"`

	// Log is the level: debug, info, warn or error. Default: info.
	Log string `koanf:"log" desc:"log level: debug, info, warn, error"`

	NATS       NATS       `koanf:"nats"`
	ClickHouse ClickHouse `koanf:"clickhouse"`
	HTTP       HTTP       `koanf:"http"`
	Auth       Auth       `koanf:"auth"`
	Keys       Keys       `koanf:"keys"`
	Limits     Limits     `koanf:"limits"`
	Requests   Requests   `koanf:"requests"`
	Callbacks  Callbacks  `koanf:"callbacks"`
	Erasure    Erasure    `koanf:"erasure"`
	OpenDSR    OpenDSR    `koanf:"opendsr"`
}

// NATS is where the streams are.
type NATS struct {
	// URL of the server, nats:// or tls://. Several are separated by commas.
	// Production wants tls://.
	URL string `koanf:"url" desc:"NATS URL, several separated by commas"`
	// CA is a PEM file with the authorities that may sign the server's
	// certificate. Empty means the system's.
	CA string `koanf:"ca" desc:"PEM file of the server's certificate authority"`
	// OperatorCreds creates and checks streams, at start only.
	OperatorCreds string `koanf:"operator_creds" desc:"credentials file that may create streams"`
	// ProjectorCreds is used by intake, audit and revoke.
	ProjectorCreds string `koanf:"projector_creds" desc:"credentials file of intake, audit and revoke"`
	// APICreds is used by the api role.
	APICreds string `koanf:"api_creds" desc:"credentials file of the api"`
	// AuditorCreds is used by `rescind verify`, which only reads. Empty means
	// APICreds.
	AuditorCreds string `koanf:"auditor_creds" desc:"credentials file of rescind verify, which only reads; nats.api_creds where empty"`
	// Replicas of every stream: 1, 3 or 5. Default 1.
	Replicas int `koanf:"replicas" desc:"replicas of each stream: 1, 3 or 5"`
	// IntakeMaxBytes bounds what waits in the intake; beyond it publishers get
	// an error that they can retry. At least 8 MiB. Default 4 GiB.
	IntakeMaxBytes int64 `koanf:"intake_max_bytes" desc:"bytes that may wait in the intake" bounds:"at least 8388608"`
}

// ClickHouse is where records are kept for officers.
type ClickHouse struct {
	// Addr is host:port of the native protocol.
	Addr string `koanf:"addr" desc:"ClickHouse host:port, native protocol"`
	// Database must exist or be creatable by the migrator. Default rescind.
	Database string `koanf:"database" desc:"database: letters, digits and _, not a digit first, at most 64"`
	// Secure speaks TLS. Production wants true.
	Secure bool `koanf:"secure" desc:"TLS to ClickHouse"`
	// CA is a PEM file, as in NATS.
	CA string `koanf:"ca" desc:"PEM file of ClickHouse's certificate authority"`
	// MigratorUser may change the schema; used at start and by `rescind
	// migrate`. Empty leaves migrations to somebody else.
	MigratorUser     string `koanf:"migrator_user" desc:"user that may change the schema"`
	MigratorPassword Secret `koanf:"migrator_password" desc:"file:PATH or env:NAME"`
	// ProjectorUser may insert and select.
	ProjectorUser     string `koanf:"projector_user" desc:"user of the audit projector"`
	ProjectorPassword Secret `koanf:"projector_password" desc:"file:PATH or env:NAME"`
	// APIUser may select.
	APIUser     string `koanf:"api_user" desc:"user of the api"`
	APIPassword Secret `koanf:"api_password" desc:"file:PATH or env:NAME"`
	// RebuilderUser may create, rename and drop the database and those that
	// `rescind rebuild` puts beside it: the rights of rebuild.Grants. No running
	// service uses it; empty keeps `rescind rebuild` from working.
	RebuilderUser     string `koanf:"rebuilder_user" desc:"user of rescind rebuild, which replaces the database"`
	RebuilderPassword Secret `koanf:"rebuilder_password" desc:"file:PATH or env:NAME"`
}

// HTTP is where the API listens.
type HTTP struct {
	// Addr is host:port. Default 127.0.0.1:8080.
	Addr string `koanf:"addr" desc:"listen address of the API"`
	// Cert and Key are PEM files. Production wants both.
	Cert string `koanf:"cert" desc:"PEM file of the certificate"`
	Key  string `koanf:"key" desc:"PEM file of the certificate's key"`
	// OperationAddr is host:port where a process without the role api answers
	// /healthz, /readyz and /metrics, with Cert and Key where they are set: nobody
	// could tell otherwise how it is. The api has these routes at Addr. Metrics want
	// a token as there where auth.issuer and auth.jwks are set, and are for callers
	// over loopback otherwise. Production wants Cert and Key where this is not a
	// loopback address. Each process on one host needs its own: where the default is
	// taken, nobody can ask. Port 0 is a free one, which is logged. Empty listens
	// nowhere. Default 127.0.0.1:8081.
	OperationAddr string `koanf:"operation_addr" desc:"listen address of /healthz, /readyz and /metrics in a process without the api"`
}

// Auth is who may call the API: bearers of access tokens (RFC 9068) from one
// issuer.
type Auth struct {
	// Issuer is the iss of those tokens. Required for the api role.
	Issuer string `koanf:"issuer" desc:"issuer of the API's access tokens"`
	// Audience is the aud that they must carry. Default rescind.
	Audience string `koanf:"audience" desc:"audience of the API's access tokens"`
	// JWKS is a file with the issuer's public keys. It is read at start.
	JWKS string `koanf:"jwks" desc:"JWKS file with the issuer's public keys"`
}

// Keys are the secrets that protect everything else. Losing what Root refers to
// makes every personal value unreadable for ever.
type Keys struct {
	// Root is where the keys are that wrap the keyring's, one an epoch: dir:PATH
	// is a folder, mode 0700, that every process can write to, on one host or on
	// a volume they share, and that is in no backup together with NATS.
	// vault:https://HOST:PORT/MOUNT is a transit engine of Vault, aws:REGION is
	// AWS KMS, and gcp:projects/P/locations/L/keyRings/R/cryptoKeys/K a crypto key
	// of Google Cloud KMS; both with the credentials of the machine. file:PATH and env:NAME are one key of 32 bytes in base64, which can never be
	// destroyed: a copy of the keyring from before an erasure would open what was
	// erased, for ever (GDPR article 17), so only profile dev takes them.
	Root Root `koanf:"root" desc:"keys that wrap the keyring's: dir:PATH, vault:URL/MOUNT, aws:REGION or gcp:CRYPTOKEY; in dev also file:PATH or env:NAME"`
	// RootToken is the token of Vault, which only Root of kind vault: needs. It is
	// read anew for each request, so that an agent may renew the file.
	RootToken Secret `koanf:"root_token" desc:"token of Vault for keys.root, file:PATH or env:NAME"`
	// Epoch is how long the keyring is wrapped under one key of the root. Then its
	// entries are wrapped anew, and Keep later that key is destroyed: what was
	// erased can be read from an old copy of the keyring no longer than Epoch and
	// Keep together. All processes say the same. 1h to 2160h (90 days). Default
	// 168h: 7 days.
	Epoch time.Duration `koanf:"epoch" desc:"how long the keyring is wrapped under one key of the root" bounds:"1h to 2160h"`
	// Keep is how long that key is kept after its epoch, because a backup of the
	// keyring that is older than the epoch is of no use without it: make backups
	// of NATS more often than this. 0 to 720h. Default 24h.
	Keep time.Duration `koanf:"keep" desc:"how long an epoch's key is kept for restoring a backup made in it" bounds:"0 to 720h"`
	// FeedPeriod is how long new revocations are hashed under one feed key, of a tenant
	// that revokes. A key is destroyed when the last revocation that was made with it has
	// expired: until then whoever has the feed keys and the log can test a guess at who
	// was revoked. 192h, for which a key is known before it is used, to 8784h (366 days).
	// Default 720h: 30 days.
	FeedPeriod time.Duration `koanf:"feed_period" desc:"how long new revocations are hashed under one feed key" bounds:"192h to 8784h"`
	// Feed signs what verifiers receive: an Ed25519 private key, PKCS #8 PEM.
	Feed Secret `koanf:"feed" desc:"feed signing key, file:PATH or env:NAME"`
}

// Limits are the bounds that events are held to.
type Limits struct {
	// TokenLifetime is the longest exp - iat before it is a finding, and how
	// long a cut-off stays in the revocation set. 1m to 8784h. Default 24h.
	TokenLifetime time.Duration `koanf:"token_lifetime" desc:"longest permitted token lifetime" bounds:"1m to 8784h"`
	// Skew is how far the clocks of verifiers may be apart: a revocation stays
	// that much longer than its token. 0 to 10m. Default 1m.
	Skew time.Duration `koanf:"skew" desc:"clock skew between verifiers" bounds:"0 to 10m"`
	// Ahead is how far ahead of our clock an event may be. 1s to 1h. Default 5m.
	Ahead time.Duration `koanf:"ahead" desc:"how far ahead an event's time may be" bounds:"1s to 1h"`
	// Stale is the age of a view from which a verifier calls it stale. 2s to
	// 1h. Default 5s.
	Stale time.Duration `koanf:"stale" desc:"age from which a view is stale" bounds:"2s to 1h"`
	// Approval is how many subjects a revocation of scope client, key, issuer or
	// tenant may hit before a second person has to approve it. 0 asks nobody:
	// for whoever would rather revoke too much than wait. Default 1000.
	Approval int `koanf:"approval" desc:"subjects above which a wide revocation needs a second person, 0 for never" bounds:"at least 0"`
	// ApprovalTTL is how long a proposed revocation waits to be approved, and an
	// approval to be used. 1m to 24h. Default 1h.
	ApprovalTTL time.Duration `koanf:"approval_ttl" desc:"how long a proposal waits, and an approval holds" bounds:"1m to 24h"`
}

// Requests is how the deadlines of data subjects' requests are counted, and what
// they are answered with. What is received is due by the rules of that day: a
// change moves no deadline that was given.
type Requests struct {
	// Zone is the IANA name of the controller's time zone: a day ends there.
	// Default UTC.
	Zone string `koanf:"zone" desc:"time zone of the controller, as Europe/Berlin"`
	// Holidays are the public holidays on which no period of months ends
	// (Regulation 1182/71 article 3(4)), and which are no business days: dates
	// (2026-05-14), days of every year (12-25), or days from Easter Sunday
	// (easter-2, easter+1). At most 366. Default none.
	Holidays []string `koanf:"holidays" desc:"public holidays: 2026-05-14, 12-25, easter+1" bounds:"at most 366"`
	// Start is the day that a month is counted from: receipt (Regulation
	// 1182/71; the ICO since 2019), or day_after (the ICO before). Default
	// receipt, which is never the later.
	Start string `koanf:"start" desc:"day that a month is counted from: receipt or day_after"`
	// Recipients is a YAML file with those to whom personal data is disclosed, who
	// are told when it is erased (GDPR article 19): package recipient says what is
	// in it. It is read at start, by the api. Empty tells nobody, and says of no
	// erasure who was not told. Default empty.
	Recipients string `koanf:"recipients" desc:"YAML file of the recipients who are told of erasures"`
	// Link is how long a data subject can fetch their export under a link that
	// was given out: long enough to read their mail, as whoever finds the link
	// later can fetch it too. 1h to 720h (30 days). Default 168h.
	Link time.Duration `koanf:"link" desc:"how long a link to an export can be used" bounds:"1h to 720h"`
	// Statement is a text file that goes into every export for access: what only
	// the controller can say of purposes, legal bases, transfers, retention and
	// complaints (GDPR article 15(1) and (2)). At most 64 KiB of UTF-8, read at
	// start. Default none.
	Statement string `koanf:"statement" desc:"text file with what the controller says in exports for access, at most 64 KiB"`
}

// Callbacks is whom we post to: URLs that others have named.
type Callbacks struct {
	// Allow is addresses and networks that are called although they are not of the
	// public Internet, as 10.1.0.0/16. At most 100. Default none: a URL that
	// somebody names would reach what only this process can.
	Allow []string `koanf:"allow" desc:"networks that callbacks may reach beside the public Internet, as 10.1.0.0/16" bounds:"at most 100"`
	// CA is a PEM file with the authorities that may sign receivers' certificates.
	// Empty means the system's.
	CA string `koanf:"ca" desc:"PEM file of the authorities of callback receivers"`
}

// Erasure is what an erasure leaves behind.
type Erasure struct {
	// Ledger is the folder of the erasure ledger: what was destroyed, so that a
	// restored backup does not bring it back (GDPR article 17). Every process of the
	// roles intake and api reads and writes it, on one host or on a volume they
	// share. It must be in no backup of NATS; one of its own is good. Default: the folder
	// erasures in that of keys.root, where that is dir:PATH. Required otherwise,
	// but in profile dev, where without it the log alone says what was erased.
	Ledger string `koanf:"ledger" desc:"folder of the erasure ledger, outside of what is backed up with NATS; erasures in that of keys.root where empty, if that is dir:PATH"`
}

// LedgerDir is the folder of the erasure ledger; empty where there is none.
func (c *Config) LedgerDir() string {
	if root, is := c.Keys.Root.Dir(); is && c.Erasure.Ledger == "" {
		return filepath.Join(root, "erasures")
	}
	return c.Erasure.Ledger
}

// Rules are the rules that r describes.
func (r Requests) Rules() (*deadline.Rules, error) {
	return deadline.New(deadline.Config{Zone: r.Zone, Holidays: r.Holidays, Start: r.Start})
}

// Default is the configuration before anybody says anything.
func Default() Config {
	return Config{
		Profile: Production, Log: "info", Roles: AllRoles(), Shards: 1, Shard: -1,
		NATS:       NATS{Replicas: 1, IntakeMaxBytes: 4 << 30},
		ClickHouse: ClickHouse{Database: "rescind"},
		HTTP:       HTTP{Addr: "127.0.0.1:8080", OperationAddr: "127.0.0.1:8081"},
		Keys:       Keys{Epoch: 7 * 24 * time.Hour, Keep: 24 * time.Hour, FeedPeriod: 30 * 24 * time.Hour},
		Auth:       Auth{Audience: "rescind"},
		Limits:     Limits{TokenLifetime: 24 * time.Hour, Skew: time.Minute, Ahead: 5 * time.Minute, Stale: 5 * time.Second, Approval: 1000, ApprovalTTL: time.Hour},
		Requests:   Requests{Zone: "UTC", Start: deadline.Receipt, Link: 7 * 24 * time.Hour},
	}
}

// The profiles.
const (
	Dev        = "dev"
	Production = "production"
)

// The roles.
const (
	RoleIntake = "intake"
	RoleAudit  = "audit"
	RoleRevoke = "revoke"
	RoleAPI    = "api"
)

// AllRoles lists the roles in the order in which they start.
func AllRoles() []string { return []string{RoleIntake, RoleAudit, RoleRevoke, RoleAPI} }

// Runs reports whether this process runs the role.
func (c *Config) Runs(role string) bool { return slices.Contains(c.Roles, role) }

// OwnShards lists the shards that the roles intake and audit of this process are
// for.
func (c *Config) OwnShards() []uint16 {
	if c.Shard >= 0 {
		return []uint16{uint16(c.Shard)}
	}
	all := make([]uint16, c.Shards)
	for k := range all {
		all[k] = uint16(k)
	}
	return all
}
