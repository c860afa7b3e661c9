package seal_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

var aHold, otherHold = events.Ref{0x40}, events.Ref{0x41}

// TestFencedOpensUntilDestroyed, and for nobody else.
func TestFencedOpensUntilDestroyed(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	k, other := open(t, store), open(t, store)
	s := subjects(t, k, person(1))[0]
	r := letter(t, s, "acme", "hello")
	if err := k.Fence(t.Context(), "acme", s.Ref); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(t.Context(), r); !errors.Is(err, seal.ErrDestroyed) {
		t.Errorf("behind the fence: %v", err)
	}
	if again := subjects(t, k, person(1))[0]; !again.Erased {
		t.Error("something is still sealed for who is behind the fence")
	}
	if plain, err := other.OpenFenced(t.Context(), r); err != nil || string(plain) != "hello" {
		t.Errorf("%q %v", plain, err)
	}
	if _, err := k.Destroy(t.Context(), "acme", s.Ref); err != nil {
		t.Fatal(err)
	}
	_, err := other.OpenFenced(t.Context(), r)
	wantErr(t, err, seal.ErrDestroyed)
	if err := k.Fence(t.Context(), "acme", s.Ref); err != nil {
		t.Errorf("fence who is gone: %v", err)
	}
}

// TestHoldKeys open what they sealed until they are destroyed, each for itself,
// and never come back.
func TestHoldKeys(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	k, other := open(t, store), open(t, store)
	sealUnder := func(hold events.Ref) seal.OpenRequest {
		key, err := k.HoldKey(t.Context(), "acme", hold)
		if err != nil {
			t.Fatal(err)
		}
		return letter(t, key, "acme", "kept")
	}
	one, two := sealUnder(aHold), sealUnder(otherHold)
	if plain, err := other.OpenHeld(t.Context(), aHold, one); err != nil || string(plain) != "kept" {
		t.Fatalf("%q %v", plain, err)
	}
	_, err := other.OpenHeld(t.Context(), otherHold, one)
	wantErr(t, err, seal.ErrSealed)
	_, err = other.OpenHeld(t.Context(), events.Ref{9}, one)
	wantErr(t, err, seal.ErrDestroyed)
	for range 2 {
		if err := other.DestroyHold(t.Context(), "acme", aHold); err != nil {
			t.Fatal(err)
		}
	}
	_, err = k.OpenHeld(t.Context(), aHold, one)
	wantErr(t, err, seal.ErrDestroyed)
	_, err = k.HoldKey(t.Context(), "acme", aHold)
	wantErr(t, err, seal.ErrDestroyed)
	if plain, err := k.OpenHeld(t.Context(), otherHold, two); err != nil || string(plain) != "kept" {
		t.Errorf("the other hold: %q %v", plain, err)
	}
	if left, _ := store.List(t.Context(), "h.acme."); len(left) != 1 {
		t.Errorf("%v", left)
	}
}

// TestHoldKeyMadeWhileDestroyed: whoever wins, no key is left.
func TestHoldKeyMadeWhileDestroyed(t *testing.T) {
	t.Parallel()
	for range 200 {
		store := new(sealtest.Memory)
		k, other := open(t, store), open(t, store)
		var racing sync.WaitGroup
		racing.Go(func() { _, _ = k.HoldKey(t.Context(), "acme", aHold) })
		racing.Go(func() { _ = other.DestroyHold(t.Context(), "acme", aHold) })
		racing.Wait()
		if left, err := store.List(t.Context(), "h."); err != nil || len(left) != 0 {
			t.Fatalf("%v %v", left, err)
		}
	}
}

// TestADamagedHoldIsTold, with what of it is damaged. A release that does not open
// is none.
func TestADamagedHoldIsTold(t *testing.T) {
	t.Parallel()
	for prefix, kind := range map[string]string{"h.": "hold key", "r.": "released hold"} {
		s := newSite()
		k := s.keyring(t)
		key, err := k.HoldKey(t.Context(), "acme", aHold)
		if err != nil {
			t.Fatal(err)
		}
		kept := letter(t, key, "acme", "kept")
		names, err := s.store.List(t.Context(), "h.")
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		s.store.Tamper(prefix+strings.TrimPrefix(names[0], "h."), s.store.Dump()[names[0]][:40])
		_, err = k.OpenHeld(t.Context(), aHold, kept)
		if err == nil || errors.Is(err, seal.ErrDestroyed) || !strings.Contains(err.Error(), kind) || len(s.found) != 1 || s.found[0].Entry != kind {
			t.Errorf("%s: %v, found %v", kind, err, s.found)
		}
	}
}
