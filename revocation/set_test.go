package revocation

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
)

func TestSetAgreesWithModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		entries := drawEntries(t)
		keys := []events.FeedKey{feedKey("acme", 1), feedKey("other", 1)}
		if rapid.Bool().Draw(t, "second generation") {
			keys = append(keys, feedKey("acme", 2))
		}
		s := NewSet(1)
		early := rapid.Bool().Draw(t, "keys first")
		if early {
			s.SetKeys(keys)
		}
		s.Apply(entries...)
		if !early {
			s.SetKeys(keys)
		}
		for range 8 {
			c := drawClaims(t, "claims")
			if d := gocmp.Diff(model(entries).decide(c, keys, t0), s.Decide(&c, t0)); d != "" {
				t.Fatalf("%+v: %s", c, d)
			}
		}
	})
}

func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		entries := drawEntries(t)
		twice := append(slices.Clone(entries), entries[:rapid.IntRange(0, len(entries)).Draw(t, "repeated")]...)
		shuffled := rapid.Permutation(twice).Draw(t, "order")
		a, b := setOf(entries...), setOf(shuffled...)
		if d := gocmp.Diff(a.Entries(), b.Entries(), cmpopts.IgnoreUnexported(KeyID{})); d != "" {
			t.Fatal(d)
		}
		if d := gocmp.Diff(a.Missing(), b.Missing(), cmpopts.IgnoreUnexported(KeyID{})); d != "" {
			t.Fatal(d)
		}
	})
}

func TestSweepChangesNoDecision(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		entries := drawEntries(t)
		keys := []events.FeedKey{feedKey("acme", 1), feedKey("acme", 2), feedKey("other", 1)}
		s, swept := setOf(entries...), setOf(entries...)
		s.SetKeys(keys)
		swept.SetKeys(keys)
		dropped := swept.Sweep(t0)
		if got := s.Len() - swept.Len(); got != dropped {
			t.Fatalf("dropped %d, said %d", got, dropped)
		}
		for _, e := range swept.Entries() {
			if e.Expired(t0) {
				t.Fatal("an expired entry was left")
			}
		}
		for range 8 {
			c := drawClaims(t, "claims")
			if d := gocmp.Diff(s.Decide(&c, t0), swept.Decide(&c, t0)); d != "" {
				t.Fatal(d)
			}
		}
		swept.Apply(entries...) // places are used again
		if d := gocmp.Diff(s.Entries(), swept.Entries(), cmpopts.IgnoreUnexported(KeyID{})); d != "" {
			t.Fatal(d)
		}
	})
}

// TestASweepHasTurnsOfSomePages: what a turn took away is given back before the
// next, so that it says how many pages there were in one.
func TestASweepHasTurnsOfSomePages(t *testing.T) {
	t.Parallel()
	var all []Entry
	for n := range uint64(200 * pageRows) {
		c := someone
		c.TokenID = fmt.Sprint(n)
		all = append(all, revoke(n+1, feedKey("acme", 1), events.ScopeToken, c, 0))
	}
	s, turns, pages, dropped := setOf(all...), 0, 0, 0
	s.walk(func(p *page, prefix, _ uint64) {
		if len(s.gone) == 0 {
			turns, pages = turns+1, 0
		}
		if pages++; pages > 64 {
			t.Fatalf("%d pages in a turn", pages)
		}
		dropped += s.sweep(p, prefix, t0.Add(time.Hour).Unix())
	})
	if turns < 200/64 || dropped != len(all) {
		t.Errorf("%d turns, dropped %d", turns, dropped)
	}
}

func TestASetWithoutKeysCallsNothingActive(t *testing.T) {
	t.Parallel()
	s := NewSet(1)
	for _, e := range []Entry{revoke(1, feedKey("other", 1), events.ScopeToken, someone, 0), revoke(2, feedKey("acme", 1), events.ScopeToken, someone, 0)} {
		if d := s.Decide(&someone, t0); d != (Decision{State: Unknown, Cause: CauseCold}) {
			t.Errorf("got %+v", d)
		}
		s.Apply(e)
	}
	if got := s.Missing(); len(got) != 2 || got[0].Tenant != "acme" || got[1].Tenant != "other" {
		t.Errorf("missing %v", got)
	}
	if s.SetKeys([]events.FeedKey{feedKey("acme", 1)}); s.Decide(&someone, t0).State != Revoked || len(s.Missing()) != 1 {
		t.Errorf("with a key: %+v, missing %v", s.Decide(&someone, t0), s.Missing())
	}
}

