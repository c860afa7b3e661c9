package erasure

import (
	"context"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/erasure/ledger"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// undo adds what the restore gate says of a request.
func (s *script) undo(tenant, id, first, mark string) {
	s.add(events.Record{Type: events.RequestReapplied, Tenant: tenant, Attributes: map[string]string{
		attrRequest: ledger.DigestOf(id).String(), attrErased: first, attrKeyMark: mark,
	}})
}

// TestWhatIsARepetition: what the gate said of the request, of its tenant, before the log
// said that its key is gone; the first time that it did.
func TestWhatIsARepetition(t *testing.T) {
	t.Parallel()
	const first = "2026-01-02T03:04:05Z"
	execute := func(s *script) { s.step(events.RequestExecuted, "acme", "r", Worker) }
	for name, c := range map[string]struct {
		act  func(s *script)
		want string
	}{
		"nothing": {execute, ""},
		"before":  {func(s *script) { s.undo("acme", "r", first, "m"); execute(s) }, first},
		"twice": {func(s *script) {
			s.undo("acme", "r", first, "m")
			s.undo("acme", "r", "2026-01-03T00:00:00Z", "n")
			execute(s)
		}, first},
		"after":           {func(s *script) { execute(s); s.undo("acme", "r", first, "m") }, ""},
		"after the first": {func(s *script) { execute(s); s.undo("acme", "r", first, "m"); execute(s) }, ""},
		"another request": {func(s *script) { s.undo("acme", "q", first, "m"); execute(s) }, ""},
		"another tenant":  {func(s *script) { s.undo("globex", "r", first, "m"); execute(s) }, ""},
		"no time":         {func(s *script) { s.undo("acme", "r", "", "m"); execute(s) }, ""},
	} {
		s := newScript()
		s.receive("acme", "r", alice)
		s.step(events.RequestVerified, "acme", "r", "handler")
		s.step(events.RequestApproved, "acme", "r", "approver")
		c.act(s)
		r := s.book.find("r", all)
		got := r.gone()
		switch {
		case c.want == "" && (got.Repetition != nil || got.Key != ""):
			t.Errorf("%s: %+v", name, got)
		case c.want != "" && (got.Repetition == nil || got.Repetition.First.Format(time.RFC3339) != c.want || got.Key != "m" || !got.Repetition.Found.After(start)):
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// lossy is a publisher whose events of a type come to nothing, as where the process
// is stopped before they are sent.
type lossy struct {
	Publisher
	of events.Type
}

func (p *lossy) Publish(ctx context.Context, evs ...events.Event) error {
	if evs[0].Type == p.of {
		return nil
	}
	return p.Publisher.Publish(ctx, evs...)
}

// TestRepeatedReceiptIsMadeOnce: of a repetition, too, every worker signs the same,
// also where the gate of another start says it once more in between.
func TestRepeatedReceiptIsMadeOnce(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	lost := &lossy{kit.Publisher, events.RequestCompleted}
	seen := &witness{Publisher: lost, forms: map[string]map[string]bool{}}
	stopped := make(chan struct{}, 100)
	first := open(t, kit, func(c *Config) {
		c.Publisher = &faultyPublisher{of: events.RequestCompleted, Publisher: seen, after: func() error { stopped <- struct{}{}; return nil }}
		c.WaitFor = time.Second
	})
	r := first.approved("alice")
	found := func(at time.Time) {
		kit.Publish(events.Event{Source: Source, Type: events.RequestReapplied, Tenant: "acme", Data: events.Data{Actor: "rescind:gate", Attributes: map[string]string{
			attrRequest: ledger.DigestOf(r.ID).String(), attrErased: at.UTC().Format(time.RFC3339), "did": "destroyed",
		}}})
		first.drained()
	}
	was := time.Now().AddDate(0, 0, -3)
	found(was)
	stop := kit.Run(first.Run)
	<-stopped
	stop()
	lost.of = ""
	found(time.Now())
	second := open(t, kit, func(c *Config) { c.Publisher = seen })
	kit.Run(second.Run)
	second.until(r.ID, Completed)
	got, _ := second.receipt(r.ID)
	if again := got.Destroyed.Repetition; again == nil || again.First.Unix() != was.Unix() {
		t.Errorf("%+v", got.Destroyed)
	}
	seen.wantOneForm(t)
}
