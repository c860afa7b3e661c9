package seal_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

// atCall is a judge that gives the verdict at call n, and passes before and
// after.
func atCall(n int, v sealtest.Verdict) (judge func(string, string) sealtest.Verdict, calls *atomic.Int64) {
	calls = new(atomic.Int64)
	return func(string, string) sealtest.Verdict {
		if calls.Add(1) == int64(n) {
			return v
		}
		return sealtest.Pass
	}, calls
}

var verdicts = map[string]sealtest.Verdict{
	"failed": sealtest.Fail, "failed but applied": sealtest.ApplyThenFail, "failed and half applied": sealtest.PartlyThenFail,
}

// everyCall runs do once for each verdict and each call of the store that do
// makes, on a store that it prepares anew each time.
func everyCall(t *testing.T, prepare func() *sealtest.Memory, do func(t *testing.T, store *sealtest.Memory, faulty seal.Store)) {
	for name, v := range verdicts {
		for n := 1; ; n++ {
			store := prepare()
			judge, calls := atCall(n, v)
			t.Run(fmt.Sprintf("call %d %s", n, name), func(t *testing.T) {
				do(t, store, &sealtest.Fault{Store: store, Judge: judge})
			})
			if calls.Load() < int64(n) {
				break // do makes fewer calls than n: all have been tried
			}
			if n > 100 {
				t.Fatal("calls without end")
			}
		}
	}
}

func TestMakingKeysSurvivesEveryFault(t *testing.T) {
	t.Parallel()
	everyCall(t, func() *sealtest.Memory { return new(sealtest.Memory) }, func(t *testing.T, store *sealtest.Memory, faulty seal.Store) {
		keys, err := open(t, faulty).Subjects(t.Context(), people(3))
		again := subjects(t, open(t, store), people(3)...)
		third := open(t, store)
		for i, s := range subjects(t, third, people(3)...) {
			if err == nil && keys[i].Ref != again[i].Ref {
				t.Errorf("person %d: a reference was given away and lost", i)
			}
			if s.Ref != again[i].Ref {
				t.Errorf("person %d: %v, then %v", i, again[i], s)
			}
			wantOpens(t, third, letter(t, again[i], "acme", "text"), "text")
			if err == nil {
				wantOpens(t, third, letter(t, keys[i], "acme", "text"), "text")
			}
		}
		if n := stored(store, "k"); n != 3 {
			t.Errorf("%d data keys for 3 people", n)
		}
	})
}

func TestDestroySurvivesEveryFault(t *testing.T) {
	t.Parallel()
	var ref events.Ref
	var sealed, other seal.OpenRequest
	prepare := func() *sealtest.Memory {
		store := new(sealtest.Memory)
		keys := subjects(t, open(t, store), person(1), person(2))
		ref, sealed, other = keys[0].Ref, letter(t, keys[0], "acme", "one"), letter(t, keys[1], "acme", "two")
		return store
	}
	everyCall(t, prepare, func(t *testing.T, store *sealtest.Memory, faulty seal.Store) {
		_, err := open(t, faulty).Destroy(t.Context(), "acme", ref)
		if stored(store, "e") == 1 { // fenced: forgotten already, however far it came
			_, err := open(t, store).Open(t.Context(), sealed)
			wantErr(t, err, seal.ErrDestroyed)
			if s := subjects(t, open(t, store), person(1))[0]; !s.Erased {
				t.Error("a fenced person has a key")
			}
		} else if err == nil {
			t.Error("no fence, and no error")
		}
		if _, err := open(t, store).Destroy(t.Context(), "acme", ref); err != nil {
			t.Fatalf("again: %v", err)
		}
		wantForgotten(t, store, sealed)
		if d, err := open(t, store).Destroy(t.Context(), "acme", ref); err != nil || !d.AlreadyGone {
			t.Errorf("once more: %+v, %v", d, err)
		}
		wantOpens(t, open(t, store), other, "two")
	})
}