func TestSweepOfEverythingLeavesNothing(t *testing.T) {
	t.Parallel()
	s := setOf()
	for n := range uint64(1000) {
		c := someone
		c.TokenID = fmt.Sprint(n % 300)
		s.Apply(revoke(n+1, feedKey("acme", 2), events.ScopeToken, c, 0))
	}
	if n := s.Sweep(t0.Add(time.Hour)); n != 1000 || s.Len() != 0 {
		t.Fatalf("swept %d, left %d", n, s.Len())
	}
	if s.SetKeys(nil); len(s.kinds.numbers) != 0 || len(s.madeBy) != 0 || s.dir.Load().depth != 0 || len(s.Missing()) != 0 {
		t.Fatalf("left behind: %d kinds, %d keys, a directory of %d bits, missing %v", len(s.kinds.numbers), len(s.madeBy), s.dir.Load().depth, s.Missing())
	}
	if d := s.Decide(&someone, t0); d.State != Active {
		t.Fatalf("got %v", d)
	}
}

// A client's cut-off hid a newer one of its realm, and the other way round:
// whichever scope was looked at last won.
func TestNewerWideCutoffIsNotHiddenByOlderNarrowOne_CVE_2026_8922(t *testing.T) {
	t.Parallel()
	checkMaximum(t, events.ScopeClient, ms(-time.Hour), events.ScopeIssuer, ms(0), events.ScopeIssuer)
}

func TestNewerNarrowCutoffIsNotHiddenByOlderWideOne_CVE_2026_18218(t *testing.T) {
	t.Parallel()
	checkMaximum(t, events.ScopeClient, ms(0), events.ScopeIssuer, ms(-time.Hour), events.ScopeClient)
}

func checkMaximum(t *testing.T, a events.Scope, cutoffA events.Timestamp, b events.Scope, cutoffB events.Timestamp, want events.Scope) {
	t.Helper()
	one, two := revoke(1, feedKey("acme", 1), a, someone, cutoffA), revoke(2, feedKey("acme", 1), b, someone, cutoffB)
	for _, order := range [][]Entry{{one, two}, {two, one}} {
		if d := setOf(order...).Decide(&someone, t0); d.State != Revoked || d.Scope != want {
			t.Errorf("got %v by %q, want revoked by %q", d.State, d.Scope, want)
		}
	}
}

func TestCutoffOfEveryPairOfScopesIsTheLatest(t *testing.T) {
	t.Parallel()
	cutoffs := []events.Timestamp{ms(-2 * time.Minute), ms(-time.Minute), ms(0), 0}
	for _, a := range Scopes() {
		for _, b := range Scopes() {
			for _, ca := range cutoffs {
				for _, cb := range cutoffs {
					s := setOf(revoke(1, feedKey("acme", 1), a, someone, ca), revoke(2, feedKey("acme", 1), b, someone, cb))
					want := Active
					if max(all(ca), all(cb)) >= someone.IssuedAt {
						want = Revoked
					}
					if d := s.Decide(&someone, t0); d.State != want {
						t.Errorf("%s %v, %s %v: got %s, want %s", a, ca, b, cb, d.State, want)
					}
				}
			}
		}
	}
}

func TestCutoffCountsWholeSeconds(t *testing.T) {
	t.Parallel()
	cutoff := ms(200 * time.Millisecond)
	for _, tt := range []struct {
		name string
		iat  events.Timestamp
		want State
	}{
		{"missing", 0, Revoked},
		{"long before", ms(-time.Hour), Revoked},
		{"same second, in whole seconds", ms(0), Revoked},
		{"same second, just before", ms(100 * time.Millisecond), Revoked},
		{"the same", cutoff, Revoked},
		{"same second, just after", ms(999 * time.Millisecond), Revoked},
		{"next second", ms(time.Second), Active},
		{"far ahead", math.MaxInt64, Active},
	} {
		c := someone
		c.IssuedAt = tt.iat
		if d := setOf(revoke(1, feedKey("acme", 1), events.ScopeSubject, someone, cutoff)).Decide(&c, t0); d.State != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, d.State, tt.want)
		}
	}
}

