package erasure_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/projector/intake"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/erasure/ledger"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/receipt"
	"github.com/rescindhq/rescind/query/recipient"
)

// asking is an archive that does something before it says where data went.
type asking struct {
	erasure.Disclosures
	do func()
}

func (a *asking) Disclosed(ctx context.Context, tenant string, shard uint16, person events.Ref) (recipient.Disclosed, error) {
	a.do()
	return a.Disclosures.Disclosed(ctx, tenant, shard, person)
}

// TestHoldsMeetRecipients: what one step of an erasure takes its time for is seen
// by the others.
func TestHoldsMeetRecipients(t *testing.T) {
	t.Parallel()
	c := newCircle(t)
	h := build(t, nil)
	crm := c.add("crm", says(202, ""))
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("paper-%s-%02d", strings.Repeat("x", 20), i))
		c.add(many[i])
	}
	t.Run("a hold that is placed while notices are prepared is heeded", func(t *testing.T) { h.in(t).heldWhilePreparing(c) })
	t.Run("what is stated is what was heeded last", func(t *testing.T) { h.in(t).statedAnew() })
	t.Run("more recipients than can be named", func(t *testing.T) { h.in(t).manyUntold(c, many) })
	t.Run("a clock that was wrong", func(t *testing.T) { h.in(t).wrongClock(c, crm) })
	t.Run("an audience that many come upon", func(t *testing.T) { h.in(t).sameStranger(c) })
	t.Run("more audiences than are named", func(t *testing.T) { h.in(t).manyStrangers(c, crm) })
	t.Run("the end of what was kept to tell them", func(t *testing.T) { h.in(t).noticesEnd(c, crm) })
	t.Run("what was disclosed in flight", func(t *testing.T) { h.in(t).toldFromFlight(c) })
}

func (h *house) heldWhilePreparing(c *circle) {
	h.t.Helper()
	ref := h.meet("ann", events.Event{Type: events.TokenIssued, Time: noon, Data: events.Data{ClientID: "anns", Audience: []string{"crm"}}})
	parts := h.sealed(ref)
	id := h.approve("ann")
	var placed atomic.Pointer[hold.Hold]
	place := sync.OnceFunc(func() {
		x := h.place(erasure.HoldInput{Client: "anns", From: noon, To: noon.Add(time.Hour)})
		placed.Store(&x)
	})
	_, stop := h.process(c, func(cfg *erasure.Config) {
		cfg.Notifying.Disclosures = &asking{cfg.Notifying.Disclosures, place}
	})
	defer stop()
	h.eventually("an end", func() error {
		by := placed.Load()
		if r, err := h.Get(id, all); err != nil || by == nil || r.State != erasure.Completed && !slices.Contains(r.Missing, by.ID) {
			return fmt.Errorf("%s %v", r.State, r.Missing)
		}
		return nil
	})
	if err := h.wantOnly(parts, func(p *erasure.Part) bool { return p.Record.Client == "anns" }); err != nil {
		h.t.Errorf("a hold was on the log before the key went: %v", err)
	}
	h.release(placed.Load().ID)
	h.until(id, erasure.Completed)
}

// unsaid is a publisher that once does something instead of publishing an event of
// a type.
type unsaid struct {
	erasure.Publisher
	instead func() bool
	of      events.Type
}

func (p *unsaid) Publish(ctx context.Context, evs ...events.Event) error {
	if evs[0].Type == p.of && p.instead() {
		return errors.New("injected")
	}
	return p.Publisher.Publish(ctx, evs...)
}

