package revocation

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
)

// TestAScopeIsLookedForWhileThereIsOneOfIt: not before, and not after the last
// is gone.
func TestAScopeIsLookedForWhileThereIsOneOfIt(t *testing.T) {
	t.Parallel()
	key := feedKey("acme", 1)
	token, subject := revoke(2, key, events.ScopeToken, someone, 0), revoke(3, key, events.ScopeSubject, someone, 0)
	s := setOf(other(1, key), token, subject)
	is := func(wanted ...hash) bool {
		var out [len(scopes)]hash
		n := s.tenants.Load().of["acme"].keys[0].hashes(s.dir.Load(), &someone, &out)
		return slices.Equal(out[:n], wanted)
	}
	if !is(hashOf(&token.Hash), hashOf(&subject.Hash)) {
		t.Error("another is looked for than those that are there")
	}
	if s.Sweep(t0); !is(hashOf(&token.Hash), hashOf(&subject.Hash)) {
		t.Error("another is looked for after the first was swept")
	}
	c := someone
	c.TokenID = "another"
	if d := s.Decide(&c, t0); d.Scope != events.ScopeSubject {
		t.Errorf("got %+v", d)
	}
	if s.Sweep(t0.Add(2 * time.Hour)); !is() {
		t.Error("something is looked for after the last was swept")
	}
}

// TestOfFewRevocationsFewAreLookedFor: of one token that is revoked, one of 64
// others is looked for.
func TestOfFewRevocationsFewAreLookedFor(t *testing.T) {
	t.Parallel()
	s, c, looked := setOf(revoke(1, feedKey("acme", 1), events.ScopeToken, someone, 0)), someone, 0
	const n = 6400
	for i := range n {
		var out [len(scopes)]hash
		c.TokenID = fmt.Sprint(i)
		looked += s.tenants.Load().of["acme"].keys[0].hashes(s.dir.Load(), &c, &out)
	}
	if looked < n/hashParts/2 || looked > 2*n/hashParts {
		t.Errorf("%d of %d are looked for", looked, n)
	}
}

// TestWhatIsLookedForIsWhatIsThere: whatever was applied, lifted, told again,
// swept or loaded, readers look for the parts of scopes that a revocation is in,
// and for no other.
func TestWhatIsLookedForIsWhatIsThere(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		chance, s, now := rand.New(rand.NewPCG(seed, 0)), setOf(), t0
		for n := uint64(1); n <= 500; n++ {
			e := anyEntry(chance, n)
			told := []Entry{e}
			switch chance.IntN(4) {
			case 0:
				told = append(told, lift(e))
			case 1:
				e.Scope, e.Reason = Scopes()[0], "again"
				told = append(told, e)
			case 2:
				told[0] = lift(e) // and never what it lifts
			}
			for _, i := range chance.Perm(len(told)) {
				s.Apply(told[i])
			}
			if n%50 == 0 {
				now = now.Add(5 * time.Minute)
				s.Sweep(now)
				heldAsThere(t, s)
				opened, err := OpenSnapshot(public, pack(t, s, Head{}))
				if err != nil {
					t.Fatal(err)
				}
				heldAsThere(t, opened.Set(now.Add(5*time.Minute)))
			}
		}
		if s.crowds.given == 0 {
			t.Fatal("no target has many")
		}
		if s.Sweep(t0.Add(2 * time.Hour)); len(s.there()) != 0 {
			t.Fatal("not all is swept")
		}
		heldAsThere(t, s)
	}
}

// anyEntry is a revocation under one of three keys. Half of them are of one
// client.
func anyEntry(chance *rand.Rand, n uint64) Entry {
	key, scope, c := feedKey("acme", 1), events.ScopeClient, someone
	if chance.IntN(2) == 0 {
		key = []events.FeedKey{feedKey("acme", 1), feedKey("acme", 2), feedKey("other", 1)}[chance.IntN(3)]
		scope = Scopes()[chance.IntN(len(scopes))]
	}
	c.TokenID, c.Subject = fmt.Sprint(chance.IntN(20)), fmt.Sprint(n)
	e := revoke(n, key, scope, c, 0)
	e.Expires = ms(time.Duration(chance.IntN(60)+1) * time.Minute)
	return e
}

