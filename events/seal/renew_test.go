package seal_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

// TestRenew: who comes back has another reference and key, by statement alone,
// as often as they were forgotten, and the old ones stay destroyed.
func TestRenew(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	k := open(t, store)
	_, err := k.RenewFor(t.Context(), person(1), events.Ref{})
	wantErr(t, err, seal.ErrNotFound) // no such tenant
	subjects(t, k, person(2))
	_, err = k.RenewFor(t.Context(), person(1), events.Ref{})
	wantErr(t, err, seal.ErrNotFound)
	was := subjects(t, k, person(1))[0]
	for generation := uint32(2); generation < 5; generation++ {
		old := letter(t, was, "acme", "before")
		_, err = k.RenewFor(t.Context(), person(1), events.Ref{})
		wantErr(t, err, seal.ErrLiving)
		if err := k.Fence(t.Context(), "acme", was.Ref); err != nil {
			t.Fatal(err)
		}
		_, err = k.RenewFor(t.Context(), person(1), events.Ref{})
		wantErr(t, err, seal.ErrErasing)
		if _, err := k.Destroy(t.Context(), "acme", was.Ref); err != nil {
			t.Fatal(err)
		}
		if s := subjects(t, open(t, store), person(1))[0]; !s.Erased {
			t.Fatal("came back by themself")
		}
		now, err := k.RenewFor(t.Context(), person(1), events.Ref{})
		if err != nil || now.Erased || now.Ref == was.Ref || now.Ref.IsZero() || now.Generation != generation {
			t.Fatalf("%v %v after %v", now, err, was)
		}
		if s := subjects(t, open(t, store), person(1))[0]; s.Ref != now.Ref || s.Generation != generation {
			t.Errorf("seals as %v, renewed as %v", s, now)
		}
		wantOpens(t, open(t, store), letter(t, now, "acme", "after"), "after")
		_, err = k.Open(t.Context(), old)
		wantErr(t, err, seal.ErrDestroyed)
		was = now
	}
}

// TestRenewForAStatement: called again for the same one, before the fence is gone or
// after, it leaves one key; another finds the person living. Who was forgotten
// since is not known again by it.
func TestRenewForAStatement(t *testing.T) {
	t.Parallel()
	store, by := new(sealtest.Memory), events.Ref{7}
	k := open(t, store)
	wantFor := func(want events.Ref) {
		t.Helper()
		if got, err := k.RenewedFor(t.Context(), person(1)); err != nil || got != want {
			t.Errorf("made for %s, %v, want %s", got, err, want)
		}
	}
	was := subjects(t, k, person(1))[0]
	wantFor(events.Ref{})
	_, err := k.RenewFor(t.Context(), person(1), by)
	wantErr(t, err, seal.ErrLiving)
	forget := func(ref events.Ref) {
		t.Helper()
		if _, err := k.Destroy(t.Context(), "acme", ref); err != nil {
			t.Fatal(err)
		}
		wantFor(events.Ref{})
	}
	forget(was.Ref)
	if _, err := open(t, stuck{store}).RenewFor(t.Context(), person(1), by); err == nil {
		t.Fatal("renewed")
	}
	wantFor(by)
	var first seal.SubjectKey
	for range 2 {
		now, err := k.RenewFor(t.Context(), person(1), by)
		if err != nil || now.Generation != 2 || !first.Ref.IsZero() && now.Ref != first.Ref {
			t.Fatalf("%v %v", now, err)
		}
		first = now
	}
	wantFor(by)
	for _, other := range []events.Ref{{}, {8}} {
		_, err = k.RenewFor(t.Context(), person(1), other)
		wantErr(t, err, seal.ErrLiving)
	}
	forget(first.Ref)
	if s := subjects(t, open(t, store), person(1))[0]; !s.Erased {
		t.Errorf("%v", s)
	}
}

// stuck is a store that erases nothing.
type stuck struct{ seal.Store }

func (stuck) Erase(context.Context, string) error { return errors.New("injected") }

