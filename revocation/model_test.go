package revocation

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ms(d time.Duration) events.Timestamp { return events.TimestampOf(t0.Add(d)) }

func feedKey(tenant string, generation uint32) events.FeedKey {
	k := events.FeedKey{Tenant: tenant, Generation: generation}
	copy(k.Key[:], fmt.Sprintf("%s-%d-key-for-tests", tenant, generation))
	return k
}

func ref(n uint64) events.Ref {
	var r events.Ref
	binary.BigEndian.PutUint64(r[:], n)
	return r
}

// revoke is a revocation under key of what claims name at scope.
func revoke(n uint64, key events.FeedKey, scope events.Scope, c Claims, cutoff events.Timestamp) Entry {
	id, _ := c.id(scope)
	return Entry{Hash: key.Hash(scope, c.Issuer, id), Index: n, Scope: scope, IssuedBefore: cutoff, Expires: ms(time.Hour),
		At: ms(time.Duration(n) * time.Second), Reason: fmt.Sprintf("reason-%d", n), Key: KeyID{Tenant: key.Tenant, Generation: key.Generation}}
}

func lift(e Entry) Entry {
	return Entry{Hash: e.Hash, Index: e.Index, Lift: true, Expires: e.Expires, Key: e.Key}
}

var someone = Claims{Tenant: "acme", Issuer: "https://issuer.example", TokenID: "token-1", SessionID: "session-1", Subject: "subject-1",
	ClientID: "client-1", KeyID: "key-1", GrantID: "grant-1", IssuedAt: ms(-time.Minute)}

func setOf(entries ...Entry) *Set { return setIn(1, entries...) }

func setIn(shards int, entries ...Entry) *Set {
	s := NewSet(shards)
	s.SetKeys([]events.FeedKey{feedKey("acme", 1)})
	s.Apply(entries...)
	return s
}

// model is the set as the design states it, and nothing else: every entry ever
// applied, looked through for each decision.
type model []Entry

func (m model) decide(c Claims, keys []events.FeedKey, now time.Time) Decision {
	var found []Entry
	for _, e := range m.revocations() {
		if m.expires(e) > events.TimestampOf(now) && e.Starts <= events.TimestampOf(now) && !m.lifted(e) && m.matches(e, c, keys) {
			found = append(found, e)
		}
	}
	if len(found) == 0 {
		return m.otherwise(c.Tenant, keys)
	}
	slices.SortFunc(found, func(a, b Entry) int {
		return cmp.Or(-cmp.Compare(all(a.IssuedBefore), all(b.IssuedBefore)), cmp.Compare(slices.Index(Scopes(), a.Scope), slices.Index(Scopes(), b.Scope)),
			cmp.Compare(a.Index, b.Index))
	})
	if best := found[0]; c.IssuedAt/1000 <= all(best.IssuedBefore)/1000 {
		return Decision{State: Revoked, Scope: best.Scope, Reason: best.Reason, At: best.At.Time()}
	}
	return m.otherwise(c.Tenant, keys)
}

// revocations is one entry for each revocation: the widest bounds, the earliest
// time, and of the rest the least.
func (m model) revocations() []Entry {
	var out []Entry
	for _, e := range m {
		at := slices.IndexFunc(out, func(o Entry) bool { return o.Hash == e.Hash && o.Index == e.Index })
		switch {
		case e.Lift:
		case at < 0:
			out = append(out, e)
		default:
			o := &out[at]
			if all(e.IssuedBefore) > all(o.IssuedBefore) {
				o.IssuedBefore = e.IssuedBefore
			}
			o.Starts, o.At = min(o.Starts, e.Starts), min(o.At, e.At)
			if cmp.Or(cmp.Compare(rank(e.Scope), rank(o.Scope)), strings.Compare(e.Reason, o.Reason), e.Key.compare(o.Key)) < 0 {
				o.Scope, o.Reason, o.Key = e.Scope, e.Reason, e.Key
			}
		}
	}
	return out
}