// wantForgotten checks that nothing is left of person 1 but a fence.
func wantForgotten(t testing.TB, store *sealtest.Memory, sealed seal.OpenRequest) {
	t.Helper()
	_, err := open(t, store).Open(t.Context(), sealed)
	wantErr(t, err, seal.ErrDestroyed)
	if s := subjects(t, open(t, store), person(1))[0]; !s.Erased {
		t.Errorf("a forgotten person has a key: %v", s)
	}
	fence := ""
	for key := range store.Dump() {
		if rest, ok := strings.CutPrefix(key, "e.acme."); ok {
			fence = rest
		}
	}
	for key := range store.Dump() {
		if strings.Contains(key, sealed.Ref.String()) || key == "k.acme."+fence {
			t.Errorf("entry %s is left", key)
		}
	}
	if s, k := stored(store, "s"), stored(store, "k"); s != k {
		t.Errorf("%d references and %d data keys are left", s, k)
	}
}

// gate stops the caller before call n until it is opened.
type gate struct {
	n               int64
	calls           atomic.Int64
	arrived, opened chan struct{}
}

func newGate(n int) *gate {
	return &gate{n: int64(n), arrived: make(chan struct{}), opened: make(chan struct{})}
}

func (g *gate) judge(string, string) sealtest.Verdict {
	if g.calls.Add(1) == g.n {
		close(g.arrived)
		<-g.opened
	}
	return sealtest.Pass
}

// run starts do in a goroutine of its own and returns when it has reached the
// gate or ended. The rest runs when finish is called.
func (g *gate) run(do func()) (finish func()) {
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-g.arrived:
	case <-done:
	}
	return func() { close(g.opened); <-done }
}

// apart reads several entries one by one, each a call of its own, as a store
// may: the entries of a call are of different instants, in any order.
type apart struct {
	seal.Store
	backwards bool
}

func (a apart) Get(ctx context.Context, keys ...string) (map[string][]byte, error) {
	keys = slices.Clone(keys)
	if a.backwards {
		slices.Reverse(keys)
	}
	out := map[string][]byte{}
	for _, key := range keys {
		got, err := a.Store.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		maps.Copy(out, got)
	}
	return out, nil
}

// waysToRead is what a store may do with a Get of several.
var waysToRead = map[string]func(seal.Store) seal.Store{
	"at once":   func(s seal.Store) seal.Store { return s },
	"apart":     func(s seal.Store) seal.Store { return apart{Store: s} },
	"backwards": func(s seal.Store) seal.Store { return apart{Store: s, backwards: true} },
}

// TestSealingWhileDestroying runs Subjects up to a call, then Destroy up to a
// call, then the rest of each, for every pair of calls: a destroyed key must
// not come back.
func TestSealingWhileDestroying(t *testing.T) {
	t.Parallel()
	for i := 1; i <= 12; i++ {
		for j := 1; j <= 7; j++ {
			for name, way := range waysToRead {
				t.Run(fmt.Sprintf("%d then %d %s", i, j, name), func(t *testing.T) { interleave(t, i, j, way) })
			}
		}
	}
}

func interleave(t *testing.T, i, j int, way func(seal.Store) seal.Store) {
	store := new(sealtest.Memory)
	was := subjects(t, open(t, store), person(1), person(2))[0]
	sealed := letter(t, was, "acme", "text")
	sealing, destroying := newGate(i), newGate(j)
	sealer := open(t, way(&sealtest.Fault{Store: store, Judge: sealing.judge}))
	destroyer := open(t, &sealtest.Fault{Store: store, Judge: destroying.judge})

	var got []seal.SubjectKey
	var sealErr, destroyErr error
	finishSealing := sealing.run(func() { got, sealErr = sealer.Subjects(t.Context(), []seal.Person{person(1)}) })
	finishDestroying := destroying.run(func() { _, destroyErr = destroyer.Destroy(t.Context(), "acme", was.Ref) })
	told := tell(store, sealer)
	finishSealing()
	finishDestroying()
	if sealErr != nil || destroyErr != nil {
		t.Fatalf("subjects: %v; destroy: %v", sealErr, destroyErr)
	}
	if s := got[0]; !s.Erased && s.Ref != was.Ref {
		t.Errorf("a new key for a forgotten person: %v, was %v", s, was)
	}
	if !told {
		tell(store, sealer)
	}
	if s := subjects(t, sealer, person(1))[0]; !s.Erased {
		t.Errorf("the sealer was told and still has the key (told while it was sealing: %t)", told)
	}
	if n := sealer.CachedCiphers(); n != 0 {
		t.Errorf("the sealer was told and still has %d ciphers (told while it was sealing: %t)", n, told)
	}
	wantForgotten(t, store, sealed)
}

