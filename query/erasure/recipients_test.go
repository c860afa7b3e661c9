package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/erasure"
)

// disclosed makes a subject known to whom each of to is an audience of.
func (h *house) disclosed(subject string, to ...string) events.Ref {
	h.t.Helper()
	return h.meet(subject, events.Event{Type: events.TokenIssued, Data: events.Data{Audience: to}})
}

// deliveries is how it stands with each recipient.
func deliveries(r erasure.Request) map[string]erasure.Delivery {
	out := map[string]erasure.Delivery{}
	for _, p := range r.Recipients {
		out[p.ID] = p.Delivery
	}
	return out
}

func (h *house) wantDeliveries(r erasure.Request, want map[string]erasure.Delivery) {
	h.t.Helper()
	if diff := cmp.Diff(want, deliveries(r)); diff != "" {
		h.t.Error(diff)
	}
}

// wantNothingOpens: of what was kept to tell recipients of r, no byte of ours
// opens, and none is there.
func (h *house) wantNothingOpens(id string, sealed []byte, out erasure.Outbox, to string) {
	h.t.Helper()
	ref := erasure.NoticesOf("acme", id)
	if _, err := h.kit.Keyring.OpenHeld(h.t.Context(), ref, seal.OpenRequest{Tenant: "acme", Source: erasure.Source, ID: "x", Sealed: sealed}); !errors.Is(err, seal.ErrDestroyed) {
		h.t.Errorf("what was kept opens: %v", err)
	}
	if _, err := h.kit.Keyring.HoldKey(h.t.Context(), "acme", ref); !errors.Is(err, seal.ErrDestroyed) {
		h.t.Errorf("a key for it can be made again: %v", err)
	}
	if _, err := out.Get(h.t.Context(), stream.Notice{Tenant: "acme", Request: ref, Recipient: to}); !errors.Is(err, stream.ErrNotFound) {
		h.t.Errorf("it is still there: %v", err)
	}
}

// keeping is an outbox that remembers what was put.
type keeping struct {
	erasure.Outbox
	mu  sync.Mutex
	put map[stream.Notice][]byte
}

func (k *keeping) Put(ctx context.Context, n stream.Notice, sealed []byte) error {
	k.mu.Lock()
	k.put[n] = sealed
	k.mu.Unlock()
	return k.Outbox.Put(ctx, n, sealed)
}

func (k *keeping) of(id, to string) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.put[stream.Notice{Tenant: "acme", Request: erasure.NoticesOf("acme", id), Recipient: to}]
}

