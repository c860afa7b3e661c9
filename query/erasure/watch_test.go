package erasure

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// counting counts what is published, by type.
type counting struct {
	Publisher
	mu sync.Mutex
	n  map[events.Type]int
}

func (p *counting) Publish(ctx context.Context, evs ...events.Event) error {
	p.mu.Lock()
	for i := range evs {
		p.n[evs[i].Type]++
	}
	p.mu.Unlock()
	return p.Publisher.Publish(ctx, evs...)
}

// closed lists what closed findings on the log, as reason and request.
func (o *office) closed() (out []string) {
	for _, e := range o.of(events.FindingClosed) {
		out = append(out, e.Record.Reason+" "+e.Record.Attributes[attrRequest])
	}
	slices.Sort(out)
	return out
}

// found lists the findings on the log, as control and request.
func (o *office) found() (out []string) {
	for _, e := range o.of(events.FindingOpened) {
		out = append(out, e.Record.Attributes["control"]+" "+e.Record.Attributes[attrRequest])
	}
	slices.Sort(out)
	return out
}

func (o *office) daysAgo(subject, regulation string, days int) Request {
	o.t.Helper()
	r, _ := o.ask(Input{Subject: subject, Regulation: regulation, Received: time.Now().AddDate(0, 0, -days)})
	return r
}

// TestFindings: what is due soon, late or unconfirmed is found once, by however
// many processes and starts; what is answered is not. It is closed once as well.
func TestFindings(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	quick := func(c *Config) { c.Watch = 5 * time.Millisecond }
	one, two := open(t, kit, quick), open(t, kit, quick)
	late, soon, silent := one.daysAgo("late", GDPR, 60), one.daysAgo("soon", GDPR, 26), one.daysAgo("silent", CCPA, 25)
	one.daysAgo("fresh", GDPR, 0)
	confirmed := one.daysAgo("confirmed", CCPA, 25)
	one.act(confirmed.ID, Verified, "handler")
	answered := one.daysAgo("answered", GDPR, 60)
	one.act(answered.ID, Denied, "approver")
	want := []string{ControlDueSoon + " " + late.ID, ControlOverdue + " " + late.ID, ControlDueSoon + " " + soon.ID, ControlUnconfirmed + " " + silent.ID}
	slices.Sort(want)
	kit.Run(one.Run)
	kit.Run(two.Run)
	one.eventually(func() bool { return len(one.found()) >= len(want) })
	one.drained()
	if got := one.found(); !slices.Equal(got, want) {
		t.Errorf("found %v\nwant %v", got, want)
	}
	again := &counting{Publisher: kit.Publisher, n: map[events.Type]int{}}
	three := open(t, kit, func(c *Config) { quick(c); c.Publisher = again })
	if err := three.lane.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := three.updateFindings(t.Context()); err != nil || len(again.n) != 0 {
		t.Errorf("a process that starts opened again what was open: %v %v", again.n, err)
	}
	if got, want := three.Stats(), (Stats{Open: 5, Soon: 1, Overdue: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	one.act(late.ID, Denied, "approver")
	one.act(silent.ID, Verified, "handler")
	want = []string{"answered " + late.ID, "answered " + late.ID, "confirmed " + silent.ID}
	slices.Sort(want)
	one.eventually(func() bool { return len(one.closed()) >= len(want) })
	one.act(silent.ID, Denied, "approver")
	one.drained()
	if got := one.closed(); !slices.Equal(got, want) {
		t.Errorf("closed %v\nwant %v", got, want)
	}
	if err := three.lane.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if evs := three.settledFindings(); len(evs) != 0 {
		t.Errorf("a process that starts closes again what was closed: %+v", evs)
	}
}

// TestExtensionMovesTheAlarm: the new deadline is watched like the first.
func TestExtensionMovesTheAlarm(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	r := o.daysAgo("alice", GDPR, 26)
	if err := o.updateFindings(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.drained()
	o.act(r.ID, Extended, "handler")
	now, _ := o.Get(r.ID, all)
	if evs := o.settledFindings(); len(evs) != 1 || evs[0].Data.Reason != "extended" || !evs[0].Time.Equal(now.Last().At) {
		t.Errorf("%+v", evs)
	}
	if evs := o.findings(time.Now()); len(evs) != 0 {
		t.Errorf("%d findings about a deadline that is months away", len(evs))
	}
	if evs := o.findings(now.Due.Add(-time.Hour)); len(evs) != 1 || evs[0].Data.Attributes["control"] != ControlDueSoon {
		t.Errorf("%+v", evs)
	}
	if evs := o.findings(now.Due.Add(time.Hour)); len(evs) != 2 {
		t.Errorf("%+v", evs)
	}
}

// TestNobodyWaitsForARenewal: one that was stopped before its key stays open, and no law
// sets it a deadline.
func TestNobodyWaitsForARenewal(t *testing.T) {
	t.Parallel()
	s := newScript()
	r := s.ask("acme", "renewal", events.Ref{}, typeRenewal, Other, "approver")
	later := r.Due.AddDate(1, 0, 0)
	w := &Workflow{book: s.book, cfg: Config{Now: func() time.Time { return later }}}
	if evs, stats, u := w.findings(later), w.Stats(), r.Urgency(later); len(evs) != 0 || stats != (Stats{Renewals: 1}) || u != "" {
		t.Errorf("%d findings, %+v, urgency %q", len(evs), stats, u)
	}
	s.ask("acme", "erasure", alice, Erasure, Other, "handler")
	if evs, stats := w.findings(later), w.Stats(); len(evs) != 2 || stats != (Stats{Open: 1, Overdue: 1, Renewals: 1}) {
		t.Errorf("an erasure beside it: %d findings, %+v", len(evs), stats)
	}
	s.step(events.RequestCancelled, "acme", "renewal", "other")
	if stats := w.Stats(); stats.Renewals != 0 {
		t.Errorf("given up: %+v", stats)
	}
}

// TestFindingsAreTheSame whoever makes them, and when.
func TestFindingsAreTheSame(t *testing.T) {
	t.Parallel()
	r := january(GDPR)
	r.move(Received, string(Received), r.origin)
	w := &Workflow{book: &book{order: []*Request{r}}}
	a, b := w.findings(r.Due.Add(time.Minute)), w.findings(r.Due.AddDate(1, 0, 0))
	if len(a) != 2 || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("%v\n%v", a, b)
	}
	if !a[0].Time.Equal(r.soon()) || a[0].ID == a[1].ID {
		t.Errorf("%+v", a)
	}
}