func (h *house) statedAnew() {
	h.t.Helper()
	h.disclosed("bea", "own")
	placed := h.place(erasure.HoldInput{Subject: "bea"})
	id := h.approve("bea")
	first := true
	w := h.workflow(func(cfg *erasure.Config) {
		cfg.Publisher = &unsaid{cfg.Publisher, func() (was bool) {
			if was, first = first, false; was {
				h.release(placed.ID)
			}
			return was
		}, events.RequestExecuted}
	})
	defer h.kit.Run(w.Run)()
	h.until(id, erasure.Completed)
	j, err := h.Receipt(h.t.Context(), id, all)
	h.check(err)
	keys, err := h.ReceiptKeys(h.t.Context())
	h.check(err)
	if got, _, err := receipt.Verify([]byte(j.Compact()), keys); err != nil || got.Kept != nil {
		h.t.Errorf("the receipt says that something is kept: %+v, %v", got.Kept, err)
	}
}

func (h *house) manyUntold(c *circle, many []string) {
	h.t.Helper()
	var evs []events.Event
	for some := range slices.Chunk(many, 8) {
		evs = append(evs, events.Event{Type: events.TokenIssued, Data: events.Data{Audience: some}})
	}
	h.meet("cleo", evs...)
	id := h.approve("cleo")
	_, stop := h.process(c, nil)
	defer stop()
	if r := h.until(id, erasure.Partial); len(r.Missing) != len(many) {
		h.t.Errorf("%d are named, want %d", len(r.Missing), len(many))
	}
}

func (h *house) wrongClock(c *circle, to *receiver) {
	h.t.Helper()
	h.disclosed("dee", to.id)
	id := h.approve("dee")
	then := time.Now().AddDate(1, 0, 0)
	b, err := json.Marshal(erasure.Tried{Attempts: 1, Last: then, Next: then.Add(time.Minute)})
	h.check(err)
	h.check(stream.NewOutbox(h.kit.JS).SetTried(h.t.Context(), stream.Notice{Tenant: "acme", Request: erasure.NoticesOf("acme", id), Recipient: to.id}, b))
	_, stop := h.process(c, nil)
	defer stop()
	h.until(id, erasure.Completed)
}

// said is a publisher that remembers the findings that it was given.
type said struct {
	erasure.Publisher
	mu  sync.Mutex
	all []events.Event
}

func (s *said) Publish(ctx context.Context, evs ...events.Event) error {
	s.mu.Lock()
	for _, ev := range evs {
		if ev.Data.Attributes["control"] == erasure.ControlStranger {
			s.all = append(s.all, ev)
		}
	}
	s.mu.Unlock()
	return s.Publisher.Publish(ctx, evs...)
}

func (h *house) sameStranger(c *circle) {
	h.t.Helper()
	const people = 8
	var ids []string
	for i := range people {
		subject := fmt.Sprint("eve-", i)
		h.disclosed(subject, "nobody-knows")
		ids = append(ids, h.approve(subject))
	}
	writes := &said{}
	_, stop := h.process(c, func(cfg *erasure.Config) {
		writes.Publisher, cfg.Publisher = cfg.Publisher, writes
	})
	defer stop()
	for _, id := range ids {
		h.until(id, erasure.Completed)
	}
	writes.mu.Lock()
	defer writes.mu.Unlock()
	for _, ev := range writes.all {
		if !ev.Time.Equal(writes.all[0].Time) {
			h.t.Fatalf("%d findings about it under one id, and not the same", len(writes.all))
		}
	}
}

// stumbling is a publisher that fails to say whom there is to tell, a few times, and
// the fifth and eleventh finding about who is not known.
type stumbling struct {
	erasure.Publisher
	left, findings atomic.Int32
}

func (p *stumbling) Publish(ctx context.Context, evs ...events.Event) error {
	if evs[0].Type == events.RequestNotified && p.left.Add(-1) >= 0 {
		return errors.New("injected")
	}
	if evs[0].Data.Attributes["control"] == erasure.ControlStranger {
		if n := p.findings.Add(1); n == 5 || n == 11 {
			return errors.New("injected")
		}
	}
	return p.Publisher.Publish(ctx, evs...)
}

