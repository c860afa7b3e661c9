package intake

import (
	"strconv"
	"time"

	"github.com/rescindhq/rescind/events"
)

// forever is the last moment that a Timestamp can name.
const forever events.Timestamp = 253402300799_000

// revocation is what c tells verifiers, nil where c neither revokes nor lifts.
func (l *lane) revocation(c *candidate, received time.Time) (*events.Revocation, *events.Refusal) {
	if c.event.Type == events.RevocationLifted {
		return l.lift(c, received)
	}
	scope := c.event.Type.RevokedScope()
	if scope == "" {
		return nil, nil
	}
	d, feed := &c.event.Data, c.tenant.FeedKey()
	r := &events.Revocation{
		Scope: scope, Hash: feed.Hash(scope, d.Issuer, d.RevokedID(scope)), FeedKey: feed.Generation,
		IssuedBefore: cutoff(scope, c.event),
	}
	r.Expires = l.lasts(r, d.Expires, latest(c.event.Time, received))
	return r, nil
}

// cutoff is the time up to which tokens must have been issued to be revoked,
// for the scopes that have one.
func cutoff(scope events.Scope, ev *events.Event) events.Timestamp {
	switch scope {
	case events.ScopeSubject, events.ScopeClient, events.ScopeIssuer, events.ScopeTenant:
		if ev.Data.IssuedBefore != 0 {
			return ev.Data.IssuedBefore
		}
		return events.TimestampOf(ev.Time)
	default:
		return 0
	}
}

// lasts is when every token that r revokes has expired at every verifier.
// Tokens that say nothing were issued by the time at, which is when r was
// decided or arrived, whichever is later.
func (l *lane) lasts(r *events.Revocation, exp events.Timestamp, at time.Time) events.Timestamp {
	lifetime, skew := events.Timestamp(l.cfg.MaxLifetime.Milliseconds()), events.Timestamp(l.cfg.Skew.Milliseconds())
	switch {
	case r.Scope == events.ScopeKey:
		return forever
	case r.IssuedBefore != 0:
		return r.IssuedBefore + lifetime + skew
	case r.Scope == events.ScopeToken && exp != 0:
		return exp + skew
	default:
		return max(exp, events.TimestampOf(at)+lifetime) + skew
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lift is what a lift tells verifiers: what it lifts, as the attributes name
// it, for as long as what it lifts can last.
func (l *lane) lift(c *candidate, received time.Time) (*events.Revocation, *events.Refusal) {
	d := &c.event.Data
	hash, err := events.ParseRef(d.Attributes["hash"])
	if err != nil || hash.IsZero() {
		return nil, malformed("data.attributes.hash: want 32 hex digits")
	}
	lifts, err := events.ParseRef(d.Attributes["revocation"])
	if err != nil || lifts.IsZero() {
		return nil, malformed("data.attributes.revocation: want 32 hex digits")
	}
	scope := events.Scope(d.Attributes["scope"])
	if !scope.RevokedType().Known() {
		return nil, malformed("data.attributes.scope: not a scope")
	}
	r := &events.Revocation{Scope: scope, Hash: hash, Lifts: lifts, FeedKey: c.tenant.FeedKey().Generation, Expires: forever}
	if generation, err := strconv.ParseUint(d.Attributes["feed_key"], 10, 32); err == nil && generation > 0 {
		r.FeedKey = uint32(generation)
	}
	if scope != events.ScopeKey && d.Expires != 0 {
		lifetime := events.Timestamp(l.cfg.MaxLifetime.Milliseconds())
		r.Expires = max(d.Expires, events.TimestampOf(latest(c.event.Time, received))+lifetime) + events.Timestamp(l.cfg.Skew.Milliseconds())
	}
	return r, nil
}

func malformed(detail string) *events.Refusal {
	return &events.Refusal{Reason: events.ReasonSchema, Detail: detail}
}
