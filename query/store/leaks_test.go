package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/leak"
)

const leakBound = 5 * time.Second

// judged is a random history of two tenants: tokens are issued, revoked at
// every scope, accepted, and revocations are lifted. Clocks are up to half a
// minute apart, and positions are what verifiers may have had, or nothing.
func judged(rng *rand.Rand, n int) []eventrow.Row {
	rows := make([]eventrow.Row, n)
	var revocations []int
	for i := range rows {
		at := day.Add(time.Duration(i) * time.Second)
		rows[i] = eventrow.Row{Index: uint64(i), Record: someRecord(rng, at)}
		r := &rows[i].Record
		r.ID = fmt.Sprint(i)
		switch kind := rng.IntN(10); {
		case kind < 2:
			r.Type = events.TokenIssued
			r.Expires = events.TimestampOf(at.Add(time.Duration(rng.IntN(600)-100) * time.Second))
		case kind < 4:
			revoke(rng, r, at)
			revocations = append(revocations, i)
		case kind == 4 && len(revocations) > 0:
			at := revocations[rng.IntN(len(revocations))]
			lifted := &rows[at].Record
			*r = events.Record{Version: 1, Source: "s", ID: r.ID, Tenant: lifted.Tenant, Type: events.RevocationLifted, Time: r.Time, Received: r.Received,
				Revocation: &events.Revocation{Scope: lifted.Revocation.Scope, Hash: events.Ref{9}, Lifts: lifted.Ref(), LiftsIndex: rows[at].Index, Expires: lifted.Revocation.Expires}}
		default:
			accept(rng, r, i)
		}
	}
	return rows
}

func someRecord(rng *rand.Rand, at time.Time) events.Record {
	ref := func(kind byte) (r events.Ref) {
		if n := rng.IntN(4); n > 0 {
			r = events.Ref{kind, byte(n)}
		}
		return r
	}
	one := func(of ...string) string { return of[rng.IntN(len(of))] }
	return events.Record{
		Version: 1, Source: one("v1", "v2"), Tenant: one("acme", "umbrella"), Time: at.Add(time.Duration(rng.IntN(60)-30) * time.Second).UnixMicro(), Received: at.UnixMicro(),
		Issuer: one("https://1.example", "https://2.example"), SubjectRef: ref(1), TokenRef: ref(2), SessionRef: ref(3), GrantRef: ref(4),
		Client: one("", "c1", "c2"), KeyID: one("", "k1", "k2"), IssuedAt: seconds(rng, at),
	}
}

// seconds is a time near at, or none; often within one of two seconds.
func seconds(rng *rand.Rand, at time.Time) events.Timestamp {
	switch rng.IntN(4) {
	case 0:
		return 0
	case 1, 2:
		return events.TimestampOf(day.Add(time.Duration(rng.IntN(2))*time.Second + time.Duration(rng.IntN(1000))*time.Millisecond))
	}
	return events.TimestampOf(at.Add(time.Duration(rng.IntN(200_000)-150_000) * time.Millisecond))
}

func revoke(rng *rand.Rand, r *events.Record, at time.Time) {
	scopes := []events.Scope{events.ScopeToken, events.ScopeSession, events.ScopeGrant, events.ScopeSubject, events.ScopeClient, events.ScopeKey, events.ScopeIssuer, events.ScopeTenant}
	scope := scopes[rng.IntN(len(scopes))]
	r.Type = scope.RevokedType()
	r.Revocation = &events.Revocation{Scope: scope, Hash: events.Ref{9}, Expires: events.TimestampOf(at.Add(time.Duration(20_000+rng.IntN(300_000)) * time.Millisecond))}
	if rng.IntN(3) == 0 {
		r.Revocation.Starts = events.TimestampOf(at.Add(time.Duration(rng.IntN(60_000)) * time.Millisecond))
	}
	if rng.IntN(2) == 0 {
		r.Revocation.IssuedBefore = max(seconds(rng, at), 1)
	}
	if scope == events.ScopeSubject && rng.IntN(2) == 0 {
		r.Source = erasure.Source
	}
	r.Client, r.KeyID = "c1", "k1"
	if scope == events.ScopeKey {
		r.Revocation.Expires = 253402300799_000
	}
}

