package store

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
)

// TestRefusedAreTheRevokedOfTheHits: what the query counts is what deciding about
// every live token counts, for every scope, with lifts, starts, cut-offs,
// suspensions that are over, and people who were forgotten.
func TestRefusedAreTheRevokedOfTheHits(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(4, 2))
	some, others := 0, 0
	for range 6 {
		conn := tables(t)
		rows := someTokens(rng, 120)
		insert(t, conn, rows)
		s := New(conn)
		for _, scope := range []events.Scope{events.ScopeSession, events.ScopeSubject, events.ScopeClient, events.ScopeKey, events.ScopeIssuer, events.ScopeTenant} {
			now := day.Add(time.Duration(rng.IntN(200)) * time.Second)
			like := someRecord(rng, now)
			q := query.HitSearch{Tenant: like.Tenant, Scope: scope, Issuer: like.Issuer, Client: "c1", KeyID: "k1", Now: now, MaxLifetime: 10 * time.Minute,
				Ref: map[events.Scope]events.Ref{events.ScopeSession: like.SessionRef, events.ScopeSubject: like.SubjectRef}[scope]}
			end := uint64(len(rows) - rng.IntN(20))
			got, err := s.Refused(t.Context(), q, end)
			if err != nil {
				t.Fatal(err)
			}
			want, hit := revoked(rows[:end], q)
			if got != want {
				t.Fatalf("%+v below %d: %d, want %d of %d", q, end, got, want, hit)
			}
			if want > 0 {
				some++
			}
			if want < hit {
				others++
			}
		}
	}
	if some < 10 || others < 10 {
		t.Errorf("%d searches find some that are refused, %d some that are not", some, others)
	}
}

// someTokens is issued tokens with some revocations and lifts among them.
func someTokens(rng *rand.Rand, n int) []eventrow.Row {
	rows := make([]eventrow.Row, n)
	for i := range rows {
		at := day.Add(time.Duration(i) * time.Second)
		rows[i] = eventrow.Row{Index: uint64(i), Record: someRecord(rng, at)}
		r := &rows[i].Record
		r.Type, r.TokenRef = events.TokenIssued, events.Ref{2, byte(rng.IntN(60))}
		switch rng.IntN(12) {
		case 0:
			revoke(rng, r, at)
			r.Revocation.Hash = events.Ref{9, byte(i)}
			if s := r.Revocation.Scope; s != events.ScopeTenant && s != events.ScopeIssuer || rng.IntN(3) == 0 {
				continue
			}
			r.Revocation.Expires = events.TimestampOf(at.Add(-time.Second)) // the widest, seldom
		case 1:
			of := &rows[rng.IntN(i+1)]
			if v := of.Record.Revocation; v != nil && v.LiftsIndex == 0 && of.Index != uint64(i) {
				r.Type = events.RevocationLifted
				r.Tenant, r.Revocation = of.Record.Tenant, &events.Revocation{Scope: v.Scope, Hash: v.Hash, Lifts: of.Record.Ref(), LiftsIndex: of.Index, Expires: v.Expires}
				if rng.IntN(4) == 0 {
					r.Revocation.Hash = events.Ref{8} // lifts nothing
				}
			}
		}
	}
	return rows
}

// revoked is how many live tokens of q are refused by a revocation among rows,
// and how many there are.
func revoked(rows []eventrow.Row, q query.HitSearch) (refused, hit uint64) {
	live, gone := map[events.Ref]bool{}, map[events.Ref]bool{}
	like := &events.Record{Tenant: q.Tenant, Issuer: q.Issuer, Client: q.Client, KeyID: q.KeyID, SubjectRef: q.Ref, SessionRef: q.Ref, Revocation: &events.Revocation{Scope: q.Scope}}
	for i := range rows {
		r := &rows[i].Record
		if r.Type != events.TokenIssued || !reaches(like, r, nil) || !lives(r, q) {
			continue
		}
		live[r.TokenRef] = true
		for j := range rows {
			if refuses(rows, j, r, q.Now) {
				gone[r.TokenRef] = true
			}
		}
	}
	return uint64(len(gone)), uint64(len(live))
}

// refuses reports whether the jth row is a revocation that has r's token refused
// at now.
func refuses(rows []eventrow.Row, j int, r *events.Record, now time.Time) bool {
	by := &rows[j].Record
	v := by.Revocation
	if v == nil || by.Type == events.RevocationLifted {
		return false
	}
	for i := range rows {
		if l := rows[i].Record.Revocation; rows[i].Record.Type == events.RevocationLifted && rows[i].Record.Tenant == by.Tenant && l.LiftsIndex == rows[j].Index && l.Hash == v.Hash {
			return false
		}
	}
	at, starts, expires := now.Unix(), int64(v.Starts/1000), int64((v.Expires+999)/1000)
	var tokens map[events.Ref]bool
	if by.Source == erasure.Source {
		tokens = tokensNamed(rows, by, events.TokenIssued, events.TokenRefreshed)
	}
	return reaches(by, r, tokens) && starts <= at && at < expires && (v.IssuedBefore == 0 || int64(r.IssuedAt/1000) <= int64(v.IssuedBefore/1000))
}
