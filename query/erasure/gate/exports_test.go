package gate_test

import (
	"context"
	"errors"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/erasure/gate"
)

// stubborn is a store of exports that removes nothing, or says that it did not.
type stubborn struct {
	gate.Exports
	applied bool
}

func (s stubborn) DropAll(ctx context.Context, tenant string, person events.Ref) error {
	if s.applied {
		return errors.Join(s.Exports.DropAll(ctx, tenant, person), errInjected)
	}
	return errInjected
}

// TestExportsReturned: what was exported of somebody who was erased, and is back, is
// removed before anything is served, and that is recorded; also where their key is not
// back, and where the ledger was lost. What was exported of others stays.
func TestExportsReturned(t *testing.T) {
	t.Parallel()
	h := build(t)
	exports := stream.NewExports(h.kit.JS)
	alice := stream.ExportPlace{Tenant: "acme", Subject: h.meet("alice"), Export: events.Ref{1}}
	bob := stream.ExportPlace{Tenant: "acme", Subject: h.meet("bob"), Export: events.Ref{1}}
	store := func() {
		for _, p := range []stream.ExportPlace{alice, bob} {
			for _, part := range []string{stream.ExportChunk(0), stream.ExportMade} {
				h.check(exports.Put(t.Context(), p, part, []byte("x")))
			}
		}
	}
	wants := func(when string, of stream.ExportPlace, want bool) {
		t.Helper()
		for _, part := range []string{stream.ExportChunk(0), stream.ExportMade} {
			if _, err := exports.Get(t.Context(), of, part); err != nil && !errors.Is(err, stream.ErrNotFound) || (err == nil) != want {
				t.Errorf("%s: part %s of %s: %v", when, part, of.Subject, err)
			}
		}
	}
	was := h.copyKeys()
	store()
	h.forget("alice") // by a worker that knows of no exports
	h.pass(gate.Report{Erased: 1, Exports: 1})
	wants("at first", alice, false)
	h.pass(gate.Report{Erased: 1})
	for _, applied := range []bool{false, true} {
		store()
		c := h.config()
		c.Exports = stubborn{c.Exports, applied}
		if _, err := gate.Pass(t.Context(), c); !errors.Is(err, errInjected) {
			t.Errorf("applied %t: served: %v", applied, err)
		}
		if !applied {
			h.pass(gate.Report{Erased: 1, Exports: 1})
		}
		wants("after a failure", alice, false)
	}
	store()
	h.restoreKeys(was)
	h.ledger = h.openLedger(t.TempDir())
	h.pass(gate.Report{Erased: 1, Added: 1, Destroyed: 1, Exports: 1})
	wants("all restored", alice, false)
	wants("of another", bob, true)
	if n := h.recorded()[events.FindingOpened]; n != 6 { // five times exports, once keys
		t.Errorf("%d findings", n)
	}
}
