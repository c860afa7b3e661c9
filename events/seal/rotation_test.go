package seal_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

const (
	week = 7 * 24 * time.Hour
	day  = 24 * time.Hour
)

// site is a keyring's store and root, and the time of everybody who uses them.
type site struct {
	store *sealtest.Memory
	root  *sealtest.MemoryRoot
	now   time.Time
	found []seal.Tampering
}

func newSite() *site {
	return &site{store: new(sealtest.Memory), root: new(sealtest.MemoryRoot), now: time.Unix(1_800_000_000, 0)}
}

// open is a keyring of the site, as a process of its own would have it, over
// another way to the store or its own.
func (s *site) open(t testing.TB, store seal.Store, root seal.Root) *seal.Keyring {
	t.Helper()
	k, err := seal.NewKeyring(seal.Config{
		Store: store, Root: root, Now: func() time.Time { return s.now },
		OnTampering: func(f seal.Tampering) { s.found = append(s.found, f) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (s *site) keyring(t testing.TB) *seal.Keyring { return s.open(t, s.store, s.root) }

// rotation is one of the site's, over a way to the store and the root.
func (s *site) rotation(t testing.TB, store sealtest.RevisionStore, root seal.Root) *seal.Rotation {
	t.Helper()
	r, err := seal.NewRotation(seal.RotationConfig{
		Keyring: s.open(t, store, root), Revisions: store, Share: 100, Every: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Lock: func(ctx context.Context) (context.Context, func(), error) { return ctx, func() {}, ctx.Err() },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// turn does what is due.
func (s *site) turn(t testing.TB) {
	t.Helper()
	if err := s.rotation(t, s.store, s.root).Turn(t.Context()); err != nil {
		t.Fatalf("turn: %v", err)
	}
}

// rotate ends the current epoch, and destroys its key.
func (s *site) rotate(t testing.TB) {
	t.Helper()
	s.now = s.now.Add(week)
	s.turn(t)
	s.now = s.now.Add(day)
	s.turn(t)
}

// wantSound checks that every entry is wrapped in an epoch whose key the root
// has, and opens.
func (s *site) wantSound(t testing.TB) {
	t.Helper()
	k := s.keyring(t)
	for name, v := range s.store.Dump() {
		if !seal.OfEpochs(name) {
			k.Unwrap(name, v)
		}
	}
	if len(s.found) > 0 {
		t.Errorf("found: %v", s.found)
	}
}

// wantEpochs checks which epoch is current, and of how many the root has a key.
func (s *site) wantEpochs(t testing.TB, current uint32, keys int) {
	t.Helper()
	all, err := s.keyring(t).Epochs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := all[len(all)-1].Number; n != current || len(all) != int(current) {
		t.Errorf("epoch %d of %d, want %d", n, len(all), current)
	}
	if n := s.root.Keys(); n != keys {
		t.Errorf("the root has %d keys, want %d", n, keys)
	}
}

func TestSurvivorsAreWrappedAnewAndTheKeyIsDestroyed(t *testing.T) {
	t.Parallel()
	s := newSite()
	long := s.keyring(t) // lives through all
	keys := subjects(t, long, people(10)...)
	sealed := letter(t, keys[1], "acme", "text")
	forgotten := letter(t, keys[2], "acme", "forgotten")
	if _, err := long.Destroy(t.Context(), "acme", keys[2].Ref); err != nil {
		t.Fatal(err)
	}
	s.turn(t)
	s.wantEpochs(t, 1, 1)
	s.now = s.now.Add(week - time.Second)
	s.turn(t)
	s.wantEpochs(t, 1, 1)
	s.now = s.now.Add(time.Second)
	s.turn(t)
	s.wantEpochs(t, 2, 2) // the first is kept for a day
	for name, v := range s.store.Dump() {
		if n, _ := seal.EpochOf(v); n != 2 && !seal.OfEpochs(name) {
			t.Errorf("entry %s is wrapped in epoch %d", name, n)
		}
	}
	s.now = s.now.Add(day - time.Second)
	s.turn(t)
	s.wantEpochs(t, 2, 2)
	s.now = s.now.Add(time.Second)
	s.turn(t)
	s.wantEpochs(t, 2, 1)
	for range 3 {
		s.rotate(t)
	}
	s.wantEpochs(t, 5, 1)
	s.wantSound(t)
	for name, k := range map[string]*seal.Keyring{"new": s.keyring(t), "old": long} {
		wantOpens(t, k, sealed, "text")
		_, err := k.Open(t.Context(), forgotten)
		wantErr(t, err, seal.ErrDestroyed)
		for i, again := range subjects(t, k, people(10)...) {
			if again.Erased != (i == 2) || !again.Erased && again.Ref != keys[i].Ref {
				t.Errorf("%s, person %d: %v, was %v", name, i, again, keys[i])
			}
		}
		wantOpens(t, s.keyring(t), letter(t, subjects(t, k, person(100))[0], "acme", "new"), "new")
	}
}

// oldCopy is what somebody kept from before person 1 was forgotten, and what
// they have it open with: all that is left of the root.
func oldCopy(t *testing.T, destroy bool) error {
	t.Helper()
	s := newSite()
	keys := subjects(t, s.keyring(t), people(3)...)
	sealed := letter(t, keys[1], "acme", "text")
	copied, root := s.store.Dump(), s.root.Copy()
	if _, err := s.keyring(t).Destroy(t.Context(), "acme", keys[1].Ref); err != nil {
		t.Fatal(err)
	}
	s.rotate(t)
	if destroy {
		root = s.root.Copy()
	}
	thief := &site{store: sealtest.Restore(copied), root: root, now: s.now}
	_, err := thief.keyring(t).Open(t.Context(), sealed)
	return err
}

func TestACopyFromBeforeAnErasureOpensNothingOnceTheRootsKeyIsGone(t *testing.T) {
	t.Parallel()
	wantErr(t, oldCopy(t, true), seal.ErrEpoch)
	if err := oldCopy(t, false); err != nil {
		t.Errorf("with the root's key it does not open either, so this test shows nothing: %v", err)
	}
}

// everyTurnCall runs do for each verdict and each call that a turn makes of its
// store and its root.
func everyTurnCall(t *testing.T, do func(t *testing.T, judge func(string, string) sealtest.Verdict)) {
	for name, v := range verdicts {
		for n := 1; ; n++ {
			judge, calls := atCall(n, v)
			t.Run(fmt.Sprintf("call %d %s", n, name), func(t *testing.T) { do(t, judge) })
			if calls.Load() < int64(n) {
				break
			}
			if n > 200 {
				t.Fatal("calls without end")
			}
		}
	}
}

// faulty is a way to the store, and one to the root, with one judge.
func (s *site) faulty(judge func(string, string) sealtest.Verdict) (*sealtest.Fault, seal.Root) {
	return &sealtest.Fault{Store: s.store, Judge: judge}, judgedRoot{s.root, judge}
}

// judgedRoot is a handle on a root whose calls can fail.
type judgedRoot struct {
	*sealtest.MemoryRoot
	judge func(method, key string) sealtest.Verdict
}

func (r judgedRoot) judged(method, key string, call func() error) error {
	switch r.judge(method, key) {
	case sealtest.Pass:
		return call()
	case sealtest.ApplyThenFail:
		_ = call()
	}
	return sealtest.ErrFault
}

func (r judgedRoot) Wrap(ctx context.Context, secret []byte) (w seal.Wrapped, err error) {
	err = r.judged("wrap", "", func() (err error) { w, err = r.MemoryRoot.Wrap(ctx, secret); return err })
	return w, err
}

func (r judgedRoot) Unwrap(ctx context.Context, w seal.Wrapped) (out []byte, err error) {
	err = r.judged("unwrap", w.Key, func() (err error) { out, err = r.MemoryRoot.Unwrap(ctx, w); return err })
	return out, err
}

func (r judgedRoot) Destroy(ctx context.Context, key string) (gone time.Time, err error) {
	err = r.judged("destroy", key, func() (err error) { gone, err = r.MemoryRoot.Destroy(ctx, key); return err })
	return gone, err
}

// TestRotationSurvivesEveryFault stops a rotation at each of its calls, of store
// and root, done or not: the next goes on there, and in the end nothing is lost.
func TestRotationSurvivesEveryFault(t *testing.T) {
	t.Parallel()
	everyTurnCall(t, func(t *testing.T, judge func(string, string) sealtest.Verdict) {
		s := newSite()
		keys := subjects(t, s.keyring(t), people(6)...)
		sealed := letter(t, keys[1], "acme", "text")
		if _, err := s.keyring(t).Destroy(t.Context(), "acme", keys[2].Ref); err != nil {
			t.Fatal(err)
		}
		store, root := s.faulty(judge)
		for range 2 { // begins the next epoch, and destroys the one before it
			s.now = s.now.Add(week + day)
			_ = s.rotation(t, store, root).Turn(t.Context())
			wantOpens(t, s.keyring(t), sealed, "text")
		}
		s.rotate(t)
		s.rotate(t)
		s.wantSound(t)
		wantOpens(t, s.keyring(t), sealed, "text")
		if again := subjects(t, s.keyring(t), person(2))[0]; !again.Erased {
			t.Error("a forgotten person is back")
		}
		if n := s.root.Keys(); n > 2 { // one for the current epoch, and one that was made for nothing
			t.Errorf("%d keys of the root are left", n)
		}
	})
}

// TestAWriterThatSlept stops one who makes keys at each call, lets the epoch end
// and its key be destroyed, and wakes it: nothing it writes is in that epoch, and
// nothing it gives away is lost.
func TestAWriterThatSlept(t *testing.T) {
	t.Parallel()
	for i := 1; i <= 14; i++ {
		for _, allOrNone := range []bool{true, false} {
			t.Run(fmt.Sprint("at call ", i, allOrNone), func(t *testing.T) {
				s := newSite()
				s.store.AllOrNone = allOrNone
				subjects(t, s.keyring(t), person(9))
				asleep := newGate(i)
				writer := s.open(t, &sealtest.Fault{Store: s.store, Judge: asleep.judge}, s.root)
				var got []seal.SubjectKey
				var err error
				wake := asleep.run(func() { got, err = writer.Subjects(t.Context(), people(3)) })
				s.rotate(t)
				s.rotate(t)
				wake()
				if err != nil {
					t.Fatal(err)
				}
				s.rotate(t)
				s.wantSound(t)
				for j, k := range got {
					wantOpens(t, s.keyring(t), letter(t, k, "acme", fmt.Sprint(j)), fmt.Sprint(j))
				}
			})
		}
	}
}

// TestErasedWhileWrappedAnew stops a rotation at each call, begins to forget
// somebody up to each call of that, and finishes both: they stay forgotten.
func TestErasedWhileWrappedAnew(t *testing.T) {
	t.Parallel()
	for i := 1; i <= 22; i++ {
		for j := 1; j <= 8; j++ {
			t.Run(fmt.Sprint(i, " then ", j), func(t *testing.T) {
				s := newSite()
				was := subjects(t, s.keyring(t), person(1), person(2))
				sealed, other := letter(t, was[0], "acme", "text"), letter(t, was[1], "acme", "other")
				s.now = s.now.Add(week)
				rotating, destroying := newGate(i), newGate(j)
				rotation := s.rotation(t, &sealtest.Fault{Store: s.store, Judge: rotating.judge}, s.root)
				destroyer := s.open(t, &sealtest.Fault{Store: s.store, Judge: destroying.judge}, s.root)
				var turned, destroyed error
				finishTurn := rotating.run(func() { turned = rotation.Turn(t.Context()) })
				finishDestroy := destroying.run(func() { _, destroyed = destroyer.Destroy(t.Context(), "acme", was[0].Ref) })
				finishTurn()
				finishDestroy()
				if turned != nil || destroyed != nil {
					t.Fatalf("turn: %v; destroy: %v", turned, destroyed)
				}
				s.rotate(t)
				s.wantSound(t)
				k := s.keyring(t)
				_, err := k.Open(t.Context(), sealed)
				wantErr(t, err, seal.ErrDestroyed)
				if again := subjects(t, k, person(1))[0]; !again.Erased {
					t.Error("a forgotten person is back")
				}
				if n := stored(s.store, "k"); n != 1 {
					t.Errorf("%d data keys of one person", n)
				}
				if n := stored(s.store, "s"); n != 1 {
					t.Errorf("%d references of one person", n)
				}
				wantOpens(t, k, other, "other")
			})
		}
	}
}

// TestTwoRotations has one stopped at each call, another do all there is to do,
// even two epochs further, and the first go on.
func TestTwoRotations(t *testing.T) {
	t.Parallel()
	for i := 1; i <= 22; i++ {
		for further := range 3 {
			t.Run(fmt.Sprint(i, " and ", further), func(t *testing.T) {
				s := newSite()
				keys := subjects(t, s.keyring(t), people(4)...)
				s.now = s.now.Add(week)
				asleep := newGate(i)
				store, root := s.faulty(asleep.judge)
				slow := s.rotation(t, store, root)
				wake := asleep.run(func() { _ = slow.Turn(t.Context()) })
				s.turn(t)
				for range further {
					s.rotate(t)
				}
				wake()
				s.rotate(t)
				s.wantSound(t)
				for _, k := range keys {
					wantOpens(t, s.keyring(t), letter(t, k, "acme", "text"), "text")
				}
				if n := s.root.Keys(); n > 1 {
					t.Errorf("%d keys of the root are left", n)
				}
			})
		}
	}
}

// TestARotationThatSleptIntoTheNextEpoch stops one at each call, and another that
// begins a further epoch at each of its own, and lets them go on in that order.
func TestARotationThatSleptIntoTheNextEpoch(t *testing.T) {
	t.Parallel()
	for i := 1; i <= 22; i++ {
		for j := 1; j <= 12; j++ {
			t.Run(fmt.Sprint(i, " and ", j), func(t *testing.T) {
				s := newSite()
				keys := subjects(t, s.keyring(t), people(2)...)
				s.now = s.now.Add(week)
				first, second := newGate(i), newGate(j)
				store, root := s.faulty(first.judge)
				slow := s.rotation(t, store, root)
				wakeSlow := first.run(func() { _ = slow.Turn(t.Context()) })
				s.now = s.now.Add(week)
				store, root = s.faulty(second.judge)
				next := s.rotation(t, store, root)
				wakeNext := second.run(func() { _ = next.Turn(t.Context()) })
				wakeSlow()
				wakeNext()
				s.now = s.now.Add(day)
				s.turn(t)
				s.wantSound(t)
				for _, k := range keys {
					wantOpens(t, s.keyring(t), letter(t, k, "acme", "text"), "text")
				}
			})
		}
	}
}

// TestAnEntryThatDoesNotOpenKeepsTheKey: it may be restored from a backup.
func TestAnEntryThatDoesNotOpenKeepsTheKey(t *testing.T) {
	t.Parallel()
	s := newSite()
	sealed := letter(t, subjects(t, s.keyring(t), person(1), person(2))[0], "acme", "text")
	var damaged string
	var good []byte
	for name, v := range s.store.Dump() {
		if strings.HasPrefix(name, "k.") {
			damaged, good = name, v
		}
	}
	bad := append([]byte(nil), good...)
	bad[len(bad)-1] ^= 1
	s.store.Tamper(damaged, bad)
	r := s.rotation(t, s.store, s.root)
	for range 3 {
		s.now = s.now.Add(week + day)
		if err := r.Turn(t.Context()); err == nil || !strings.Contains(err.Error(), "do not open") {
			t.Fatalf("turn: %v", err)
		}
	}
	s.now = s.now.Add(day)
	if until, err := s.keyring(t).Residue(t.Context()); !errors.Is(err, seal.ErrOverdue) {
		t.Errorf("a copy opens nothing from %v, %v, though an epoch keeps its key", until, err)
	}
	if n := s.root.Keys(); n != 4 {
		t.Fatalf("the root has %d keys, want 4: a key may still be needed", n)
	}
	if len(s.found) == 0 || s.found[0] != (seal.Tampering{Kind: seal.EntryDamaged, Tenant: "acme", Entry: "data key"}) {
		t.Errorf("found %v", s.found)
	}
	if r.Stats().Damaged != 1 {
		t.Errorf("%d entries are damaged, want 1", r.Stats().Damaged)
	}
	s.store.Tamper(damaged, good)
	s.found = nil
	s.rotate(t)
	if until, err := s.keyring(t).Residue(t.Context()); err != nil || !until.After(s.now) {
		t.Errorf("residue %v, %v", until, err)
	}
	s.wantEpochs(t, 5, 1)
	s.wantSound(t)
	wantOpens(t, s.keyring(t), sealed, "text")
}

// TestE03AKeyThatWasPutBack is a forgotten person's entries put back by somebody
// who had a copy: they open nothing, are reported, and go with the next epoch.
func TestE03AKeyThatWasPutBack(t *testing.T) {
	t.Parallel()
	s := newSite()
	was := subjects(t, s.keyring(t), person(1))[0]
	sealed, before := letter(t, was, "acme", "text"), s.store.Dump()
	if _, err := s.keyring(t).Destroy(t.Context(), "acme", was.Ref); err != nil {
		t.Fatal(err)
	}
	for name, v := range before {
		if strings.HasPrefix(name, "k.") || strings.HasPrefix(name, "s.") {
			s.store.Tamper(name, v)
		}
	}
	_, err := s.keyring(t).Open(t.Context(), sealed)
	wantErr(t, err, seal.ErrDestroyed)
	if len(s.found) > 0 { // it could be about to be erased
		t.Errorf("found %v", s.found)
	}
	s.now = s.now.Add(2 * time.Hour)
	_, err = s.keyring(t).Open(t.Context(), sealed)
	wantErr(t, err, seal.ErrDestroyed)
	want := seal.Tampering{Kind: seal.KeyReturned, Tenant: "acme", Entry: "data key"}
	if len(s.found) != 1 || s.found[0] != want {
		t.Errorf("found %v, want %v", s.found, want)
	}
	if k := subjects(t, s.keyring(t), person(1))[0]; !k.Erased {
		t.Error("the person is back")
	}
	s.found = nil
	s.rotate(t)
	if len(s.found) == 0 || s.found[0].Kind != seal.KeyReturned {
		t.Errorf("found %v while it was erased", s.found)
	}
	if n := stored(s.store, "k"); n != 0 {
		t.Errorf("%d data keys are left", n)
	}
}

func TestAnotherRootDestroysNothing(t *testing.T) {
	t.Parallel()
	s := newSite()
	sealed := letter(t, subjects(t, s.keyring(t), person(1))[0], "acme", "text")
	s.now = s.now.Add(week)
	other := s.rotation(t, s.store, new(sealtest.MemoryRoot))
	wantErr(t, other.Turn(t.Context()), seal.ErrEpoch)
	s.wantEpochs(t, 1, 1)
	s.turn(t)
	s.now = s.now.Add(day)
	wantErr(t, other.Turn(t.Context()), seal.ErrEpoch)
	all, err := s.keyring(t).Epochs(t.Context())
	if err != nil || !all[0].Destroyed.IsZero() {
		t.Errorf("%v, %v: a root that never had the key says that it is destroyed", all, err)
	}
	s.turn(t)
	s.wantEpochs(t, 2, 1)
	wantOpens(t, s.keyring(t), sealed, "text")
}

func TestResidue(t *testing.T) {
	t.Parallel()
	s := newSite()
	start := s.now
	subjects(t, s.keyring(t), person(1))
	want := func(at time.Time) {
		t.Helper()
		got, err := s.keyring(t).Residue(t.Context())
		if err != nil || !got.Equal(at) {
			t.Fatalf("residue %v, %v; want %v", got, err, at)
		}
	}
	want(start.Add(week + day))
	s.now = start.Add(3 * day)
	want(start.Add(week + day))
	s.now = start.Add(week + time.Hour)
	s.turn(t)
	want(start.Add(2*week + day + time.Hour))
	s.now = start.Add(week + day + time.Hour)
	s.turn(t)
	copied, root := s.store.Dump(), s.root.Copy() // made before the date that was given first, which has passed
	want(start.Add(2*week + day + time.Hour))
	s.now = start.Add(2*week + 2*time.Hour) // an hour late: the key cannot go before it is kept as long as any
	want(s.now.Add(day))
	s.now = start.Add(3 * week) // nobody rotates
	_, err := s.keyring(t).Residue(t.Context())
	wantErr(t, err, seal.ErrOverdue)
	thief := &site{store: sealtest.Restore(copied), root: root, now: s.now}
	subjects(t, thief.keyring(t), person(1)) // it is not gone yet: that is why the date moves
	s.turn(t)
	want(s.now.Add(week + day))

	fixed := open(t, new(sealtest.Memory))
	subjects(t, fixed, person(1))
	_, err = fixed.Residue(t.Context())
	wantErr(t, err, seal.ErrPermanent)
	if _, err := seal.NewRotation(seal.RotationConfig{
		Keyring: fixed, Revisions: new(sealtest.Memory), Logger: slog.New(slog.DiscardHandler),
		Lock: func(ctx context.Context) (context.Context, func(), error) { return ctx, func() {}, nil },
	}); err == nil {
		t.Error("a root that cannot destroy is rotated")
	}
}

func TestRunRotatesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	s := newSite()
	sealed := letter(t, subjects(t, s.keyring(t), people(5)...)[1], "acme", "text")
	s.now = s.now.Add(week)
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	judge := func(string, string) sealtest.Verdict {
		if calls++; calls == 1 || calls == 4 {
			return sealtest.Fail // it goes on all the same
		}
		if s.root.Keys() == 1 && stored(s.store, "z") == 1 {
			cancel()
		}
		return sealtest.Pass
	}
	r := s.rotation(t, &sealtest.Fault{Store: s.store, Judge: judge}, s.root)
	s.turn(t)
	s.now = s.now.Add(day)
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	s.wantEpochs(t, 2, 1)
	wantOpens(t, s.keyring(t), sealed, "text")
}

// TestAnotherStoreInThePlaceOfTheFirst: nothing is wrapped in an epoch that the
// store does not have, even if this process could unwrap it.
func TestAnotherStoreInThePlaceOfTheFirst(t *testing.T) {
	t.Parallel()
	s := newSite()
	store := &sealtest.Fault{Store: s.store, Judge: func(string, string) sealtest.Verdict { return sealtest.Pass }}
	k := s.open(t, store, s.root)
	subjects(t, k, person(1))
	s.store = new(sealtest.Memory)
	store.Store = s.store
	s.now = s.now.Add(time.Minute)
	sealed := letter(t, subjects(t, k, person(2))[0], "acme", "text")
	s.wantSound(t)
	wantOpens(t, s.keyring(t), sealed, "text")
}

// widest is a store that knows of how many entries it was asked for at once.
type widest struct {
	*sealtest.Memory
	most int
}

func (w *widest) Get(ctx context.Context, keys ...string) (map[string][]byte, error) {
	w.most = max(w.most, len(keys))
	return w.Memory.Get(ctx, keys...)
}

func (w *widest) Replace(ctx context.Context, unless string, entries ...seal.Stored) error {
	w.most = max(w.most, len(entries))
	return w.Memory.Replace(ctx, unless, entries...)
}

func (w *widest) List(ctx context.Context, prefix string) ([]string, error) {
	out, err := w.Memory.List(ctx, prefix)
	w.most = max(w.most, len(out))
	return out, err
}

func TestARotationHoldsAPage(t *testing.T) {
	t.Parallel()
	s := newSite()
	subjects(t, s.keyring(t), people(500)...)
	s.now = s.now.Add(week)
	store := &widest{Memory: s.store}
	r := s.rotation(t, store, s.root)
	if err := r.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if store.most > 10 || r.Stats().Rewrapped != 1002 { // a page of Memory has four entries; there are two epochs
		t.Errorf("%d entries at once, %d in all", store.most, r.Stats().Rewrapped)
	}
	s.wantSound(t)
}

// TestWhatNobodyWaitsForIsNotUsed: a process that is not held, and was not told
// of a fence, asks the store before it uses a cached key.
func TestWhatNobodyWaitsForIsNotUsed(t *testing.T) {
	t.Parallel()
	s, held := newSite(), true
	k, err := seal.NewKeyring(seal.Config{Store: s.store, Root: s.root, Held: func() bool { return held }})
	if err != nil {
		t.Fatal(err)
	}
	first := subjects(t, k, people(4)...)
	forget := func(n int) {
		t.Helper()
		if _, err := s.keyring(t).Destroy(t.Context(), "acme", first[n].Ref); err != nil {
			t.Fatal(err)
		}
	}
	wantErased := func(n int, want bool) {
		t.Helper()
		if got := subjects(t, k, person(n))[0]; got.Erased != want {
			t.Errorf("person %d: erased %t, want %t", n, got.Erased, want)
		}
	}
	forget(0)
	wantErased(0, false) // it was not told, and whoever sets a fence waits until it is
	held = false
	wantErased(0, true)
	wantErased(1, false)
	held = true
	forget(1)
	wantErased(1, false)
	k.Evict("acme", "") // nobody knows any more who it was
	wantErased(1, true)
	wantErased(2, false)
}

func TestDestroyedEpochsAreForgotten(t *testing.T) {
	t.Parallel()
	s := newSite()
	long := s.keyring(t)
	sealed := letter(t, subjects(t, long, person(1))[0], "acme", "text")
	for range 3 {
		s.rotate(t)
		subjects(t, long, person(2))
		wantOpens(t, long, sealed, "text")
	}
	if n := long.OpenedEpochs(); n < 2 {
		t.Fatalf("%d keys in memory: there is nothing to forget", n)
	}
	if err := long.ForgetEpochs(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := long.OpenedEpochs(); n != 1 {
		t.Errorf("%d keys in memory, want that of the current epoch", n)
	}
	wantOpens(t, long, sealed, "text")
}

func TestLeft(t *testing.T) {
	t.Parallel()
	s := newSite()
	subjects(t, s.keyring(t), people(5)...)
	want := func(n int) {
		t.Helper()
		left, err := s.keyring(t).Left(t.Context(), s.store)
		if err != nil || left[1] != n || len(left) > 1 {
			t.Fatalf("left %v, %v; want %d of the first", left, err, n)
		}
	}
	want(0) // it is the current one
	s.now = s.now.Add(week)
	replaced := 0
	store := &sealtest.Fault{Store: s.store, Judge: func(method, _ string) sealtest.Verdict {
		if method == "replace" {
			if replaced++; replaced > 2 {
				return sealtest.Fail
			}
		}
		return sealtest.Pass
	}}
	if err := s.rotation(t, store, s.root).Turn(t.Context()); err == nil {
		t.Fatal("the fault is not told")
	}
	want(12 - 7) // tenant, feed key and five people; a page of four holds the epoch, too
	s.turn(t)
	want(0)
}

// TestWhatIsFencedAndNotDestroyedIsKept: a hold's part may wait for its stores,
// for days, before the key goes.
func TestWhatIsFencedAndNotDestroyedIsKept(t *testing.T) {
	t.Parallel()
	s := newSite()
	was := subjects(t, s.keyring(t), person(1))[0]
	sealed := letter(t, was, "acme", "text")
	if err := s.keyring(t).Fence(t.Context(), "acme", was.Ref); err != nil {
		t.Fatal(err)
	}
	s.rotate(t)
	if plain, err := s.keyring(t).OpenFenced(t.Context(), sealed); err != nil || string(plain) != "text" {
		t.Fatalf("open: %q, %v", plain, err)
	}
	if k := subjects(t, s.keyring(t), person(1))[0]; !k.Erased {
		t.Error("the fence is gone")
	}
	if _, err := s.keyring(t).Destroy(t.Context(), "acme", was.Ref); err != nil {
		t.Fatal(err)
	}
	if _, err := s.keyring(t).RenewFor(t.Context(), person(1), events.Ref{}); err != nil {
		t.Fatal(err)
	}
	s.rotate(t)
	back := subjects(t, s.keyring(t), person(1))[0]
	wantOpens(t, s.keyring(t), letter(t, back, "acme", "again"), "again")
	s.wantSound(t)
}

// stuck is a rotation for which making epoch 2 ends as verdict says.
func (s *site) stuck(t *testing.T, verdict *sealtest.Verdict) *seal.Rotation {
	t.Helper()
	return s.rotation(t, &sealtest.Fault{Store: s.store, Judge: func(method, key string) sealtest.Verdict {
		if method == "create" && key == "x.2" {
			return *verdict
		}
		return sealtest.Pass
	}}, s.root)
}

// turnAfter turns r that much later, each time.
func (s *site) turnAfter(t *testing.T, r *seal.Rotation, each ...time.Duration) {
	t.Helper()
	for _, after := range each {
		s.now = s.now.Add(after)
		if err := r.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnEpochThatCannotBeginMakesOneKey, however often it is tried, and none that
// two epochs share.
func TestAnEpochThatCannotBeginMakesOneKey(t *testing.T) {
	t.Parallel()
	for name, verdict := range map[string]sealtest.Verdict{"nothing was written": sealtest.Fail, "it was written": sealtest.ApplyThenFail} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite()
			subjects(t, s.keyring(t), people(3)...)
			r := s.stuck(t, &verdict)
			s.now = s.now.Add(week)
			if err := r.Turn(t.Context()); err == nil {
				t.Fatal("the fault is not told")
			}
			for range 5 {
				_ = r.Turn(t.Context())
			}
			if n := s.root.Keys(); n != 2 {
				t.Errorf("the root has %d keys", n)
			}
			verdict = sealtest.Pass
			s.turnAfter(t, r, 0, week, day)
			s.wantEpochs(t, 3, 1)
			s.wantSound(t)
		})
	}
}

// TestAKeyThatWasNotNeededIsDestroyed: another process begins the epoch for which
// this one has made a key.
func TestAKeyThatWasNotNeededIsDestroyed(t *testing.T) {
	t.Parallel()
	s, verdict := newSite(), sealtest.Fail
	subjects(t, s.keyring(t), people(3)...)
	r := s.stuck(t, &verdict)
	s.now = s.now.Add(week)
	if err := r.Turn(t.Context()); err == nil {
		t.Fatal("the fault is not told")
	}
	s.turn(t)
	s.turnAfter(t, r, week, day)
	s.wantEpochs(t, 3, 1)
	s.wantSound(t)
}

// TestAClockThatWasAhead begins an epoch: it and the one before it end as if that
// had been right.
func TestAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	s := newSite()
	subjects(t, s.keyring(t), people(3)...)
	const ahead = 300 * day
	s.now = s.now.Add(week + ahead)
	s.turn(t)
	s.wantEpochs(t, 2, 2)
	s.now = s.now.Add(-ahead)
	s.turn(t)
	s.now = s.now.Add(day)
	s.turn(t)
	s.wantEpochs(t, 3, 1)
	s.now = s.now.Add(week - day - time.Hour)
	s.turn(t)
	s.wantEpochs(t, 3, 1)
	s.wantSound(t)
}

// TestAnEpochThatEndsWhileItIsForgotten: this process drops the key of an epoch
// right before it writes in it.
func TestAnEpochThatEndsWhileItIsForgotten(t *testing.T) {
	t.Parallel()
	s := newSite()
	var k *seal.Keyring
	ended := false
	k = s.open(t, &sealtest.Fault{Store: s.store, Judge: func(method, key string) sealtest.Verdict {
		if method == "create" && !strings.HasPrefix(key, "x.") && !ended && s.now.After(time.Unix(1_800_000_000, 0)) {
			ended = true
			s.rotate(t)
			if err := k.ForgetEpochs(t.Context()); err != nil {
				t.Error(err)
			}
		}
		return sealtest.Pass
	}}, s.root)
	subjects(t, k, person(1))
	s.now = s.now.Add(time.Second)
	subjects(t, k, person(2))
	s.wantEpochs(t, 2, 1)
	s.wantSound(t)
}
