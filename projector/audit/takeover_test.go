package audit

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
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
	w.takeFence(t)
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
	w.takeFence(t)
	w.append(10)
	await(t, "it stands by", func() bool { return p.Status().Standby })
	if err := Release(t.Context(), w.config(w.direct)); err != nil {
		t.Fatal(err)
	}
	w.awaitAll(p)
	w.requireExact()
}

// TestAFenceIsGivenUpWhenNothingIsInserted: an insert that was let through
// before the fence was taken has ended when it is given up.
func TestAFenceIsGivenUpWhenNothingIsInserted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config(w.direct).withDefaults()
	id := fenceOf(t, &cfg).prefix + "earlier.1"
	running := func() uint64 { return w.count("SELECT count() FROM system.processes WHERE query_id = '" + id + "'") }
	conn, ended := w.connect(w.options.Addr[0]), make(chan error, 1)
	go func() {
		ctx := clickhouse.Context(context.Background(), clickhouse.WithQueryID(id))
		ended <- conn.Exec(ctx, "SELECT sleepEachRow(0.2) FROM numbers(300) SETTINGS max_block_size = 1")
	}()
	await(t, "the insert runs", func() bool { return running() == 1 })
	if err := Release(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if running() > 0 {
		t.Error("it still runs")
	}
	if err := <-ended; err == nil {
		t.Error("it came to its end")
	}
}

// TestOnlyTheHolderGivesUp: the fence of another who has taken it since stays
// theirs.
func TestOnlyTheHolderGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config(w.direct).withDefaults()
	first, second := fenceOf(t, &cfg), fenceOf(t, &cfg)
	for _, f := range []*fence{first, second} {
		if err := f.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.giveUp(t.Context()); !errors.Is(err, errFenced) {
		t.Errorf("err %v", err)
	}
	if holder, err := second.current(t.Context()); err != nil || holder != second.holder {
		t.Errorf("holder %q: %v", holder, err)
	}
	if err := second.giveUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if holder, err := second.current(t.Context()); err != nil || holder != nobody {
		t.Errorf("holder %q: %v", holder, err)
	}
}

// TestAnErrorIsNoTakeover: a projector that stands by and cannot look for once
// does not take the fence from one that is there.
func TestAnErrorIsNoTakeover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := newProxy(t, w.options.Addr[0])
	cfg := w.config(w.connect(proxy.addr()))
	cfg.Standby = time.Hour
	p, _ := w.start(cfg)
	w.append(10)
	w.awaitAll(p)
	w.takeFence(t)
	w.append(10)
	await(t, "it stands by", func() bool { return p.Status().Standby })
	proxy.arm("SELECT argMax(holder", failed, nil)
	await(t, "it could not look", proxy.hasStruck)
	await(t, "it says so", func() bool { return p.Status().Err != nil || !p.Status().Standby })
	await(t, "it looks again", func() bool { return p.Status().Err == nil || !p.Status().Standby })
	if n := w.count("SELECT count() FROM events"); n != 10 || !p.Status().Standby {
		t.Errorf("%d events: it has taken the fence back", n)
	}
	if err := Release(t.Context(), w.config(w.direct)); err != nil {
		t.Fatal(err)
	}
	w.awaitAll(p)
	w.requireExact()
}

// TestAFenceTakenWithoutAnAnswerIsOurs: a projector that took the fence and was
// not told so does not stand by for itself.
func TestAFenceTakenWithoutAnAnswerIsOurs(t *testing.T) {
	t.Parallel()
	for _, f := range []fault{failed, applied} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			proxy := newProxy(t, w.options.Addr[0])
			p, err := New(w.config(w.connect(proxy.addr())))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := p.recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				fences := w.count("SELECT count() FROM fences")
				proxy.arm("INSERT INTO fences", f, func() bool { return w.count("SELECT count() FROM fences") > fences })
				if _, _, err := p.recover(t.Context()); err == nil || errors.Is(err, errFenced) {
					t.Fatalf("err %v: want that of the connection", err)
				}
			}
			if _, _, err := p.recover(t.Context()); err != nil {
				t.Errorf("it stands by for itself: %v", err)
			}
			w.takeFence(t)
			if _, _, err := p.recover(t.Context()); !errors.Is(err, errFenced) {
				t.Errorf("it took the fence back: %v", err)
			}
		})
	}
}
