package workload

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

// Revocations are those of tokens of one tenant, each made from its number: of
// a log with 10,000 records a second in which each fourth revokes a token that
// has one to two days to live.
type Revocations struct {
	Key events.FeedKey
	Now time.Time // all of them have effect
}

// NewRevocations are revocations that have effect at now.
func NewRevocations(now time.Time) *Revocations {
	return &Revocations{Key: events.FeedKey{Tenant: "acme", Generation: 1, Key: [16]byte{1, 2, 3}}, Now: now}
}

const (
	revokedEach = 4
	revokedRate = 2500 // a second
)

// Entry is revocation i.
func (r *Revocations) Entry(i int) revocation.Entry {
	at := r.Now.Add(-24*time.Hour + time.Duration(i/revokedRate)*time.Second)
	left := 24*time.Hour + time.Duration(spread(i)%86400)*time.Second
	return revocation.Entry{
		Hash: r.Hash(i), Index: uint64(i) * revokedEach, Scope: events.ScopeToken, Expires: events.TimestampOf(at.Add(left)), At: events.TimestampOf(at),
		Reason: string(events.Logout), Key: revocation.KeyID{Tenant: r.Key.Tenant, Generation: r.Key.Generation},
	}
}

// spread is a number that looks like chance and is the same each time.
func spread(i int) uint64 { return rand.NewPCG(uint64(i), 1).Uint64() }

// Hash is that of token i, revoked or not.
func (r *Revocations) Hash(i int) events.Ref {
	return r.Key.Hash(events.ScopeToken, Issuer, tokenID(i))
}

func tokenID(i int) string { return fmt.Sprintf("018f3c1a-7a50-7cc0-a000-%012d", i) }

// Claims are those of token i, which names everything that a scope is made of.
func (r *Revocations) Claims(i int) revocation.Claims {
	id := tokenID(i)
	return revocation.Claims{
		Tenant: r.Key.Tenant, Issuer: Issuer, TokenID: id, SessionID: "s-" + id, Subject: "u-" + id, ClientID: "web", KeyID: "k-1", GrantID: "g-" + id,
		IssuedAt: events.TimestampOf(r.Now.Add(-time.Hour)),
	}
}

// Entries is revocations from one to before another.
func (r *Revocations) Entries(from, to int) []revocation.Entry {
	out := make([]revocation.Entry, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, r.Entry(i))
	}
	return out
}

// Others is so many revocations of each scope but tokens, of somebody that no
// Claims name. Of one each, a decision looks for one in 64; of a thousand, every
// one has to be looked for.
func (r *Revocations) Others(each int) []revocation.Entry {
	var out []revocation.Entry
	for _, scope := range revocation.Scopes() {
		if scope == events.ScopeToken {
			continue
		}
		for i := range each {
			e := r.Entry(0)
			e.Scope, e.Index = scope, uint64(i)
			e.Hash = r.Key.Hash(events.ScopeToken, "https://elsewhere.example.com", fmt.Sprint(scope, i))
			out = append(out, e)
		}
	}
	return out
}

// Set holds the first n, applied as a feed applies them.
func (r *Revocations) Set(n int) *revocation.Set {
	s := revocation.NewSet(1)
	s.SetKeys([]events.FeedKey{r.Key})
	for from := 0; from < n; from += 1000 {
		s.Apply(r.Entries(from, min(from+1000, n))...)
	}
	return s
}
