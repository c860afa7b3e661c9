package erasure_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/projector/intake"
	"github.com/rescindhq/rescind/query/erasure"
)

// stalled is a log that takes nothing from when it is told to until it is let go.
type stalled struct {
	intake.Log
	stall   atomic.Bool
	waiting chan struct{} // closed when something waits
	once    sync.Once
	letGo   chan struct{}
}

func (s *stalled) Append(ctx context.Context, lane events.Lane, data []byte, after uint64) (uint64, error) {
	if s.stall.Load() {
		s.once.Do(func() { close(s.waiting) })
		<-s.letGo
	}
	return s.Log.Append(ctx, lane, data, after)
}

// looked is an intake that does something when it was said not to have passed.
type looked struct {
	erasure.Intake
	did func()
}

func (l *looked) Passed(ctx context.Context, shard uint16, tenant string, then stream.IntakeState) (bool, error) {
	passed, err := l.Intake.Passed(ctx, shard, tenant, then)
	if err == nil && !passed {
		l.did()
	}
	return passed, err
}

// TestHeldFromFlight: what an intake had sealed before the fence, and logs only
// after, is held like the rest.
func TestHeldFromFlight(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	issued := events.Event{Type: events.TokenIssued, Time: noon, Data: events.Data{ClientID: "app"}}
	ref := h.meet("alice", issued)
	h.place(erasure.HoldInput{Subject: "alice"})
	h.kit.StopIntake()
	log := &stalled{waiting: make(chan struct{}), letGo: make(chan struct{})}
	h.kit.IntakeWith(func(c *intake.Config) { log.Log, c.Log = c.Log, log })
	id := h.approve("alice")
	letGo := sync.OnceFunc(func() { close(log.letGo) })
	late := issued
	late.Tenant, late.Data.Issuer, late.Data.Subject, late.Data.TokenID, late.Data.Algorithm, late.Data.KeyID = "acme", issuer, "alice", "late", "ES256", "k"
	f := &faulty{Keyring: h.kit.Keyring, Archive: h.archive, Held: h.held, before: map[string]func() error{"fence": sync.OnceValue(func() error {
		log.stall.Store(true)
		err := h.kit.Publisher.Publish(t.Context(), late)
		<-log.waiting
		return err
	})}, after: map[string]func() error{"destroy": func() error { letGo(); return nil }}}
	worker := h.workflow(func(c *erasure.Config) {
		c.Keyring, c.Archive, c.Held, c.Intake = f, f, f, &looked{c.Intake, letGo}
	})
	h.kit.Run(worker.Run)
	h.until(id, erasure.Partial)
	parts := h.sealed(ref)
	if len(parts) < 2 || parts[len(parts)-1].Record.Type != events.TokenIssued {
		t.Fatalf("%d parts, and what was late is not the last", len(parts))
	}
	if err := h.wantOnly(parts, every); err != nil {
		t.Error(err)
	}
}

// TestHeldOpensAllAlong: what is held opens at each step of an erasure, and from
// the fence on nothing else does.
func TestHeldOpensAllAlong(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	ref := h.meetTwice("alice")
	parts := h.sealed(ref)
	h.place(erasure.HoldInput{Subject: "alice", Client: "app"})
	id := h.approve("alice")
	f := &faulty{Keyring: h.kit.Keyring, Archive: h.archive, Held: h.held, before: map[string]func() error{}, after: map[string]func() error{}}
	var steps atomic.Int32
	look := func(step string) func() error {
		return func() error {
			steps.Add(1)
			if err := h.wantOnly(parts, func(p *erasure.Part) bool { return p.Record.Client == "app" }); err != nil {
				t.Errorf("%s: %v", step, err)
			}
			return nil
		}
	}
	for _, call := range []string{"catch up", "hold key", "put", "destroy"} {
		f.before[call], f.after[call] = look("before "+call), look("after "+call)
	}
	f.after["fence"] = look("after fence")
	worker := h.workflow(func(c *erasure.Config) { c.Keyring, c.Archive, c.Held = f, f, f })
	h.kit.Run(worker.Run)
	h.until(id, erasure.Partial)
	if steps.Load() < 9 {
		t.Errorf("looked %d times", steps.Load())
	}
}