// tell announces the fences that are in the store, as the stream would.
func tell(store *sealtest.Memory, k *seal.Keyring) (told bool) {
	for key := range store.Dump() {
		if handle, ok := strings.CutPrefix(key, "e.acme."); ok {
			k.Evict("acme", handle)
			told = true
		}
	}
	return told
}

// TestEvictionLeavesNoCipher: also of people whom a small cache has no room for any
// more, however many were asked for at once.
func TestEvictionLeavesNoCipher(t *testing.T) {
	t.Parallel()
	for _, atOnce := range []int{1, 7, 60} {
		t.Run(strconv.Itoa(atOnce), func(t *testing.T) {
			t.Parallel()
			store := new(sealtest.Memory)
			k, err := seal.NewKeyring(seal.Config{Store: store, Root: kek, CacheSubjects: 20})
			if err != nil {
				t.Fatal(err)
			}
			people := make([]seal.Person, 60)
			for i := range people {
				people[i] = person(i)
			}
			for some := range slices.Chunk(people, atOnce) {
				subjects(t, k, some...)
			}
			if k.CachedCiphers() == 0 {
				t.Fatal("there never was one")
			}
			forgetter := open(t, store)
			for _, s := range subjects(t, forgetter, people...) {
				if _, err := forgetter.Destroy(t.Context(), "acme", s.Ref); err != nil {
					t.Fatal(err)
				}
			}
			tell(store, k)
			if n := k.CachedCiphers(); n != 0 {
				t.Errorf("%d are left", n)
			}
		})
	}
}

// TestFenceLeavesNoCipher: who reads that a person is fenced keeps no cipher of
// theirs, before they are told and without it.
func TestFenceLeavesNoCipher(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	held := true
	k, err := seal.NewKeyring(seal.Config{Store: store, Root: kek, Held: func() bool { return held }})
	if err != nil {
		t.Fatal(err)
	}
	was := subjects(t, k, person(1), person(2))
	if n := k.CachedCiphers(); n != 2 {
		t.Fatalf("%d ciphers of two people", n)
	}
	if err := open(t, store).Fence(t.Context(), "acme", was[0].Ref); err != nil {
		t.Fatal(err)
	}
	held = false
	if !subjects(t, k, person(1))[0].Erased {
		t.Fatal("the fence was not seen")
	}
	if n := k.CachedCiphers(); n != 1 {
		t.Errorf("%d ciphers, want that of the other", n)
	}
	tell(store, k)
	if n := k.CachedCiphers(); n != 1 {
		t.Errorf("told, %d ciphers, want that of the other", n)
	}
}

// TestKeyringAgainstModel does what processes do, at random and with faults,
// and compares with a model that knows only who has which reference and who is
// forgotten.
func TestKeyringAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{store: &sealtest.Memory{AllOrNone: rapid.Bool().Draw(rt, "all or none")}, letters: map[int]seal.OpenRequest{}, erased: map[int]bool{}}
		for range 3 {
			m.rings = append(m.rings, m.open(t, rt))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"subjects": func(rt *rapid.T) { m.subjects(t, rt) },
			"destroy":  func(rt *rapid.T) { m.destroy(t, rt) },
			"restart":  func(rt *rapid.T) { m.rings[m.ring(rt)] = m.open(t, rt) },
			"":         func(rt *rapid.T) { m.check(t, rt) },
		})
	})
}

