package intake

import (
	"time"

	"github.com/rescindhq/rescind/events"
)

// revocation is what c tells verifiers, nil where c neither revokes nor lifts.
func (l *lane) revocation(c *candidate, received time.Time) (*events.Revocation, *events.Refusal) {
	if c.event.Type == events.RevocationLifted {
		return l.lift(c, received)
	}
	if c.event.Type == events.RevocationRestored {
		return l.restored(c, received)
	}
	scope := c.event.Type.RevokedScope()
	if scope == "" {
		return nil, nil
	}
	d := &c.event.Data
	r := &events.Revocation{Scope: scope, IssuedBefore: cutoff(scope, c.event), Starts: d.Starts, NotAfter: d.NotAfter}
	r.Expires = l.lasts(r, d.Expires, latest(c.event.Time, received))
	feed := c.tenant.FeedKeyFor(scope, r.Expires.Time().Sub(received))
	r.Hash, r.FeedKey = feed.Hash(scope, d.Issuer, d.RevokedID(scope)), feed.Generation
	return r, nil
}

// cutoff is the time up to which tokens must have been issued to be revoked,
// for the scopes that have one: what a scheduled revocation says nothing of is
// issued until it starts.
func cutoff(scope events.Scope, ev *events.Event) events.Timestamp {
	switch {
	case !scope.HasCutoff():
		return 0
	case ev.Data.IssuedBefore != 0:
		return ev.Data.IssuedBefore
	default:
		return max(events.TimestampOf(ev.Time), ev.Data.Starts)
	}
}

// lasts is when r has no effect any more: when it is to end, or else when every
// token that it revokes has expired at every verifier.
func (l *lane) lasts(r *events.Revocation, exp events.Timestamp, at time.Time) events.Timestamp {
	needed := l.needed(r, exp, at)
	if r.NotAfter != 0 {
		return min(needed, r.NotAfter)
	}
	return needed
}

// needed is when every token that r revokes has expired at every verifier.
// Tokens that say nothing were issued by the time at, which is when r was
// decided or arrived, or by when it starts, whichever is latest.
func (l *lane) needed(r *events.Revocation, exp events.Timestamp, at time.Time) events.Timestamp {
	lifetime, skew := events.Timestamp(l.cfg.MaxLifetime.Milliseconds()), events.Timestamp(l.cfg.Skew.Milliseconds())
	switch {
	case r.Scope == events.ScopeKey:
		return events.MaxTimestamp
	case r.IssuedBefore != 0:
		return r.IssuedBefore + lifetime + skew
	case r.Scope == events.ScopeToken && exp != 0:
		return exp + skew
	default:
		return max(exp, max(events.TimestampOf(at), r.Starts)+lifetime) + skew
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lift is what a lift tells verifiers: what it lifts, as the attributes name
// it, for as long as what it lifts can last. A key's revocation has no end but one
// that our own services know: by anybody else's word its lift could end before it.
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
	position, err := events.ParsePosition(d.Attributes["position"])
	if err != nil {
		return nil, malformed("data.attributes.position: want a whole number of at most 19 digits")
	}
	scope := events.Scope(d.Attributes["scope"])
	if !scope.RevokedType().Known() {
		return nil, malformed("data.attributes.scope: not a scope")
	}
	r := &events.Revocation{Scope: scope, Hash: hash, Lifts: lifts, LiftsIndex: position, Expires: events.MaxTimestamp}
	if d.Expires != 0 && (scope != events.ScopeKey || events.OwnSource(c.event.Source)) {
		lifetime := events.Timestamp(l.cfg.MaxLifetime.Milliseconds())
		r.Expires = max(d.Expires, events.TimestampOf(latest(c.event.Time, received))+lifetime) + events.Timestamp(l.cfg.Skew.Milliseconds())
	}
	if r.FeedKey, err = events.ParseGeneration(d.Attributes["feed_key"]); err != nil {
		r.FeedKey = c.tenant.FeedKeyFor(scope, r.Expires.Time().Sub(received)).Generation
	}
	return r, nil
}

// restored is the revocation of an erasure that a log lost when it was restored
// from a copy: as the erasure ledger kept it, which knows no subject.
func (l *lane) restored(c *candidate, received time.Time) (*events.Revocation, *events.Refusal) {
	d := &c.event.Data
	hash, err := events.ParseRef(d.Attributes["hash"])
	if err != nil || hash.IsZero() {
		return nil, malformed("data.attributes.hash: want 32 hex digits")
	}
	generation, err := events.ParseGeneration(d.Attributes["feed_key"])
	if err != nil {
		return nil, malformed("data.attributes.feed_key: " + err.Error())
	}
	r := &events.Revocation{Scope: events.ScopeSubject, Hash: hash, FeedKey: generation, IssuedBefore: d.IssuedBefore}
	r.Expires = max(d.Expires, l.needed(r, d.Expires, latest(c.event.Time, received)))
	return r, nil
}

func malformed(detail string) *events.Refusal {
	return &events.Refusal{Reason: events.ReasonSchema, Detail: detail}
}
