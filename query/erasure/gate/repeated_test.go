package gate_test

import (
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/erasure/gate"
	"github.com/rescindhq/rescind/query/erasure/ledger"
	"github.com/rescindhq/rescind/query/receipt"
)

// TestReceiptOfARepetition: an erasure that a restored log asks for, and that the
// ledger has, is carried out again, and its receipt says so: when it was
// done first, and of which key. One that is carried out for the first time does
// not.
func TestReceiptOfARepetition(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Second)
	first := now.AddDate(0, 0, -2)
	for name, c := range map[string]struct {
		lines  []ledger.Person // Request is that of the request where it is zero
		gone   bool            // the keyring was not restored
		want   gate.Report
		key    bool // the receipt names it
		repeat bool
	}{
		"never done":         {},
		"all restored":       {lines: []ledger.Person{{At: first}}, want: gate.Report{Erased: 1, Destroyed: 1, Restored: 1}, key: true, repeat: true},
		"done twice before":  {lines: []ledger.Person{{At: first}, {At: now}}, want: gate.Report{Erased: 2, Destroyed: 1, Restored: 1}, key: true, repeat: true},
		"another's first":    {lines: []ledger.Person{{At: first, Request: ledger.DigestOf("lost")}, {At: now}}, want: gate.Report{Erased: 2, Destroyed: 1, Stated: 1, Restored: 1}, key: true, repeat: true},
		"another's alone":    {lines: []ledger.Person{{At: first, Request: ledger.DigestOf("lost")}}, want: gate.Report{Erased: 1, Destroyed: 1, Stated: 1, Restored: 1}, key: true, repeat: true},
		"a hold kept a part": {lines: []ledger.Person{{At: first, Held: true}}, want: gate.Report{Erased: 1, Fenced: 1, Restored: 1}, key: true, repeat: true},
		"the log alone":      {lines: []ledger.Person{{At: first}}, gone: true, want: gate.Report{Erased: 1, Stated: 1, Restored: 1}, repeat: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := buildIdle(t)
			ref := h.meet("alice")
			mark, err := h.kit.Keys.KeyMark(t.Context(), "acme", ref)
			h.check(err)
			id := h.approve("alice")
			for _, line := range c.lines {
				line.Tenant, line.Ref, line.Index = "acme", ref, 1<<40
				if line.Request == (ledger.Digest{}) {
					line.Request = ledger.DigestOf(id)
				}
				h.check(h.ledger.Append(t.Context(), line))
			}
			if c.gone {
				_, err := h.kit.Keys.Destroy(t.Context(), "acme", ref)
				h.check(err)
			}
			h.pass(c.want)
			h.kit.Run(h.Run)
			h.completed(id)
			got := h.receipt(id).Destroyed
			if got == nil || c.key && got.Key != mark || c.gone && got.Key != "" {
				t.Fatalf("%+v, want the key %s", got, mark)
			}
			again := got.Repetition
			if !c.repeat {
				if again != nil {
					t.Errorf("%+v", again)
				}
				return
			}
			if again == nil || !again.First.Equal(first) || again.Found.Before(now) || again.Found.After(got.At) {
				t.Errorf("destroyed %s: %+v, want first %s", got.At, again, first)
			}
		})
	}
}

// receipt is the receipt of a request, verified.
func (h *house) receipt(id string) *receipt.Receipt {
	h.t.Helper()
	j, err := h.Receipt(h.t.Context(), id, all)
	h.check(err)
	keys, err := h.ReceiptKeys(h.t.Context())
	h.check(err)
	r, _, err := receipt.Verify([]byte(j.Compact()), keys)
	h.check(err)
	return r
}

// TestWhatIsSaidIsNotStated: where a restored log says of all that it asks for that it
// was carried out, nothing is stated of it anew.
func TestWhatIsSaidIsNotStated(t *testing.T) {
	t.Parallel()
	h := build(t)
	ref := h.meet("alice")
	h.forget("alice")
	h.check(h.ledger.Append(t.Context(), ledger.Person{Tenant: "acme", Ref: ref, Index: 1 << 40, At: time.Now()}))
	h.pass(gate.Report{Erased: 2, Restored: 1})
	if n := h.recorded()[events.RequestReapplied]; n != 0 {
		t.Errorf("recorded %d times", n)
	}
}

// TestPartialIsNotStated: nor is what was carried out in part.
func TestPartialIsNotStated(t *testing.T) {
	t.Parallel()
	h := buildIdle(t)
	ref := h.meet("alice")
	says := func(kind events.Type, d events.Data) {
		d.Actor = erasure.Worker
		h.kit.Publish(events.Event{Source: erasure.Source, Type: kind, Tenant: "acme", Data: d})
	}
	says(events.RequestReceived, events.Data{Issuer: issuer, Subject: "alice", Attributes: map[string]string{"request": "r", "request_type": "erasure", "regulation": "gdpr"}})
	says(events.RequestCompleted, events.Data{Attributes: map[string]string{"request": "r", "outcome": "partial", "missing": "x", "kept": "0"}})
	h.recorded()
	h.check(h.ledger.Append(t.Context(), ledger.Person{Tenant: "acme", Ref: ref, Request: ledger.DigestOf("lost"), Index: 1 << 40, At: time.Now()}))
	h.pass(gate.Report{Erased: 1, Destroyed: 1, Restored: 1})
}

// TestAnsweredOtherwiseIsNotStated: nor what joined a request that was carried out, or was
// denied, cancelled or answered with nothing to do.
func TestAnsweredOtherwiseIsNotStated(t *testing.T) {
	t.Parallel()
	const asks, denied, cancelled, completed = events.RequestReceived, events.RequestDenied, events.RequestCancelled, events.RequestCompleted
	of := func(id string, more ...string) events.Data {
		d := events.Data{Actor: erasure.Worker, Reason: "identity_not_verified", Attributes: map[string]string{"request": id}}
		for i := 0; i < len(more); i += 2 {
			d.Attributes[more[i]] = more[i+1]
		}
		return d
	}
	ask := func(id string) events.Data {
		d := of(id, "request_type", "erasure", "regulation", "gdpr")
		d.Issuer, d.Subject = issuer, "alice"
		return d
	}
	type said struct {
		kind events.Type
		data events.Data
	}
	for name, last := range map[string][]said{
		"joined":         {{asks, ask("q")}, {completed, of("r", "outcome", "erased")}},
		"denied":         {{denied, of("r")}},
		"cancelled":      {{cancelled, of("r")}},
		"already erased": {{completed, of("r", "outcome", "already_erased")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := buildIdle(t)
			ref := h.meet("alice")
			for _, s := range append([]said{{asks, ask("r")}}, last...) {
				h.kit.Publish(events.Event{Source: erasure.Source, Type: s.kind, Tenant: "acme", Data: s.data})
			}
			h.recorded()
			_, err := h.kit.Keys.Destroy(t.Context(), "acme", ref)
			h.check(err)
			h.check(h.ledger.Append(t.Context(), ledger.Person{Tenant: "acme", Ref: ref, Request: ledger.DigestOf("lost"), Index: 1 << 40, At: time.Now()}))
			got, err := gate.Pass(t.Context(), h.config())
			h.check(err)
			if n := h.recorded()[events.RequestReapplied]; got.Stated != 0 || n != 0 {
				t.Errorf("recorded %d times: %+v", n, got)
			}
		})
	}
}