func TestNoCutoffRevokesWhateverIatSays(t *testing.T) {
	t.Parallel()
	for _, iat := range []events.Timestamp{0, ms(0), math.MaxInt64} {
		c := someone
		c.IssuedAt = iat
		if d := setOf(revoke(1, feedKey("acme", 1), events.ScopeKey, someone, 0)).Decide(&c, t0); d.State != Revoked {
			t.Errorf("iat %d: got %s", iat, d.State)
		}
	}
}

func TestSetIsExactInEveryScope(t *testing.T) {
	t.Parallel()
	other := Claims{Tenant: "acme", Issuer: "https://issuer.example", TokenID: "token-2", SessionID: "session-2", Subject: "subject-2",
		ClientID: "client-2", KeyID: "key-2", GrantID: "grant-2", IssuedAt: someone.IssuedAt}
	elsewhere := someone
	elsewhere.Issuer = "https://other.example"
	stranger := someone
	stranger.Tenant = "other"
	for _, scope := range Scopes() {
		s := setOf(revoke(1, feedKey("acme", 1), scope, someone, 0))
		s.SetKeys([]events.FeedKey{feedKey("acme", 1), feedKey("other", 1)})
		got := []State{s.Decide(&someone, t0).State, s.Decide(&other, t0).State, s.Decide(&elsewhere, t0).State, s.Decide(&stranger, t0).State}
		want := []State{Revoked, Active, Active, Active}
		if scope == events.ScopeIssuer || scope == events.ScopeTenant {
			want[1] = Revoked
		}
		if scope == events.ScopeTenant {
			want[2] = Revoked
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the token, another, of another issuer, of another tenant: got %v, want %v", scope, got, want)
		}
	}
}

func TestIdentifiersCannotPassForEachOther(t *testing.T) {
	t.Parallel()
	s := setOf(revoke(1, feedKey("acme", 1), events.ScopeToken, Claims{Issuer: "ab", TokenID: "c"}, 0))
	for _, c := range []Claims{
		{Tenant: "acme", Issuer: "a", TokenID: "bc"}, {Tenant: "acme", Issuer: "ab", SessionID: "c"}, {Tenant: "acme", Issuer: "ab", Subject: "c"},
		{Tenant: "acme", Issuer: "ab", KeyID: "c"}, {Tenant: "acme", Issuer: "abc"}, {Tenant: "acme", TokenID: "abc"}, {Tenant: "acme"},
	} {
		if d := s.Decide(&c, t0); d.State != Active {
			t.Errorf("%+v: got %s", c, d.State)
		}
	}
}

func TestLift(t *testing.T) {
	t.Parallel()
	one := revoke(1, feedKey("acme", 1), events.ScopeSubject, someone, ms(-time.Second))
	two := revoke(2, feedKey("acme", 1), events.ScopeSubject, someone, 0)
	for _, tt := range []struct {
		name    string
		entries []Entry
		want    State
	}{
		{"lifted", []Entry{one, lift(one)}, Active},
		{"lift first", []Entry{lift(one), one}, Active},
		{"revocation delivered again", []Entry{one, lift(one), one}, Active},
		{"another still stands", []Entry{one, two, lift(one)}, Revoked},
		{"the older of two still stands", []Entry{one, two, lift(two)}, Revoked},
		{"both lifted", []Entry{one, lift(two), two, lift(one)}, Active},
		{"revoked anew", []Entry{one, lift(one), two}, Revoked},
	} {
		if d := setOf(tt.entries...).Decide(&someone, t0); d.State != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, d.State, tt.want)
		}
	}
}

func TestEntryHasNoEffectFromItsExpiryOn(t *testing.T) {
	t.Parallel()
	e := revoke(1, feedKey("acme", 1), events.ScopeToken, someone, 0)
	e.Expires = ms(time.Second)
	never := e
	never.Expires = 0
	for _, tt := range []struct {
		entry Entry
		at    time.Duration
		want  State
	}{{e, time.Second - time.Millisecond, Revoked}, {e, time.Second, Active}, {never, 1e6 * time.Hour, Revoked}} {
		if d := setOf(tt.entry).Decide(&someone, t0.Add(tt.at)); d.State != tt.want {
			t.Errorf("at %s: got %s, want %s", tt.at, d.State, tt.want)
		}
	}
}