// manyStrangers: whoever chooses the audiences of their own tokens opens few findings,
// however often their erasure is tried; the next erasure names others.
func (h *house) manyStrangers(c *circle, up *receiver) {
	h.t.Helper()
	to := []string{up.id}
	for i := range 25 {
		to = append(to, fmt.Sprintf("https://%02d.example", i))
	}
	writes, stumbles := &said{}, &stumbling{}
	_, stop := h.process(c, func(cfg *erasure.Config) {
		writes.Publisher, cfg.Publisher = cfg.Publisher, stumbles
		stumbles.Publisher = writes
	})
	defer stop()
	want := map[string]bool{}
	for i, n := range []struct{ from, to, more int }{{0, 10, 15}, {10, 20, 5}, {20, 25, 0}, {}} {
		stumbles.left.Store(3)
		stumbles.findings.Store(0)
		subject := fmt.Sprint("gus-", i)
		h.disclosed(subject, to...)
		id := h.approve(subject)
		for _, aud := range to[1:][n.from:n.to] {
			want[aud] = true
		}
		if n.more > 0 {
			want[fmt.Sprintf("%s: %d more", id, n.more)] = true
		}
		h.until(id, erasure.Completed)
		if diff := cmp.Diff(want, writes.strangers()); diff != "" {
			h.t.Errorf("after %d erasures: %s", i+1, diff)
		}
	}
}

// strangers is what the findings are about.
func (s *said) strangers() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]bool{}
	for _, ev := range s.all {
		a := ev.Data.Attributes
		if a["more"] != "" {
			out[a["request"]+": "+a["more"]+" more"] = true
		} else {
			out[a["audience"]] = true
		}
	}
	return out
}

// noticesEnd: the ledger says that the key of the notices is gone, so that no restored
// keyring brings it back.
func (h *house) noticesEnd(c *circle, up *receiver) {
	h.t.Helper()
	book, err := ledger.Open(h.t.TempDir(), ledger.Key{ID: "0123abcd"})
	h.check(err)
	h.disclosed("zoe", up.id)
	id := h.approve("zoe")
	_, stop := h.process(c, func(cfg *erasure.Config) { cfg.Ledger = book })
	defer stop()
	h.until(id, erasure.Completed)
	entered := false
	h.check(book.Read(h.t.Context(), func(e ledger.Entry) error {
		line, is := e.(ledger.Hold)
		entered = entered || is && line == ledger.Hold{Tenant: "acme", Key: erasure.NoticesOf("acme", id), Request: ledger.DigestOf(id), At: line.At}
		return nil
	}))
	if !entered {
		h.t.Error("the key of the notices is not in the ledger")
	}
}

// toldFromFlight: what an intake had sealed before the fence, and logs only after,
// was disclosed like the rest.
func (h *house) toldFromFlight(c *circle) {
	h.t.Helper()
	t := h.t
	h.disclosed("fay", "own")
	h.kit.StopIntake()
	log := &stalled{waiting: make(chan struct{}), letGo: make(chan struct{})}
	h.kit.IntakeWith(func(c *intake.Config) { log.Log, c.Log = c.Log, log })
	id := h.approve("fay")
	letGo := sync.OnceFunc(func() { close(log.letGo) })
	late := events.Event{Type: events.TokenIssued, Tenant: "acme", Data: events.Data{Issuer: issuer, Subject: "fay", TokenID: "late", Algorithm: "ES256", KeyID: "k", Audience: []string{"crm"}}}
	f := &faulty{Keyring: h.kit.Keyring, Archive: h.archive, Held: h.held, before: map[string]func() error{"fence": sync.OnceValue(func() error {
		log.stall.Store(true)
		err := h.kit.Publisher.Publish(t.Context(), late)
		<-log.waiting
		return err
	}), "destroy": func() error { letGo(); return nil }}}
	_, stop := h.process(c, func(cfg *erasure.Config) {
		cfg.Keyring, cfg.Archive, cfg.Held, cfg.Intake = f, f, f, &looked{cfg.Intake, letGo}
	})
	defer stop()
	r := h.until(id, erasure.Completed)
	h.wantDeliveries(r, map[string]erasure.Delivery{"crm": erasure.Delivered})
}
