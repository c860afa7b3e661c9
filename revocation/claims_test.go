package revocation

import (
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
)

// TestMissingClaims: what a token does not say cannot be matched, and no iat is
// before every cut-off.
func TestMissingClaims(t *testing.T) {
	t.Parallel()
	key := feedKey("acme", 1)
	without := func(change func(*Claims)) Claims {
		c := someone
		change(&c)
		return c
	}
	for _, tt := range []struct {
		name   string
		by     events.Scope
		cutoff events.Timestamp
		claims Claims
		want   State
	}{
		{"no jti, by token", events.ScopeToken, 0, without(func(c *Claims) { c.TokenID = "" }), Active},
		{"no jti, by session", events.ScopeSession, 0, without(func(c *Claims) { c.TokenID = "" }), Revoked},
		{"no sid, by session", events.ScopeSession, 0, without(func(c *Claims) { c.SessionID = "" }), Active},
		{"no sid, by token", events.ScopeToken, 0, without(func(c *Claims) { c.SessionID = "" }), Revoked},
		{"no issuer, by token", events.ScopeToken, 0, without(func(c *Claims) { c.Issuer = "" }), Active},
		{"no issuer, by tenant", events.ScopeTenant, 0, without(func(c *Claims) { c.Issuer = "" }), Revoked},
		{"no iat, old cut-off", events.ScopeSubject, second, without(func(c *Claims) { c.IssuedAt = 0 }), Revoked},
		{"iat of 1970, old cut-off", events.ScopeSubject, second, without(func(c *Claims) { c.IssuedAt = 1 }), Revoked},
		{"iat just after an old cut-off", events.ScopeSubject, second, without(func(c *Claims) { c.IssuedAt = 2 * second }), Active},
		{"cut-off within the first second", events.ScopeSubject, 1, without(func(c *Claims) { c.IssuedAt = 2 * second }), Active},
		{"sub-second iat in the second of the cut-off", events.ScopeSubject, ms(0), without(func(c *Claims) { c.IssuedAt = ms(999 * time.Millisecond) }), Revoked},
		{"sub-second cut-off", events.ScopeSubject, ms(999 * time.Millisecond), without(func(c *Claims) { c.IssuedAt = ms(0) }), Revoked},
		{"iat in the next second", events.ScopeSubject, ms(999 * time.Millisecond), without(func(c *Claims) { c.IssuedAt = ms(time.Second) }), Active},
	} {
		if d := setOf(revoke(1, key, tt.by, someone, tt.cutoff)).Decide(&tt.claims, t0); d.State != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, d.State, tt.want)
		}
	}
}

// TestTerm: a revocation has effect from its start until before its end, both
// in whole seconds and to the side of revoking.
func TestTerm(t *testing.T) {
	t.Parallel()
	e := revoke(1, feedKey("acme", 1), events.ScopeToken, someone, 0)
	e.Starts, e.Expires = ms(1500*time.Millisecond), ms(3500*time.Millisecond)
	for after, want := range map[time.Duration]State{
		0: Active, 999 * time.Millisecond: Active, time.Second: Revoked, 2 * time.Second: Revoked,
		3999 * time.Millisecond: Revoked, 4 * time.Second: Active,
	} {
		if d := setOf(e).Decide(&someone, t0.Add(after)); d.State != want {
			t.Errorf("after %s: got %s, want %s", after, d.State, want)
		}
		if d := setOf(e, lift(e)).Decide(&someone, t0.Add(after)); d.State != Active {
			t.Errorf("lifted, after %s: got %s", after, d.State)
		}
	}
}

// TestStartedOneDecidesWhereALaterCutoffHasNotBegun: a schedule hides nothing
// that is in force.
func TestStartedOneDecidesWhereALaterCutoffHasNotBegun(t *testing.T) {
	t.Parallel()
	now := revoke(1, feedKey("acme", 1), events.ScopeSubject, someone, ms(0))
	later := revoke(2, feedKey("acme", 1), events.ScopeSubject, someone, ms(time.Minute))
	later.Starts = ms(time.Minute)
	c := someone
	c.IssuedAt = ms(30 * time.Second)
	s := setOf(now, later)
	if d := s.Decide(&someone, t0); d.State != Revoked || d.Reason != now.Reason {
		t.Errorf("got %+v", d)
	}
	if d := s.Decide(&c, t0.Add(31*time.Second)); d.State != Active {
		t.Errorf("before it starts: got %+v", d)
	}
	if d := s.Decide(&c, t0.Add(time.Minute)); d.State != Revoked || d.Reason != later.Reason {
		t.Errorf("when it starts: got %+v", d)
	}
}

// TestRevocationsOfOneTargetAreApart: lifting one of many leaves the others.
func TestRevocationsOfOneTargetAreApart(t *testing.T) {
	t.Parallel()
	const n = 3 * pageRows // more than a page can be divided into
	s := setOf()
	var all []Entry
	for i := range uint64(n) {
		all = append(all, revoke(i, feedKey("acme", 1), events.ScopeToken, someone, 0))
	}
	s.Apply(all...)
	for i := range all {
		if d := s.Decide(&someone, t0); d.State != Revoked || d.Reason != all[i].Reason {
			t.Fatalf("%d lifted: got %+v", i, d)
		}
		s.Apply(lift(all[i]))
	}
	if d := s.Decide(&someone, t0); d.State != Active || s.Len() != n {
		t.Fatalf("all lifted: got %+v of %d", d, s.Len())
	}
}