func accept(rng *rand.Rand, r *events.Record, index int) {
	r.Type, r.Outcome = events.TokenVerified, []string{"success", "success", "", "failure"}[rng.IntN(4)]
	if rng.IntN(3) > 0 {
		r.View = uint64(rng.IntN(index + 1))
	}
}

// reaches reports whether the revocation matches the token, by looking at every
// member. Tokens are those that the history names as the subject's.
func reaches(r, a *events.Record, tokens map[events.Ref]bool) bool {
	if r.Tenant != a.Tenant {
		return false
	}
	same := func(x, y events.Ref) bool { return x == y && !x.IsZero() }
	switch r.Revocation.Scope {
	case events.ScopeToken:
		return same(r.TokenRef, a.TokenRef)
	case events.ScopeSession:
		return same(r.SessionRef, a.SessionRef)
	case events.ScopeGrant:
		return same(r.GrantRef, a.GrantRef)
	case events.ScopeSubject:
		return !r.SubjectRef.IsZero() && (r.SubjectRef == a.SubjectRef || tokens[a.TokenRef])
	case events.ScopeClient:
		return r.Issuer == a.Issuer && r.Client == a.Client
	case events.ScopeKey:
		return r.Issuer == a.Issuer && r.KeyID == a.KeyID
	case events.ScopeIssuer:
		return r.Issuer == a.Issuer
	default:
		return true
	}
}

// tokensNamed is the tokens that events of some types name as a subject's.
func tokensNamed(rows []eventrow.Row, r *events.Record, types ...events.Type) map[events.Ref]bool {
	out := map[events.Ref]bool{}
	for i := range rows {
		m := &rows[i].Record
		if m.Tenant == r.Tenant && m.SubjectRef == r.SubjectRef && !m.TokenRef.IsZero() && (len(types) == 0 || slices.Contains(types, m.Type)) {
			out[m.TokenRef] = true
		}
	}
	return out
}

func liftOf(rows []eventrow.Row, r *events.Record) *leak.Lift {
	for i := range rows {
		if v := rows[i].Record.Revocation; v != nil && v.Lifts == r.Ref() {
			return &leak.Lift{Index: rows[i].Index, Received: rows[i].Record.Received}
		}
	}
	return nil
}

func acceptedRow(row *eventrow.Row) bool {
	return row.Record.Type == events.TokenVerified && row.Record.Outcome != "failure"
}

// TestLeaksAreWhatJudgeCallsSo: what the query finds of each revocation is what
// looking at every event finds, page by page, and so is what it counts.
func TestLeaksAreWhatJudgeCallsSo(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	rows := judged(rand.New(rand.NewPCG(4, 2)), 250)
	insert(t, conn, rows)
	s, kinds := New(conn), map[leak.Kind]int{}
	for i := range rows {
		if rows[i].Record.Type.RevokedScope() == "" {
			continue
		}
		r := leak.Revoked{Index: rows[i].Index, Record: &rows[i].Record, Lift: liftOf(rows, &rows[i].Record)}
		tokens := tokensNamed(rows, r.Record)
		var want []string
		count := map[leak.Kind]uint64{}
		for k := range rows {
			a := leak.Accepted{Index: rows[k].Index, Record: &rows[k].Record}
			if kind, _ := r.Judge(&a, leakBound); acceptedRow(&rows[k]) && kind != "" && r.Covers(&a) && reaches(r.Record, a.Record, tokens) {
				want = append(want, fmt.Sprint(k, " ", kind))
				count[kind]++
				kinds[kind]++
			}
		}
		got, page := leaksOf(t, s, r)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%+v: %s", r.Record, d)
		}
		total := map[leak.Kind]uint64{leak.Ignored: page.Ignored, leak.Late: page.Late, leak.Within: page.Within}
		maps.DeleteFunc(total, func(_ leak.Kind, n uint64) bool { return n == 0 })
		if d := cmp.Diff(count, total); d != "" {
			t.Fatal(d)
		}
	}
	for _, kind := range []leak.Kind{leak.Ignored, leak.Late, leak.Within} {
		if kinds[kind] < 10 {
			t.Errorf("only %d are %s: the history asks too little", kinds[kind], kind)
		}
	}
}

