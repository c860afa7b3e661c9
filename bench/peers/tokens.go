package main

import (
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation"
)

// tokens are the same for all that are compared, each made from its number.
// Those from 0 to before so many get revoked, those after them do not.
type tokens struct {
	key events.FeedKey // what the identifiers are hashed under
	now time.Time      // of every check
}

func newTokens() *tokens {
	return &tokens{key: events.FeedKey{Tenant: "acme", Generation: 1, Key: [16]byte{1, 2, 3}}, now: time.Now().Truncate(time.Second)}
}

// id is the jti of token i: a UUIDv7 as text.
func id(i int) string { return fmt.Sprintf("018f3c1a-7a50-7cc0-a000-%012d", i) }

// claims are those of token i, which names everything that it can be revoked
// by.
func (t *tokens) claims(i int) revocation.Claims {
	id := id(i)
	return revocation.Claims{
		Tenant: t.key.Tenant, Issuer: workload.Issuer, TokenID: id, SessionID: "s-" + id, Subject: "u-" + id, ClientID: "web", KeyID: "k-1", GrantID: "g-" + id,
		IssuedAt: events.TimestampOf(t.now.Add(-time.Hour)),
	}
}

// until is when the revocation of token i may be forgotten: one to two days
// ahead, no second being that of many.
func (t *tokens) until(i int) time.Time {
	return t.now.Add(24*time.Hour + time.Duration(uint64(i)*stride%86400)*time.Second)
}

// entries are the revocations of tokens from first to before last, as a feed
// brings them: 2,500 a second, each fourth place in the log.
func (t *tokens) entries(first, last int) []revocation.Entry {
	out := make([]revocation.Entry, 0, last-first)
	for i := first; i < last; i++ {
		out = append(out, revocation.Entry{
			Hash: t.hash(i), Index: uint64(i) * 4, Scope: events.ScopeToken, Expires: events.TimestampOf(t.until(i)),
			At: events.TimestampOf(t.now.Add(-24*time.Hour + time.Duration(i/2500)*time.Second)), Reason: string(events.Logout),
			Key: revocation.KeyID{Tenant: t.key.Tenant, Generation: t.key.Generation},
		})
	}
	return out
}

func (t *tokens) hash(i int) events.Ref { return t.key.Hash(events.ScopeToken, workload.Issuer, id(i)) }

// probe is one token with what each of those that are compared asks by, made
// before the clock starts.
type probe struct {
	claims revocation.Claims
	hash   events.Ref // what Rescind's set holds
	name   string     // what the others hold
}

// probes are n tokens, spread over those from first to before last.
func (t *tokens) probes(first, last, n int) []probe {
	out := make([]probe, n)
	for k := range out {
		i := first + int(uint64(k)*stride%uint64(last-first))
		out[k] = probe{claims: t.claims(i), hash: t.hash(i), name: nameOf(i)}
	}
	return out
}

// stride is a prime larger than any number of tokens, so that probes differ
// and one is nowhere near the next.
const stride = 15_485_863

// nameOf is under what name token i is revoked where identifiers are kept as
// they are.
func nameOf(i int) string { return "jti:" + id(i) }

// names is under which names a token could be revoked, one for each scope, in
// two halves.
func names(c *revocation.Claims) [8][2]string {
	return [8][2]string{
		{"jti:", c.TokenID}, {"sid:", c.SessionID}, {"grant:", c.GrantID}, {"sub:", c.Subject},
		{"client:", c.ClientID}, {"kid:", c.KeyID}, {"iss:", c.Issuer}, {"tenant:", c.Tenant},
	}
}
