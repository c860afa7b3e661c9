package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/erasure"
)

// faulty is a keyring, an archive and a shelf of which one call fails, before or
// after it was done.
type faulty struct {
	erasure.Keyring
	erasure.Archive
	erasure.Held
	before, after map[string]func() error
}

func (f *faulty) around(call string, do func() error) error {
	if fail := f.before[call]; fail != nil {
		if err := fail(); err != nil {
			return err
		}
	}
	err := do()
	if fail := f.after[call]; err == nil && fail != nil {
		err = fail()
	}
	return err
}

func (f *faulty) Fence(ctx context.Context, tenant string, ref events.Ref) error {
	return f.around("fence", func() error { return f.Keyring.Fence(ctx, tenant, ref) })
}

func (f *faulty) CatchUp(ctx context.Context, shard uint16, end uint64) (recorded uint64, err error) {
	err = f.around("catch up", func() (err error) { recorded, err = f.Archive.CatchUp(ctx, shard, end); return err })
	return recorded, err
}

func (f *faulty) HoldKey(ctx context.Context, tenant string, ref events.Ref) (key seal.SubjectKey, err error) {
	err = f.around("hold key", func() (err error) { key, err = f.Keyring.HoldKey(ctx, tenant, ref); return err })
	return key, err
}

func (f *faulty) Put(ctx context.Context, p stream.HeldPart, sealed []byte) error {
	return f.around("put", func() error { return f.Held.Put(ctx, p, sealed) })
}

func (f *faulty) Destroy(ctx context.Context, tenant string, ref events.Ref) (d seal.Destroyed, err error) {
	err = f.around("destroy", func() (err error) { d, err = f.Keyring.Destroy(ctx, tenant, ref); return err })
	return d, err
}

func (f *faulty) DestroyHold(ctx context.Context, tenant string, ref events.Ref) error {
	return f.around("destroy hold", func() error { return f.Keyring.DestroyHold(ctx, tenant, ref) })
}

func (f *faulty) Purge(ctx context.Context, p stream.HeldPart) error {
	return f.around("purge", func() error { return f.Held.Purge(ctx, p) })
}

// TestHoldFaults is every step of heeding and releasing a hold: failed, by a
// worker that is stopped there and followed by another, and failed but applied,
// by one that goes on.
func TestHoldFaults(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	for _, call := range []string{"fence", "catch up", "hold key", "put", "destroy", "destroy hold", "purge"} {
		h.holdFault(call, false, true)
		h.holdFault(call, true, false)
	}
}

func (h *house) holdFault(call string, applied, killed bool) {
	what := fmt.Sprint(call, " applied ", applied, " killed ", killed)
	var mu sync.Mutex
	failures, hit := 3, make(chan struct{})
	once := sync.OnceFunc(func() { close(hit) })
	fail := func() error {
		mu.Lock()
		defer mu.Unlock()
		once()
		if failures--; failures >= 0 || killed {
			return errors.New("injected")
		}
		return nil
	}
	f := &faulty{Keyring: h.kit.Keyring, Archive: h.archive, Held: h.held, before: map[string]func() error{}, after: map[string]func() error{}}
	if applied {
		f.after[call] = fail
	} else {
		f.before[call] = fail
	}
	ref := h.meetTwice(what)
	app := func(p *erasure.Part) bool { return p.Record.Client == "app" }
	placed := h.place(erasure.HoldInput{Subject: what, Client: "app"})
	id := h.approve(what)
	worker := h.workflow(func(c *erasure.Config) { c.Keyring, c.Archive, c.Held = f, f, f })
	stop := h.kit.Run(worker.Run)
	wait := func() {
		if !killed {
			return
		}
		<-hit
		stop()
		stop = h.kit.Run(h.Run)
	}
	releasing := call == "destroy hold" || call == "purge"
	if !releasing {
		wait()
	}
	if r := h.until(id, erasure.Partial); !slices.Equal(r.Missing, []string{placed.ID}) {
		h.t.Errorf("%s: missing %v", what, r.Missing)
	}
	h.eventually(what, func() error { return h.wantOnly(h.sealed(ref), app) })
	h.release(placed.ID)
	if releasing {
		wait()
	}
	h.until(id, erasure.Completed)
	if err := h.wantOnly(h.sealed(ref), none); err != nil {
		h.t.Errorf("%s: %v", what, err)
	}
	if left, err := h.held.List(h.t.Context(), stream.HeldPart{Tenant: "acme", Hold: placed.Ref(), Subject: ref}); err != nil || len(left) != 0 {
		h.t.Errorf("%s: left %v %v", what, left, err)
	}
	stop()
}