func leaksOf(t *testing.T, s *Store, r leak.Revoked) (out []string, page query.LeakPage) {
	t.Helper()
	q := query.LeakSearch{Revoked: r, Bound: leakBound, Limit: 16}
	for {
		var err error
		if page, err = s.Leaks(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		for i := range page.Rows {
			a := leak.Accepted{Index: page.Rows[i].Index, Record: &page.Rows[i].Record}
			kind, _ := r.Judge(&a, leakBound)
			out = append(out, fmt.Sprint(a.Index, " ", kind))
			q.After = &a.Index
		}
		if len(page.Rows) < q.Limit {
			return out, page
		}
	}
}

// TestSuspectsHoldEveryGraveLeak: no pair is left out that is ignored or late,
// whatever the page, and none is there that does not match.
func TestSuspectsHoldEveryGraveLeak(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	rows := judged(rand.New(rand.NewPCG(7, 7)), 200)
	insert(t, conn, rows)
	s := New(conn)
	for _, w := range []leak.Window{{End: 200, Limit: 500}, {End: 150, Limit: 40}, {First: 80, End: 120, Limit: 500}, {First: 199, End: 200, Limit: 1}} {
		w.Bound = leakBound
		got := map[leak.Place]bool{}
		for _, p := range suspectsOf(t, s, w) {
			r, a := &p.Revoked, &p.Accepted
			if !r.Covers(a) || !reaches(r.Record, a.Record, forgottenTokens(rows, r.Record)) {
				t.Errorf("%v does not match %v", a, r)
			}
			if d := cmp.Diff(liftBefore(liftOf(rows, r.Record), w.End), r.Lift); d != "" {
				t.Error(d)
			}
			got[leak.Place{Accepted: a.Index, Revoked: r.Index}] = true
		}
		if missing := graveIn(rows, w, got); len(missing) > 0 {
			t.Errorf("%+v: left out: %v", w, missing)
		}
		if len(got) == 0 && w.End-w.First > 30 {
			t.Error("nothing is suspect: the history asks too little")
		}
	}
}

func liftBefore(l *leak.Lift, end uint64) *leak.Lift {
	if l == nil || l.Index >= end {
		return nil
	}
	return l
}

// forgottenTokens is the tokens that were issued to the one whom an erasure
// revoked.
func forgottenTokens(rows []eventrow.Row, r *events.Record) map[events.Ref]bool {
	if r.Source != erasure.Source {
		return nil
	}
	return tokensNamed(rows, r, events.TokenIssued, events.TokenRefreshed)
}

func suspectsOf(t *testing.T, s *Store, w leak.Window) (out []leak.Suspect) {
	t.Helper()
	for {
		page, err := s.Suspects(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, page...)
		if len(page) < w.Limit {
			return out
		}
		last := page[len(page)-1]
		w.Behind = leak.Place{Accepted: last.Accepted.Index, Revoked: last.Revoked.Index}
	}
}

// graveIn is the pairs of a window that are ignored or late, and not in got.
func graveIn(rows []eventrow.Row, w leak.Window, got map[leak.Place]bool) (missing []leak.Place) {
	for i := range rows[:w.End] {
		if rows[i].Record.Type.RevokedScope() == "" {
			continue
		}
		r := leak.Revoked{Index: rows[i].Index, Record: &rows[i].Record, Lift: liftBefore(liftOf(rows, &rows[i].Record), w.End)}
		tokens := forgottenTokens(rows, r.Record)
		for k := w.First; k < w.End; k++ {
			a := leak.Accepted{Index: k, Record: &rows[k].Record}
			kind, _ := r.Judge(&a, leakBound)
			place := leak.Place{Accepted: k, Revoked: r.Index}
			if grave := kind == leak.Ignored || kind == leak.Late; grave && acceptedRow(&rows[k]) && r.Covers(&a) && reaches(r.Record, a.Record, tokens) && !got[place] {
				missing = append(missing, place)
			}
		}
	}
	return missing
}

// TestIdleWindowsHaveNoGraveLeak: where a glance says that there is nothing to
// look for, looking at every pair finds nothing, and where it says that nobody
// was forgotten, no suspect is left out for that.
func TestIdleWindowsHaveNoGraveLeak(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	rows := judged(rand.New(rand.NewPCG(1, 9)), 240)
	rows = append(rows, judged(rand.New(rand.NewPCG(5, 9)), 120)...)
	for i := range rows {
		r := &rows[i].Record
		rows[i].Index, r.ID = uint64(i), fmt.Sprint(i)
		switch v := r.Revocation; {
		case i >= 240 || v == nil:
		case i < 100: // over before what the first 240 end with
			v.Expires = events.TimestampOf(day.Add(time.Duration(10+i) * time.Second))
			r.Source = "s"
		default:
			r.Type, r.Revocation = events.TokenIssued, nil
		}
	}
	insert(t, conn, rows)
	s, idle, none := New(conn), 0, 0
	until, forgetful := int64(0), uint64(0)
	for first := uint64(0); first < 360; first += 40 {
		w := leak.Window{First: first, End: first + 40, Bound: leakBound, Limit: 500}
		g, err := s.Glance(t.Context(), 0, w.First, w.End)
		if err != nil {
			t.Fatal(err)
		}
		until, forgetful = max(until, g.Until), forgetful+g.Forgetful
		if g.Idle(until) {
			idle++
			if missing := graveIn(rows, w, nil); len(missing) > 0 {
				t.Errorf("%+v: %+v is idle, and these are grave: %v", w, g, missing)
			}
			continue
		}
		if forgetful == 0 {
			none++
			all := suspectsOf(t, s, w)
			if w.NoneForgotten = true; !cmp.Equal(all, suspectsOf(t, s, w)) {
				t.Errorf("%+v: others are suspect where nobody was forgotten", w)
			}
		}
	}
	if got, err := s.Glance(t.Context(), 0, 0, 360); err != nil || got.Until != until || got.Forgetful != forgetful {
		t.Errorf("all at once %+v, one by one %d and %d, %v", got, until, forgetful, err)
	}
	if idle < 2 || none < 3 || forgetful == 0 {
		t.Errorf("%d idle, %d without a forgotten person, %d forgotten: the history asks too little", idle, none, forgetful)
	}
}

// TestOpenedFindingsAreCounted by revocation and verifier, and found by id.
func TestOpenedFindingsAreCounted(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	finding := func(i int, tenant, source, revocation, verifier string) eventrow.Row {
		return eventrow.Row{Index: uint64(i), Record: events.Record{Version: 1, Source: source, ID: fmt.Sprint("f", i), Tenant: tenant, Type: events.FindingOpened,
			Attributes: map[string]string{"revocation_ref": revocation, "verifier": verifier}}}
	}
	insert(t, conn, []eventrow.Row{
		finding(0, "acme", leak.Source, "r1", "v1"), finding(1, "acme", leak.Source, "r1", "v1"), finding(2, "acme", leak.Source, "r1", "v2"),
		finding(3, "umbrella", leak.Source, "r1", "v1"), finding(4, "acme", "elsewhere", "r1", "v1"), finding(5, "acme", leak.Source, "r2", "v1"),
	})
	s := New(conn)
	if n, err := s.Opened(t.Context(), "acme", 0, "r1", "v1"); n != 2 || err != nil {
		t.Error(n, err)
	}
	for id, want := range map[string]bool{"f0": true, "f3": false, "f4": false, "f9": false} {
		if got, err := s.IsOpened(t.Context(), "acme", 0, id); got != want || err != nil {
			t.Error(id, got, err)
		}
	}
}
