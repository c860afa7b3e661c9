package guard

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rescindhq/rescind/revocation"
)

// Guard checks tokens.
type Guard struct {
	cfg    Config
	policy Policy // of the route, and stricter than cfg.Policy or the same
	parser *jwt.Parser

	streams    *streams
	skipped    *atomic.Uint64
	unverified *unverified
}

// Token is a token that passed.
type Token struct {
	Claims    Claims
	KeyID     string // of the key that verified it, in the key source
	Algorithm string
	Tenant    string
	Decision  revocation.Decision // active, or unknown under BestEffort

	call Call // that it came with
}

// New is a Guard for the tokens that cfg describes. Close ends it: one that is made
// for a while, as for one of many tenants, stays in the feed until then.
func New(cfg Config) (*Guard, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	cfg = cfg.withDefaults()
	parser := jwt.NewParser(
		// which algorithm is valid is decided in key, for each key
		jwt.WithIssuer(cfg.Issuer), jwt.WithAudience(cfg.Audience...),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(cfg.Leeway), jwt.WithTimeFunc(cfg.Now), jwt.WithStrictDecoding(),
	)
	return &Guard{cfg: cfg, policy: cfg.Policy, parser: parser, streams: newStreams(cfg.Feed), skipped: new(atomic.Uint64), unverified: &unverified{most: cfg.UnverifiedPerSecond}}, nil
}

// Close has the feed not tell g and its routes of changes any more. Streams that are
// open are decided anew within a second from then on.
func (g *Guard) Close() { g.streams.stop() }

// With is g for a route that wants policy p. The stricter of the two counts.
func (g *Guard) With(p Policy) *Guard {
	route := *g
	route.policy = stricter(g.policy, p)
	return &route
}

// Check says whether raw, a JWS in compact form, passes. The error is a
// *Refusal. Nothing is reported.
func (g *Guard) Check(ctx context.Context, raw string) (*Token, error) {
	t, r := g.check(ctx, raw)
	if r != nil {
		return nil, r
	}
	return t, nil
}

// check returns the token beside a refusal where its signature was good: then
// its claims may be reported.
func (g *Guard) check(ctx context.Context, raw string) (*Token, *Refusal) {
	if !compact(raw) {
		return nil, refuse(ReasonMalformed)
	}
	t := new(Token)
	if _, err := g.parser.ParseWithClaims(raw, &t.Claims, func(parsed *jwt.Token) (any, error) { return g.key(ctx, parsed, t) }); err != nil {
		return t.verified(err)
	}
	if r := g.judge(t); r != nil {
		return t, r
	}
	return t, g.decide(t)
}

// verified is t beside the refusal that err amounts to, if the signature was
// good.
func (t *Token) verified(err error) (*Token, *Refusal) {
	r := refusalOf(err)
	switch r.Reason {
	case ReasonIssuer, ReasonAudience, ReasonExpired, ReasonNotYet, ReasonIncomplete:
		return t, r
	default:
		return nil, r
	}
}

// refusalOf classes what the parser found. A token may be wrong in several
// ways; the gravest is named.
func refusalOf(err error) *Refusal {
	var told *Refusal
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, jwt.ErrTokenMalformed):
		return refuse(ReasonMalformed)
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return refuse(ReasonAlgorithm)
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refuse(ReasonSignature)
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return refuse(ReasonIssuer)
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return refuse(ReasonAudience)
	case errors.Is(err, jwt.ErrTokenExpired):
		return refuse(ReasonExpired)
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return refuse(ReasonNotYet)
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refuse(ReasonIncomplete)
	default:
		return refuse(ReasonMalformed)
	}
}

// judge checks what the parser does not.
func (g *Guard) judge(t *Token) *Refusal {
	c := &t.Claims
	switch {
	case c.IssuedAt == 0, !g.cfg.AllowIncomplete && !c.complete():
		return refuse(ReasonIncomplete)
	case int64(c.Expires-c.IssuedAt) > g.cfg.MaxLifetime.Milliseconds():
		return refuse(ReasonLifetime)
	}
	if t.Tenant = g.cfg.TenantOf(c); t.Tenant == "" {
		return refuse(ReasonTenant)
	}
	return nil
}

func (g *Guard) decide(t *Token) *Refusal {
	t.Decision = g.ask(t)
	return g.verdict(t, t.Decision)
}

func (g *Guard) ask(t *Token) revocation.Decision { return g.cfg.Feed.Decide(t.asked()) }

// asked is what a decision needs to know of t.
func (t *Token) asked() revocation.Claims {
	c := &t.Claims
	return revocation.Claims{
		Tenant: t.Tenant, Issuer: c.Issuer, TokenID: c.TokenID, SessionID: c.SessionID, Subject: c.Subject,
		ClientID: c.ClientID, KeyID: t.KeyID, GrantID: c.GrantID, IssuedAt: c.IssuedAt,
	}
}

// verdict is what d means for t: nil where it passes.
func (g *Guard) verdict(t *Token, d revocation.Decision) *Refusal {
	switch {
	case d.State == revocation.Active:
		return nil
	case d.State == revocation.Revoked:
		return &Refusal{Reason: ReasonRevoked, Decision: d}
	case stricter(g.policy, g.cfg.PolicyOf(t.Tenant)) == BestEffort:
		return nil
	}
	return &Refusal{Reason: ReasonUnknown, Decision: d}
}