// there is which parts of each scope a revocation is in, by the key that made
// its hash.
func (s *Set) there() map[KeyID][len(scopes)]uint64 {
	out := make(map[KeyID][len(scopes)]uint64)
	s.walkRows(func(rows []row) {
		for i := range rows {
			if k := s.kinds.get(rows[i].kind); k.effective() {
				of := out[k.key]
				of[k.scope] |= 1 << (rows[i].hash.hi >> 58)
				out[k.key] = of
			}
		}
	})
	return out
}

func heldAsThere(t *testing.T, s *Set) {
	t.Helper()
	held := make(map[KeyID][len(scopes)]uint64)
	for id, m := range s.madeBy {
		var of [len(scopes)]uint64
		for i := range of {
			of[i] = m.held[i].Load()
		}
		if of != [len(scopes)]uint64{} {
			held[id] = of
		}
	}
	if diff := cmp.Diff(s.there(), held); diff != "" {
		t.Fatalf("what is there, and what is looked for (-there +held):\n%s", diff)
	}
}

// TestManyTenantsAreNotNotedOneByOne: what is allocated to load, to fold and to
// sweep a set grows as its tenants do, whether or not it has keys.
func TestManyTenantsAreNotNotedOneByOne(t *testing.T) {
	for name, do := range map[string]func([]Entry){
		"applied at once":                   func(all []Entry) { setOf(all...) },
		"applied one by one, without keys":  func(all []Entry) { oneByOne(NewSet(1), all) },
		"loaded":                            func(all []Entry) { loaded(t, all) },
		"swept":                             func(all []Entry) { setOf(all...).Sweep(t0.Add(time.Hour)) },
		"swept where they were without key": func(all []Entry) { oneByOne(NewSet(1), all).Sweep(t0.Add(time.Hour)) },
	} {
		few, many := allocated(do, 500), allocated(do, 4000)
		if many > 3*8*few/2 {
			t.Errorf("%s: %d tenants take %d bytes, %d take %d", name, 500, few, 4000, many)
		}
	}
}

func oneByOne(s *Set, all []Entry) *Set {
	for i := range all {
		s.Apply(all[i])
	}
	return s
}

func loaded(t testing.TB, all []Entry) *Set {
	s := NewSet(1)
	s.Apply(all...)
	opened, err := OpenSnapshot(public, pack(t, s, Head{}))
	if err != nil {
		t.Fatal(err)
	}
	return opened.Set(t0)
}

// ofTenants is a revocation of each of n tenants.
func ofTenants(n int) (all []Entry) {
	for i := range n {
		all = append(all, revoke(uint64(i+1), feedKey(fmt.Sprint("tenant-", i), 1), events.ScopeToken, someone, 0))
	}
	return all
}

// allocated is how many bytes do takes for n tenants.
func allocated(do func([]Entry), n int) uint64 {
	all := ofTenants(n)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do(all)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// BenchmarkTenants is a revocation of each of so many tenants, applied one by one
// without keys, as the projector does, and loaded with them, as a verifier does.
func BenchmarkTenants(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		all := ofTenants(n)
		var keys []events.FeedKey
		for i := range all {
			keys = append(keys, feedKey(all[i].Key.Tenant, 1))
		}
		b.Run(fmt.Sprint("apply/", n), func(b *testing.B) {
			for b.Loop() {
				oneByOne(NewSet(1), all)
			}
		})
		b.Run(fmt.Sprint("load/", n), func(b *testing.B) {
			for b.Loop() {
				loaded(b, all).SetKeys(keys)
			}
		})
	}
}