// TestWhatIsLiftedNeedsNoKey: it has no effect, whatever it is the hash of.
func TestWhatIsLiftedNeedsNoKey(t *testing.T) {
	t.Parallel()
	one, two := revoke(1, feedKey("acme", 2), events.ScopeKey, someone, 0), revoke(2, feedKey("acme", 2), events.ScopeToken, someone, 0)
	for _, entries := range [][]Entry{{one, two, lift(one), lift(two)}, {lift(two), one, two, lift(one)}} {
		s := setOf(entries[:3]...)
		if d := s.Decide(&someone, t0); d.State != Unknown {
			t.Errorf("one is not lifted: %+v", d)
		}
		s.Apply(entries[3])
		opened, err := OpenSnapshot(public, pack(t, s, Head{}))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Set{s, setKeys(opened.Set(t0))} {
			if d := s.Decide(&someone, t0); d.State != Active || len(s.Missing()) != 0 {
				t.Errorf("%+v, missing %v", d, s.Missing())
			}
		}
	}
}

func TestTokenIsUnknownWhileAKeyIsMissing(t *testing.T) {
	t.Parallel()
	other := someone
	other.TokenID = "token-2"
	s := setOf(revoke(1, feedKey("acme", 2), events.ScopeToken, other, 0), revoke(2, feedKey("acme", 1), events.ScopeSubject, Claims{Issuer: someone.Issuer, Subject: "x"}, 0))
	if d := s.Decide(&someone, t0); d != (Decision{State: Unknown, Cause: CauseCold}) {
		t.Fatalf("got %+v", d)
	}
	stranger := someone
	stranger.Tenant = "other"
	if d := s.Decide(&stranger, t0); d.State != Active {
		t.Fatalf("another tenant: got %s", d.State)
	}
	if got := s.Missing(); len(got) != 1 || got[0].Tenant != "acme" || got[0].Generation != 2 {
		t.Fatalf("missing %v", got)
	}
	s.SetKeys([]events.FeedKey{feedKey("acme", 1), feedKey("acme", 2)})
	if d := s.Decide(&someone, t0); d.State != Active || len(s.Missing()) != 0 {
		t.Fatalf("with all keys: got %s, missing %v", d.State, s.Missing())
	}
	if d := s.Decide(&other, t0); d.State != Revoked {
		t.Fatalf("got %s", d.State)
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	s := setOf(revoke(1, feedKey("acme", 1), events.ScopeTenant, someone, ms(-time.Hour)), revoke(2, feedKey("acme", 1), events.ScopeKey, someone, 0))
	long := someone
	long.Issuer, long.TokenID, long.Subject = strings.Repeat("i", events.MaxTextBytes), strings.Repeat("j", events.MaxTextBytes), strings.Repeat("s", events.MaxTextBytes)
	for _, c := range []*Claims{&someone, &long} {
		if n := testing.AllocsPerRun(100, func() { s.Decide(c, t0) }); n != 0 {
			t.Errorf("%.0f allocations", n)
		}
	}
}

func TestReadersSeeNoHalfWayState(t *testing.T) {
	t.Parallel()
	s := setOf(revoke(1, feedKey("acme", 1), events.ScopeToken, someone, 0))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range uint64(2000) {
			c := someone
			c.TokenID = fmt.Sprint(n)
			e := revoke(n+2, feedKey("acme", 1), events.ScopeToken, c, 0)
			e.Expires = ms(-time.Hour)
			s.Apply(e)
			if n%100 == 0 {
				s.Sweep(t0)
				s.Entries()
				s.SetKeys([]events.FeedKey{feedKey("acme", 1)})
			}
		}
	}()
	for {
		if d := s.Decide(&someone, t0); d.State != Revoked || d.Reason != "reason-1" {
			t.Fatalf("got %+v", d)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	s := setOf()
	for n := range uint64(1_000_000) {
		c := someone
		c.TokenID = fmt.Sprint(n)
		s.Apply(revoke(n+1, feedKey("acme", 1), events.ScopeToken, c, 0))
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Decide(&someone, t0)
	}
}
