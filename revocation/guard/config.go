package guard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/faults"
	"github.com/rescindhq/rescind/revocation"
)

// Policy says what becomes of a token that the feed cannot vouch for.
type Policy int

// The policies. The zero Policy is the strict one.
const (
	Strict     Policy = iota // it is refused with 503
	BestEffort               // it passes and is reported
)

// String is the name of p as configuration has it.
func (p Policy) String() string {
	if p == BestEffort {
		return "best_effort"
	}
	return "strict"
}

// ParsePolicy reads what String wrote.
func ParsePolicy(s string) (Policy, error) {
	switch s {
	case "strict":
		return Strict, nil
	case "best_effort":
		return BestEffort, nil
	default:
		return Strict, fmt.Errorf("policy %.20q: want strict or best_effort", s)
	}
}

// stricter is the one of two that refuses more.
func stricter(a, b Policy) Policy { return min(a, b) }

// Decider answers whether a token is revoked, from memory: *feed.Feed.
type Decider interface {
	Decide(revocation.Claims) revocation.Decision
}

// Reporter is told what became of each token. Report must not block: [Async]
// does not.
type Reporter interface {
	Report(events.Event)
}

// Config says which tokens pass.
type Config struct {
	// Issuer is what iss must be. Required.
	Issuer string
	// Audience lists what aud must hold one of. Required: RFC 8725 section 3.9.
	Audience []string
	// Keys verify signatures. Required.
	Keys KeySource
	// Feed knows what is revoked. Required.
	Feed Decider
	// Tenant is whose tokens these are. Required, unless TenantOf says.
	Tenant string
	// TenantOf takes the tenant from the claims of a valid token, for an issuer
	// that serves several. "" refuses the token. Nil means Tenant. Where Tenant is
	// empty, a token whose signature was not good is of nobody: the report of it
	// cannot be published, and counts as dropped.
	TenantOf func(*Claims) string

	// Algorithms lists the values of alg that are accepted. Default all of
	// RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA; none other
	// can be added.
	Algorithms []string
	// Types lists the values of typ that are accepted, in any case and without
	// "application/". Default at+jwt. A "" accepts tokens without typ.
	Types []string
	// Leeway is how far the issuer's clock may be from ours when exp, nbf and
	// iat are judged. Default 0, at most 1 min. It must not be more than the
	// skew that the intake keeps revocations for beyond the expiry of a token.
	Leeway time.Duration
	// MaxLifetime is the longest that a token may be valid, from iat to exp.
	// Default 24 h, up to 400 days. It must not be more than the intake's
	// longest permitted lifetime: cut-offs are kept for no longer.
	MaxLifetime time.Duration
	// AllowIncomplete accepts tokens without jti, sub or client_id, which RFC 9068
	// requires. A token cannot be revoked by what it does not have. iat is required
	// all the same: without it nobody can tell how long a token lives, and one that
	// outlives a cut-off would pass again when that has left.
	AllowIncomplete bool

	// Policy is what the whole application wants. Default Strict.
	Policy Policy
	// PolicyOf is what one tenant wants; the stricter of the two counts. Nil
	// means no more than Policy.
	PolicyOf func(tenant string) Policy

	// StreamGrace is how long a stream goes on after its token was last vouched
	// for, where the policy is Strict. Default 10 s, up to 5 min; 1 ns cuts at
	// the next look, within a second. It adds to the age from which the feed
	// vouches for nothing. A revoked or expired token is given no time.
	StreamGrace time.Duration

	// Report is told of tokens that passed and that were refused. Nil means
	// nobody is.
	Report Reporter
	// VerifiedOneIn has one token in so many told of where it passes, always the
	// same ones. Default 1: all. What was refused or cut, and what passed in
	// doubt, is always told. The events that were sampled say one_in; Skipped
	// counts the others. Whoever asks later which tokens were accepted after
	// they were revoked sees one token in so many.
	VerifiedOneIn int
	// UnverifiedPerSecond bounds how many refusals a second are told of where the
	// signature was not good, or there was no token: anybody can cause them, and
	// events are kept. Default 10, up to 1000, for all routes together. The next
	// that is told says how many were not (untold); Untold counts them.
	UnverifiedPerSecond int
	// ReportClient adds the address and user agent of the caller to reports:
	// personal data that is sealed at the intake. Default false.
	ReportClient bool

	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

// Algorithms lists what can be accepted at all.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

const (
	defaultLifetime = 24 * time.Hour
	longestLifetime = 400 * 24 * time.Hour
	longestLeeway   = time.Minute
	defaultGrace    = 10 * time.Second
	longestGrace    = 5 * time.Minute

	defaultUnverified = 10
	mostUnverified    = 1000
)

func (c Config) withDefaults() Config {
	if len(c.Algorithms) == 0 {
		c.Algorithms = Algorithms()
	}
	if len(c.Types) == 0 {
		c.Types = []string{"at+jwt"}
	}
	c.Types = slices.Clone(c.Types)
	for i, t := range c.Types {
		c.Types[i] = plainType(t)
	}
	if c.MaxLifetime == 0 {
		c.MaxLifetime = defaultLifetime
	}
	if c.StreamGrace == 0 {
		c.StreamGrace = defaultGrace
	}
	if c.VerifiedOneIn == 0 {
		c.VerifiedOneIn = 1
	}
	if c.UnverifiedPerSecond == 0 {
		c.UnverifiedPerSecond = defaultUnverified
	}
	if c.TenantOf == nil {
		tenant := c.Tenant
		c.TenantOf = func(*Claims) string { return tenant }
	}
	if c.PolicyOf == nil {
		c.PolicyOf = func(string) Policy { return BestEffort }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// plainType is a typ as it is compared (RFC 7515 section 4.1.9).
func plainType(t string) string {
	return strings.TrimPrefix(strings.ToLower(t), "application/")
}

// Validate reports all faults of c.
func (c Config) Validate() error {
	var f faults.List
	f.Check(c.Issuer != "", "issuer is missing")
	f.Check(len(c.Audience) > 0 && !slices.Contains(c.Audience, ""), "audience: want at least one, and none empty")
	f.Check(c.Keys != nil, "keys are missing")
	f.Check(c.Feed != nil, "feed is missing")
	f.Check(c.TenantOf != nil || events.ValidTenant(c.Tenant), "tenant: want 1 to %d of a-z A-Z 0-9 _ -", events.MaxTenantBytes)
	for _, a := range c.Algorithms {
		f.Check(slices.Contains(Algorithms(), a), "algorithm %.20q: want some of %v", a, Algorithms())
	}
	f.Check(c.Leeway >= 0 && c.Leeway <= longestLeeway, "leeway %s: want 0 to %s", c.Leeway, longestLeeway)
	f.Check(c.MaxLifetime >= 0 && c.MaxLifetime <= longestLifetime, "max lifetime %s: want up to %s", c.MaxLifetime, longestLifetime)
	f.Check(c.VerifiedOneIn >= 0, "verified one in %d: want at least 1", c.VerifiedOneIn)
	f.Check(c.UnverifiedPerSecond >= 0 && c.UnverifiedPerSecond <= mostUnverified, "unverified per second %d: want 1 to %d", c.UnverifiedPerSecond, mostUnverified)
	f.Check(c.StreamGrace >= 0 && c.StreamGrace <= longestGrace, "stream grace %s: want up to %s", c.StreamGrace, longestGrace)
	f.Check(c.Policy == Strict || c.Policy == BestEffort, "policy %d: want strict or best_effort", c.Policy)
	return f.Err()
}
