package audit

import (
	"errors"
	"testing"
	"time"
)

// TestAFenceThatWasTakenIsLeftAlone: a projector whose insert was ended by
// whoever took its fence does not take that back at once, and does when it was
// given up.
func TestAFenceThatWasTakenIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config(w.connect(w.options.Addr[0]))
	cfg.Standby = time.Hour
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // at first, and again after an error of its own
		if _, _, err := p.recover(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := Fence(t.Context(), w.config(w.direct)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.recover(t.Context()); !errors.Is(err, errFenced) {
		t.Errorf("it took the fence back: %v", err)
	}
	if err := Release(t.Context(), w.config(w.direct)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.recover(t.Context()); err != nil {
		t.Errorf("it did not take the fence that was given up: %v", err)
	}
}

// TestAFenceGivenUpIsTaken: a projector that stands by for an hour takes over
// at its next look from one that gives the fence up.
func TestAFenceGivenUpIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config(w.connect(w.options.Addr[0]))
	cfg.Standby = time.Hour
	p, _ := w.start(cfg)
	w.append(10)
	w.awaitAll(p)
	if err := Fence(t.Context(), w.config(w.direct)); err != nil {
		t.Fatal(err)
	}
	w.append(10)
	await(t, "it stands by", func() bool { return p.Status().Standby })
	if err := Release(t.Context(), w.config(w.direct)); err != nil {
		t.Fatal(err)
	}
	w.awaitAll(p)
	w.requireExact()
}