type model struct {
	store   *sealtest.Memory
	rings   []*seal.Keyring
	letters map[int]seal.OpenRequest // by person: sealed under the reference they first had
	erased  map[int]bool
}

func (m *model) open(t *testing.T, rt *rapid.T) *seal.Keyring {
	faults := rapid.SliceOfN(rapid.SampledFrom([]sealtest.Verdict{
		sealtest.Pass, sealtest.Pass, sealtest.Pass, sealtest.Fail, sealtest.ApplyThenFail, sealtest.PartlyThenFail,
	}), 0, 30).Draw(rt, "faults")
	var n atomic.Int64
	way := waysToRead[rapid.SampledFrom([]string{"at once", "apart", "backwards"}).Draw(rt, "reads")]
	return open(t, way(&sealtest.Fault{Store: m.store, Judge: func(string, string) sealtest.Verdict {
		if i := int(n.Add(1)) - 1; i < len(faults) {
			return faults[i]
		}
		return sealtest.Pass
	}}))
}

func (m *model) ring(rt *rapid.T) int { return rapid.IntRange(0, len(m.rings)-1).Draw(rt, "ring") }

func (m *model) subjects(t *testing.T, rt *rapid.T) {
	ids := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 4).Draw(rt, "people")
	ps := make([]seal.Person, len(ids))
	for i, id := range ids {
		ps[i] = person(id)
	}
	keys, err := m.rings[m.ring(rt)].Subjects(t.Context(), ps)
	if err != nil {
		return
	}
	for i, id := range ids {
		was, known := m.letters[id]
		switch s := keys[i]; {
		case m.erased[id] && !s.Erased && s.Ref != was.Ref:
			rt.Fatalf("person %d was forgotten and has a new key", id)
		case !m.erased[id] && s.Erased:
			rt.Fatalf("person %d was never forgotten and is erased", id)
		case known && !s.Erased && s.Ref != was.Ref:
			rt.Fatalf("person %d has another reference", id)
		case !known:
			m.letters[id] = letter(t, s, "acme", fmt.Sprint(id))
		}
	}
}

func (m *model) destroy(t *testing.T, rt *rapid.T) {
	id := rapid.IntRange(0, 5).Draw(rt, "person")
	was, known := m.letters[id]
	if !known {
		return
	}
	_, err := m.rings[m.ring(rt)].Destroy(t.Context(), "acme", was.Ref)
	for err != nil { // as its caller does: again, until it is done
		_, err = open(t, m.store).Destroy(t.Context(), "acme", was.Ref)
	}
	m.erased[id] = true
}

func (m *model) check(t *testing.T, rt *rapid.T) {
	k := open(t, m.store)
	for id, r := range m.letters {
		plain, err := k.Open(t.Context(), r)
		if m.erased[id] != (err != nil) || err == nil && string(plain) != fmt.Sprint(id) {
			rt.Fatalf("person %d, forgotten %t: %q, %v", id, m.erased[id], plain, err)
		}
	}
}