// TestRecipientsAreTold: each recipient of a person's data is told of the
// erasure, or a person says why not; until then it is not complete.
func TestRecipientsAreTold(t *testing.T) {
	t.Parallel()
	c := newCircle(t)
	h := build(t, nil)
	crm := c.add("crm", says(202, ""))
	bank := c.add("bank", says(403, `{"outcome":"refused","reason":"legal_obligation"}`))
	talks := c.add("talks", says(200, `{"outcome":"refused","reason":"alice@example.com said so"}`))
	flaky := c.add("flaky", says(500, ""), hangsUp, redirects, floods, hangs, says(403, "the wall"), says(200, "ok"))
	wall := c.add("wall", says(403, "Forbidden"))
	c.add("paper")
	again, down, up := c.add("again", says(202, "")), c.add("down", says(500, "")), c.add("up", says(202, ""))
	stuck, prompt := newStuck(c), c.add("prompt", says(202, ""))
	out := &keeping{Outbox: stream.NewOutbox(h.kit.JS), put: map[stream.Notice][]byte{}}
	t.Run("told again after a kill", func(t *testing.T) { h.in(t).toldAgain(c, again) })
	t.Run("left alone after a restart", func(t *testing.T) { h.in(t).leftAlone(c, down, up) })
	t.Run("not erased while nobody knows whom to tell", func(t *testing.T) { h.in(t).failsClosed(c, up) })
	w := h.workflow(func(cfg *erasure.Config) {
		cfg.Notifying = c.notifying(h)
		cfg.Notifying.Outbox, cfg.Notifying.Untold = out, time.Millisecond
	})
	h.kit.Run(w.Run)
	h.Workflow = w
	t.Run("delivered and refused", func(t *testing.T) {
		t.Parallel()
		h := h.in(t)
		h.disclosed("alice", "crm", "bank", "talks", "own")
		id := h.approve("alice")
		r := h.until(id, erasure.Completed)
		h.wantDeliveries(r, map[string]erasure.Delivery{"crm": erasure.Delivered, "bank": erasure.Refused, "talks": erasure.Refused})
		if r.Outcome != erasure.Erased || len(r.Missing) != 0 || r.Recipients[0].ID != "bank" || r.Recipients[0].Reason != "legal_obligation" || r.Recipients[2].Reason != erasure.OtherReason {
			t.Errorf("%+v", r)
		}
		for _, to := range []*receiver{crm, bank, talks} {
			got := to.notices()
			if len(got) != 1 || got[0].Subject != (erasure.Subject{Issuer: issuer, ID: "alice"}) || got[0].Request != id || got[0].Tenant != "acme" || got[0].Regulation != erasure.GDPR || got[0].Received.IsZero() {
				t.Errorf("%s got %+v", to.id, got)
			}
			if len(out.of(id, to.id)) == 0 {
				t.Fatal("nothing was kept")
			}
			h.wantNothingOpens(id, out.of(id, to.id), out, to.id)
		}
		destroyed := slices.IndexFunc(r.History, func(s erasure.Step) bool { return s.What == string(erasure.Partial) })
		for i, s := range r.History {
			if s.What == erasure.StepNotified && (s.Delivery == erasure.Pending) != (i < destroyed) {
				t.Errorf("step %d, %s to %s, stands wrong to the one at %d", i, s.Delivery, s.Recipient, destroyed)
			}
		}
	})
	t.Run("tried until it answers", func(t *testing.T) {
		t.Parallel()
		h := h.in(t)
		h.disclosed("bob", "flaky")
		id := h.approve("bob")
		h.wantDeliveries(h.until(id, erasure.Completed), map[string]erasure.Delivery{"flaky": erasure.Delivered})
		got := flaky.notices()
		if len(got) != len(flaky.answers) {
			t.Errorf("%d attempts", len(got))
		}
		for _, n := range got {
			if n != got[0] {
				t.Errorf("%+v is not %+v", n, got[0])
			}
		}
	})
	t.Run("a wall is no answer, a person is", func(t *testing.T) {
		t.Parallel()
		h := h.in(t)
		h.disclosed("carol", "wall", "paper")
		id := h.approve("carol")
		h.eventually("attempts", func() error {
			r := h.until(id, erasure.Partial)
			tried, err := h.Attempts(t.Context(), &r)
			if at := tried["wall"]; err != nil || at.Attempts < 3 || !strings.Contains(at.Failure, "403") || !at.Next.After(at.Last) {
				return fmt.Errorf("%+v %v", tried, err)
			}
			return nil
		})
		r := h.until(id, erasure.Partial)
		if diff := cmp.Diff([]string{"recipient:paper", "recipient:wall"}, r.Missing); diff != "" {
			t.Error(diff)
		}
		if key, err := h.kit.Keyring.Lookup(t.Context(), person("carol")); err != nil || !key.Erased {
			t.Errorf("not forgotten: %v", err)
		}
		h.eventually("finding about paper", func() error { return h.wantFinding(erasure.ControlUntold, "recipient", "paper") })
		if err := h.wantSettled(id); err == nil {
			t.Error("a finding is closed as settled before anybody settled it")
		}
		h.settleCarol(id, len(wall.notices()))
		h.eventually("closing of the finding about paper", func() error { return h.wantSettled(id) })
	})
	t.Run("nobody waits for who hangs", func(t *testing.T) {
		t.Parallel()
		h.in(t).nobodyWaits(stuck, prompt)
	})
	t.Run("nobody", func(t *testing.T) {
		t.Parallel()
		h := h.in(t)
		h.disclosed("dora", "own", "stranger")
		if r := h.until(h.approve("dora"), erasure.Completed); len(r.Recipients) != 0 {
			t.Errorf("%+v", r.Recipients)
		}
		h.eventually("finding about a stranger", func() error { return h.wantFinding(erasure.ControlStranger, "audience", "stranger") })
	})
}

// process starts one more process that tells c, until stop is called.
func (h *house) process(c *circle, change func(*erasure.Config)) (w *erasure.Workflow, stop func()) {
	h.t.Helper()
	w = h.workflow(func(cfg *erasure.Config) {
		cfg.Notifying = c.notifying(h)
		if change != nil {
			change(cfg)
		}
	})
	return w, h.kit.Run(w.Run)
}

// unwritten is a publisher that never gets an answer of recipients written down.
type unwritten struct {
	erasure.Publisher
	refused atomic.Int32
}

func (p *unwritten) Publish(ctx context.Context, evs ...events.Event) error {
	if evs[0].Type == events.RequestNotified && evs[0].Data.Attributes["delivery"] != string(erasure.Pending) {
		p.refused.Add(1)
		return errors.New("injected")
	}
	return p.Publisher.Publish(ctx, evs...)
}

