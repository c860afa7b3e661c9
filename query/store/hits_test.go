package store

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/query"
)

// TestHitsAreTheLiveTokens: what the query counts is what looking at every
// event counts, for every scope, with cut-offs and without, and with tokens
// whose expiry nobody told.
func TestHitsAreTheLiveTokens(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	rng := rand.New(rand.NewPCG(1, 9))
	rows := make([]eventrow.Row, 800)
	for i := range rows {
		at := day.Add(time.Duration(i) * time.Second)
		rows[i] = eventrow.Row{Index: uint64(i), Record: someRecord(rng, at)}
		r := &rows[i].Record
		r.TokenRef, r.Type = events.Ref{2, byte(i / 2), byte(i / 512)}, []events.Type{events.TokenIssued, events.TokenRefreshed, events.TokenVerified}[rng.IntN(3)]
		if rng.IntN(3) > 0 {
			r.Expires = events.TimestampOf(at.Add(time.Duration(rng.IntN(900)) * time.Second))
		}
	}
	insert(t, conn, rows)
	for _, scope := range []events.Scope{events.ScopeToken, events.ScopeSession, events.ScopeGrant, events.ScopeSubject, events.ScopeClient, events.ScopeKey, events.ScopeIssuer, events.ScopeTenant} {
		some := 0
		for range 5 {
			now := day.Add(time.Duration(300+rng.IntN(500)) * time.Second)
			like := someRecord(rng, now)
			q := query.HitSearch{Tenant: like.Tenant, Scope: scope, Issuer: like.Issuer, Client: "c1", KeyID: "k1", Cutoff: like.IssuedAt, Now: now, MaxLifetime: 4 * time.Minute,
				Ref: map[events.Scope]events.Ref{events.ScopeToken: {2, byte(rng.IntN(200))}, events.ScopeSession: like.SessionRef, events.ScopeGrant: like.GrantRef, events.ScopeSubject: like.SubjectRef}[scope]}
			got, err := New(conn).Hits(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(live(rows, q), got); d != "" {
				t.Fatalf("%+v: %s", q, d)
			}
			if n, err := New(conn).Reach(t.Context(), q, 7); n != min(got.Reach, 7) || err != nil {
				t.Fatalf("%+v: reach %d %v of %d", q, n, err, got.Reach)
			}
			if got.Tokens > 0 {
				some++
			}
		}
		if some == 0 {
			t.Errorf("%s: hardly any search hits anything", scope)
		}
	}
}

// live is the hits of q by looking at every row.
func live(rows []eventrow.Row, q query.HitSearch) query.Hits {
	tokens, subjects, sessions, clients, anonymous := map[events.Ref]bool{}, map[events.Ref]bool{}, map[events.Ref]bool{}, map[string]bool{}, map[events.Ref]bool{}
	like := &events.Record{Tenant: q.Tenant, Issuer: q.Issuer, Client: q.Client, KeyID: q.KeyID, TokenRef: q.Ref, SessionRef: q.Ref, GrantRef: q.Ref, SubjectRef: q.Ref,
		Revocation: &events.Revocation{Scope: q.Scope}}
	for i := range rows {
		r := &rows[i].Record
		if r.Type == events.TokenVerified || !reaches(like, r, nil) || q.Cutoff != 0 && r.IssuedAt != 0 && r.IssuedAt/1000 > q.Cutoff/1000 || !lives(r, q) {
			continue
		}
		tokens[r.TokenRef] = true
		if !r.SubjectRef.IsZero() {
			subjects[r.SubjectRef] = true
		} else {
			anonymous[r.TokenRef] = true
		}
		if !r.SessionRef.IsZero() {
			sessions[r.SessionRef] = true
		}
		if r.Client != "" {
			clients[r.Issuer+"\x00"+r.Client] = true
		}
	}
	return query.Hits{
		Tokens: uint64(len(tokens)), Subjects: uint64(len(subjects)), Sessions: uint64(len(sessions)), Clients: uint64(len(clients)),
		Reach: uint64(len(subjects) + len(anonymous)), Position: uint64(len(rows)),
	}
}

func lives(r *events.Record, q query.HitSearch) bool {
	if r.Expires != 0 {
		return r.Expires.Time().After(q.Now)
	}
	from := r.IssuedAt
	if from == 0 {
		from = events.Timestamp(r.Time / 1000)
	}
	return from.Time().Add(q.MaxLifetime).After(q.Now)
}

// TestHitsAreBounded: above the bound the figures are lower bounds, and say so.
func TestHitsAreBounded(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	rows := make([]eventrow.Row, 50)
	for i := range rows {
		rows[i] = eventrow.Row{Index: uint64(i), Record: events.Record{Version: 1, Tenant: "acme", Type: events.TokenIssued, TokenRef: events.Ref{2, byte(i)}, Time: day.UnixMicro()}}
	}
	insert(t, conn, rows)
	s := New(conn)
	s.counted = 50
	q := query.HitSearch{Tenant: "acme", Scope: events.ScopeTenant, Now: day, MaxLifetime: time.Hour}
	for n, want := range map[int]query.Hits{
		51: {Tokens: 50, Reach: 50, Position: 50},
		20: {Tokens: 20, Reach: 20, Position: 50, AtLeast: true},
	} {
		s.counted = n
		got, err := s.Hits(t.Context(), q)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Error(n, d, err)
		}
	}
	if _, err := s.Hits(t.Context(), query.HitSearch{Scope: events.ScopeTenant}); err == nil {
		t.Error("a search without a tenant was answered")
	}
}