// TestRenewStopped: before the fence is gone the person is forgotten, and the
// next call ends what the first began.
func TestRenewStopped(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	k := open(t, store)
	was := subjects(t, k, person(1))[0]
	if _, err := k.Destroy(t.Context(), "acme", was.Ref); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, stuck{store}).RenewFor(t.Context(), person(1), events.Ref{}); err == nil {
		t.Fatal("renewed")
	}
	if s := subjects(t, open(t, store), person(1))[0]; !s.Erased {
		t.Fatalf("%v", s)
	}
	now, err := k.RenewFor(t.Context(), person(1), events.Ref{})
	if err != nil || now.Generation != 2 {
		t.Errorf("%v %v", now, err)
	}
	if seats, _ := store.List(t.Context(), "s.acme."); len(seats) != 1 {
		t.Errorf("seats %v", seats)
	}
}

// TestRenewCutShort writes so many of the entries of a new key before the call
// ends, or the epoch: in the next epoch the same call goes on. There is one key,
// and the same statement makes no other.
func TestRenewCutShort(t *testing.T) {
	t.Parallel()
	for _, cut := range []error{sealtest.ErrFault, seal.ErrRetired} {
		for n := range 4 {
			t.Run(fmt.Sprintf("%d written, %v", n, cut), func(t *testing.T) { cutShort(t, n, cut) })
		}
	}
}

func cutShort(t *testing.T, n int, cut error) {
	store, by := new(sealtest.Memory), events.Ref{7}
	was := subjects(t, open(t, store), person(1))[0]
	if _, err := open(t, store).Destroy(t.Context(), "acme", was.Ref); err != nil {
		t.Fatal(err)
	}
	known, err := open(t, &scissors{store, n, cut}).RenewFor(t.Context(), person(1), by)
	if goesOn := cut == seal.ErrRetired; goesOn != (err == nil) {
		t.Fatalf("cut short: %v", err)
	}
	if s := subjects(t, open(t, store), person(1))[0]; s.Ref != known.Ref || s.Erased == (err == nil) {
		t.Errorf("%v after %v, %v", s, known, err)
	}
	for range 2 {
		now, err := open(t, store).RenewFor(t.Context(), person(1), by)
		if err != nil || now.Erased || now.Ref == was.Ref || !known.Ref.IsZero() && now.Ref != known.Ref {
			t.Fatalf("%v %v after %v, was %v", now, err, known, was)
		}
		known = now
	}
	if got, err := open(t, store).RenewedFor(t.Context(), person(1)); err != nil || got != by {
		t.Errorf("made for %s, %v, want %s", got, err, by)
	}
	if keys, seats := stored(store, "k"), stored(store, "s"); keys != 1 || cut == seal.ErrRetired && seats != 1 {
		t.Errorf("%d keys and %d seats of one person", keys, seats)
	}
	wantOpens(t, open(t, store), letter(t, known, "acme", "text"), "text")
}

// scissors writes n of the first puts that are more than one, and says why it
// stopped.
type scissors struct {
	seal.Store
	n   int
	why error
}

func (s *scissors) Create(ctx context.Context, unless string, puts ...seal.Put) error {
	if len(puts) == 1 || s.why == nil {
		return s.Store.Create(ctx, unless, puts...)
	}
	why := s.why
	s.why = nil
	return errors.Join(s.Store.Create(ctx, unless, puts[:s.n]...), why)
}

// TestRenewedElsewhere: a process that knew the person as forgotten asks again
// once its knowledge is old.
func TestRenewedElsewhere(t *testing.T) {
	t.Parallel()
	store, now := new(sealtest.Memory), time.Now()
	other, err := seal.NewKeyring(seal.Config{Store: store, Root: kek, CacheTTL: time.Second, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	k := open(t, store)
	was := subjects(t, k, person(1))[0]
	if _, err := k.Destroy(t.Context(), "acme", was.Ref); err != nil {
		t.Fatal(err)
	}
	if s := subjects(t, other, person(1))[0]; !s.Erased {
		t.Fatal(s)
	}
	if _, err := k.RenewFor(t.Context(), person(1), events.Ref{}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if s := subjects(t, other, person(1))[0]; s.Erased || s.Generation != 2 {
		t.Errorf("%v", s)
	}
}