// toldAgain: a process that was killed between an answer and its record tells the
// recipient again, under the same id. One that goes on does not.
func (h *house) toldAgain(c *circle, to *receiver) {
	h.t.Helper()
	writes := &unwritten{}
	_, stop := h.process(c, func(cfg *erasure.Config) { writes.Publisher = cfg.Publisher; cfg.Publisher = writes })
	h.disclosed("erin", to.id)
	id := h.approve("erin")
	h.eventually("records that failed", func() error {
		if n := writes.refused.Load(); n < 3 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	stop()
	if n := len(to.notices()); n != 1 {
		h.t.Errorf("told %d times by one process", n)
	}
	_, stop = h.process(c, nil)
	defer stop()
	r := h.until(id, erasure.Completed)
	got := to.notices()
	if len(got) != 2 || got[0] != got[1] {
		h.t.Errorf("%+v", got)
	}
	answers := slices.DeleteFunc(slices.Clone(r.History), func(s erasure.Step) bool { return s.Delivery != erasure.Delivered })
	if len(answers) != 1 {
		h.t.Errorf("%d answers on the log", len(answers))
	}
}

// leftAlone: who did not answer is left alone for as long as was said, whatever
// else waits for them, and by the next process too.
func (h *house) leftAlone(c *circle, down, up *receiver) {
	h.t.Helper()
	slow := func(cfg *erasure.Config) { cfg.Notifying.First, cfg.Notifying.Most = time.Hour, time.Hour }
	w, stop := h.process(c, slow)
	h.disclosed("frank", down.id)
	h.disclosed("grace", down.id)
	one, two := h.approve("frank"), h.approve("grace")
	var r erasure.Request
	h.eventually("an attempt", func() error {
		h.until(two, erasure.Partial)
		r = h.until(one, erasure.Partial)
		tried, err := w.Attempts(h.t.Context(), &r)
		if at := tried[down.id]; err != nil || at.Attempts != 1 || at.Next.Sub(at.Last) != time.Hour {
			return fmt.Errorf("%+v, %v", tried, err)
		}
		return nil
	})
	h.tellOthers(up, 1)
	stop()
	if n := len(down.notices()); n != 1 {
		h.t.Errorf("told %d times", n)
	}
	_, stop = h.process(c, slow)
	defer stop()
	h.tellOthers(up, 2)
	if got := down.notices(); len(got) > 2 || len(got) == 2 && got[1].Subject.ID != "grace" {
		h.t.Errorf("told again: %+v", got)
	}
}

// tellOthers has up told until it was told n times: by then there was a round
// in which everybody else could have been.
func (h *house) tellOthers(up *receiver, n int) {
	h.t.Helper()
	for len(up.notices()) < n {
		subject := fmt.Sprint("other-", len(up.notices()))
		h.disclosed(subject, up.id)
		h.until(h.approve(subject), erasure.Completed)
	}
}

// failsClosed: where the archive does not say to whom data went, the key stays.
func (h *house) failsClosed(c *circle, up *receiver) {
	h.t.Helper()
	away := errors.New("injected")
	c.refusal.Store(&away)
	_, stop := h.process(c, nil)
	defer stop()
	issued := h.sealed(h.disclosed("henry", up.id))[0]
	before := len(up.notices())
	id := h.approve("henry")
	h.until(id, erasure.Executing)
	if _, err := h.kit.Keyring.OpenFenced(h.t.Context(), opening(&issued)); err != nil {
		h.t.Errorf("their key is gone: %v", err)
	}
	c.refusal.Store(nil)
	h.until(id, erasure.Completed)
	if n := len(up.notices()); n != before+1 {
		h.t.Errorf("told %d times", n-before)
	}
}

// opening is what is asked to open a part.
func opening(p *erasure.Part) seal.OpenRequest {
	return seal.OpenRequest{Tenant: "acme", Source: p.Record.Source, ID: p.Record.ID, Ref: p.Record.SubjectRef, Generation: p.Record.DataKey, Sealed: p.Sealed, Hash: p.Record.PayloadHash}
}

// in is h for a subtest.
func (h *house) in(t *testing.T) *house { c := *h; c.t = t; return &c }

// settleCarol has people say that they told one recipient and cannot tell the
// other, rightly at last.
func (h *house) settleCarol(id string, before int) {
	h.t.Helper()
	today := time.Now().UTC().Format(time.DateOnly)
	wall := erasure.Settlement{ID: id, Recipient: "wall", Delivery: erasure.Informed, Actor: "approver", Reason: "letter", Told: today, Reaches: all}
	paper := erasure.Settlement{ID: id, Recipient: "paper", Delivery: erasure.GivenUp, Actor: "approver", Reason: "disproportionate", Note: "they were wound up", Reaches: all}
	for name, change := range map[string]func(*erasure.Settlement){
		"reason":    func(s *erasure.Settlement) { s.Reason = "because" },
		"told":      func(s *erasure.Settlement) { s.Told = "2099-01-01" },
		"not told":  func(s *erasure.Settlement) { s.Told = "" },
		"recipient": func(s *erasure.Settlement) { s.Recipient = "crm" },
		"delivery":  func(s *erasure.Settlement) { s.Delivery = erasure.Delivered },
		"note":      func(s *erasure.Settlement) { s.Reason = erasure.OtherReason },
	} {
		bad := wall
		change(&bad)
		var member *erasure.MemberError
		if _, err := h.Settle(h.t.Context(), bad); !errors.As(err, &member) {
			h.t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range []erasure.Settlement{wall, paper} {
		_, err := h.Settle(h.t.Context(), s)
		h.check(err)
	}
	var member *erasure.MemberError
	if _, err := h.Settle(h.t.Context(), wall); err == nil || !errors.As(err, &member) {
		var state *erasure.StateError
		if !errors.As(err, &state) {
			h.t.Errorf("settled twice: %v", err)
		}
	}
	r := h.until(id, erasure.Completed)
	h.wantDeliveries(r, map[string]erasure.Delivery{"wall": erasure.Informed, "paper": erasure.GivenUp})
	if p := r.Recipients[1]; p.Told != today || p.Actor != "approver" || p.Reason != "letter" || before < 3 {
		h.t.Errorf("%+v after %d attempts", p, before)
	}
}

// wantSettled wants a finding about a request that was closed as its recipient was
// settled.
func (h *house) wantSettled(id string) error {
	for _, p := range h.parts(events.Ref{}) {
		if p.Record.Type == events.FindingClosed && p.Record.Reason == "settled" && p.Record.Attributes["request"] == id {
			return nil
		}
	}
	return errors.New("no finding is closed as settled")
}

func (h *house) wantFinding(control, attribute, value string) error {
	n := 0
	for _, p := range h.parts(events.Ref{}) {
		if a := p.Record.Attributes; a["control"] == control && a[attribute] == value {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("%d findings %s", n, control)
	}
	return nil
}

// stuck is a recipient that answers nothing until it is let go.
type stuck struct {
	*receiver
	letGo   chan struct{}
	hanging atomic.Int32 // attempts that wait for an answer
	most    atomic.Int32 // of them, at once
}

func newStuck(c *circle) *stuck {
	s := &stuck{letGo: make(chan struct{})}
	s.receiver = c.add("stuck", func(w http.ResponseWriter, r *http.Request) {
		s.most.Store(max(s.most.Load(), s.hanging.Add(1)))
		defer s.hanging.Add(-1)
		select {
		case <-s.letGo:
			w.WriteHeader(http.StatusAccepted)
		case <-r.Context().Done():
		}
	})
	return s
}

// nobodyWaits: while one recipient hangs, another is told of erasures that come after it
// began to. The one that hangs is told of one thing after the other, in the order in which
// they were asked for.
func (h *house) nobodyWaits(s *stuck, prompt *receiver) {
	h.t.Helper()
	var ids []string
	for _, subject := range []string{"stuck-1", "stuck-2", "stuck-3"} {
		h.disclosed(subject, s.id)
		ids = append(ids, h.approve(subject))
		h.until(ids[len(ids)-1], erasure.Partial)
	}
	h.eventually("an attempt that hangs", func() error {
		if s.hanging.Load() == 0 {
			return errors.New("none")
		}
		return nil
	})
	attempts := len(s.notices())
	for i := range 3 {
		subject := fmt.Sprint("prompt-", i)
		h.disclosed(subject, prompt.id)
		h.until(h.approve(subject), erasure.Completed)
	}
	if n := len(s.notices()); n != attempts || s.hanging.Load() != 1 {
		h.t.Errorf("%d attempts, %d of them hang: the other was told only after it had ended", n-attempts, s.hanging.Load())
	}
	close(s.letGo)
	for _, id := range ids {
		h.wantDeliveries(h.until(id, erasure.Completed), map[string]erasure.Delivery{s.id: erasure.Delivered})
	}
	var order []string
	for _, n := range s.notices() {
		if len(order) == 0 || order[len(order)-1] != n.Request {
			order = append(order, n.Request)
		}
	}
	if diff := cmp.Diff(ids, order); diff != "" || s.most.Load() != 1 {
		h.t.Errorf("%d at once, %s", s.most.Load(), diff)
	}
}