func (m model) expires(of Entry) (t events.Timestamp) {
	for _, e := range m {
		if e.Hash == of.Hash && e.Index == of.Index {
			t = max(t, all(e.Expires))
		}
	}
	return t
}

func (m model) lifted(of Entry) bool {
	return slices.ContainsFunc(m, func(e Entry) bool { return e.Lift && e.Hash == of.Hash && e.Index == of.Index })
}

func (m model) matches(e Entry, c Claims, keys []events.FeedKey) bool {
	for _, k := range keys {
		for _, s := range Scopes() {
			if id, ok := c.id(s); ok && k.Tenant == c.Tenant && k.Hash(s, c.Issuer, id) == e.Hash {
				return true
			}
		}
	}
	return false
}

func (m model) otherwise(tenant string, keys []events.FeedKey) Decision {
	for _, e := range m {
		held := slices.ContainsFunc(keys, func(k events.FeedKey) bool { return k.Tenant == e.Key.Tenant && k.Generation == e.Key.Generation })
		if !e.Lift && !m.lifted(e) && e.Key.Tenant == tenant && !held {
			return Decision{State: Unknown, Cause: CauseCold}
		}
	}
	return Decision{State: Active}
}

func all(t events.Timestamp) events.Timestamp {
	if t == 0 {
		return math.MaxInt64
	}
	return t
}

func drawClaims(t *rapid.T, name string) Claims {
	pick := func(values ...string) string { return rapid.SampledFrom(values).Draw(t, name) }
	iat := rapid.SampledFrom([]events.Timestamp{0, ms(-2 * time.Second), ms(-time.Second), ms(-300 * time.Millisecond), ms(0), ms(400 * time.Millisecond), ms(time.Second)})
	return Claims{Tenant: pick("acme", "other"), Issuer: pick("i", "j", ""), TokenID: pick("1", "2", ""), SessionID: pick("1", "2", ""),
		Subject: pick("1", "2", ""), ClientID: pick("1", "2", ""), KeyID: pick("1", "2", ""), GrantID: pick("1", ""), IssuedAt: iat.Draw(t, name)}
}

// drawEntries is revocations of few tokens, lifts of some, and the same event
// told twice with other details.
func drawEntries(t *rapid.T) []Entry {
	keys := []events.FeedKey{feedKey("acme", 1), feedKey("acme", 2), feedKey("other", 1)}
	var out []Entry
	for i := range rapid.IntRange(0, 12).Draw(t, "entries") {
		key := rapid.SampledFrom(keys).Draw(t, "key")
		c := drawClaims(t, "revoked")
		scope := rapid.SampledFrom(Scopes()).Draw(t, "scope")
		if _, ok := c.id(scope); !ok {
			continue
		}
		e := revoke(uint64(i+1), key, scope, c, rapid.SampledFrom([]events.Timestamp{0, ms(-2 * time.Second), ms(-time.Second), ms(0), ms(time.Second)}).Draw(t, "cutoff"))
		expires := rapid.SampledFrom([]events.Timestamp{0, ms(-time.Second), ms(time.Second), ms(time.Hour)})
		e.Expires = expires.Draw(t, "expires")
		e.Starts = rapid.SampledFrom([]events.Timestamp{0, 0, 0, ms(-time.Second), ms(0), ms(time.Second)}).Draw(t, "starts")
		out = append(out, e)
		if rapid.IntRange(0, 3).Draw(t, "again") == 0 {
			again := e
			again.IssuedBefore, again.At, again.Reason = ms(-time.Second), e.At+rapid.SampledFrom([]events.Timestamp{-second, 0, second}).Draw(t, "at"), "again"
			again.Starts = rapid.SampledFrom([]events.Timestamp{0, ms(0), ms(time.Second)}).Draw(t, "starts")
			again.Expires = expires.Draw(t, "expires")
			out = append(out, again)
		}
		if rapid.IntRange(0, 2).Draw(t, "lift") == 0 {
			l := lift(e)
			l.Expires = expires.Draw(t, "expires")
			out = append(out, l)
		}
	}
	return out
}