// TestASeatAloneIsNobody is what a process leaves that was killed between two
// entries of a person: the next one makes the person anew, and what was left
// neither opens nor forgets anybody else.
func TestASeatAloneIsNobody(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	left := subjects(t, open(t, store), person(1))[0]
	for key := range store.Dump() {
		if strings.HasPrefix(key, "k.") {
			if err := store.Erase(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err := open(t, store).Lookup(t.Context(), person(1))
	wantErr(t, err, seal.ErrNotFound)
	_, err = open(t, store).Open(t.Context(), letter(t, left, "acme", "text"))
	wantErr(t, err, seal.ErrDestroyed)
	s := subjects(t, open(t, store), person(1))[0]
	if s.Ref == left.Ref || s.Erased {
		t.Errorf("made anew: %v, was %v", s, left)
	}
	wantOpens(t, open(t, store), letter(t, s, "acme", "text"), "text")
	_, err = open(t, store).Open(t.Context(), letter(t, left, "acme", "text"))
	wantErr(t, err, seal.ErrDestroyed)
	if _, err := open(t, store).Destroy(t.Context(), "acme", left.Ref); err != nil { // it leads to the person all the same
		t.Fatal(err)
	}
	wantForgotten(t, store, letter(t, s, "acme", "text"))
	wantForgotten(t, store, letter(t, left, "acme", "text"))
}

// TestLosersLeaveNothing has another make the key of the second of three people
// just before they are written: on a store that takes entries one by one the
// seat of the loser is there already.
func TestLosersLeaveNothing(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	winner := subjects(t, open(t, store), person(9))[0] // the tenant, and a bystander
	var once sync.Once
	late := open(t, &sealtest.Fault{Store: store, Judge: func(method, key string) sealtest.Verdict {
		if method == "create" {
			once.Do(func() { winner = subjects(t, open(t, store), person(1))[0] })
		}
		return sealtest.Pass
	}})
	if got := subjects(t, late, people(3)...); got[1].Ref != winner.Ref {
		t.Errorf("the loser has %v, the winner %v", got[1], winner)
	}
	if s, k := stored(store, "s"), stored(store, "k"); s != 4 || k != 4 {
		t.Errorf("%d seats and %d data keys of 4 people", s, k)
	}
}

// TestAKeyIsNeverWithoutItsSeat stops Subjects at each of its calls on a store
// that takes entries one by one: whatever is there as a key can be found by its
// reference.
func TestAKeyIsNeverWithoutItsSeat(t *testing.T) {
	t.Parallel()
	everyCall(t, func() *sealtest.Memory { return new(sealtest.Memory) }, func(t *testing.T, store *sealtest.Memory, faulty seal.Store) {
		_, _ = open(t, faulty).Subjects(t.Context(), people(5))
		k := open(t, store)
		for i := range 5 {
			s, err := k.Lookup(t.Context(), person(i))
			if errors.Is(err, seal.ErrNotFound) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			wantOpens(t, k, letter(t, s, "acme", "text"), "text")
		}
	})
}

func TestADamagedFenceIsNeitherFenceNorNone(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	was := subjects(t, open(t, store), person(1))[0]
	for key := range store.Dump() {
		if handle, ok := strings.CutPrefix(key, "k.acme."); ok {
			store.Tamper("e.acme."+handle, []byte("damaged"))
		}
	}
	k := open(t, store)
	for name, do := range map[string]func() error{
		"subjects": func() error { _, err := k.Subjects(t.Context(), people(2)); return err },
		"lookup":   func() error { _, err := k.Lookup(t.Context(), person(1)); return err },
		"open":     func() error { _, err := k.Open(t.Context(), letter(t, was, "acme", "text")); return err },
		"destroy":  func() error { _, err := k.Destroy(t.Context(), "acme", was.Ref); return err },
	} {
		if err := do(); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("%s: %v, want ErrSealed", name, err)
		}
	}
}

func TestADamagedKeyIsErasedAllTheSame(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	was := subjects(t, open(t, store), person(1))[0]
	tamper(store, "k.")
	if _, err := open(t, store).Destroy(t.Context(), "acme", was.Ref); err != nil {
		t.Fatal(err)
	}
	wantForgotten(t, store, letter(t, was, "acme", "text"))
}

// A seat that cannot be read leads nowhere: to say that the person is gone
// would leave the key where it is.
func TestADamagedSeatIsAnError(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	was := subjects(t, open(t, store), person(1))[0]
	tamper(store, "s.")
	_, err := open(t, store).Destroy(t.Context(), "acme", was.Ref)
	wantErr(t, err, seal.ErrSealed)
	_, err = open(t, store).Open(t.Context(), letter(t, was, "acme", "text"))
	wantErr(t, err, seal.ErrSealed)
}

func tamper(store *sealtest.Memory, prefix string) {
	for key := range store.Dump() {
		if strings.HasPrefix(key, prefix) {
			store.Tamper(key, []byte("damaged"))
		}
	}
}
