package erasure

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/erasure/ledger"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// faultyKeys is a keyring whose Destroy fails, before or after it was done.
type faultyKeys struct {
	Keyring
	before, after func() error
}

func (k *faultyKeys) Destroy(ctx context.Context, tenant string, ref events.Ref) (seal.Destroyed, error) {
	if k.before != nil {
		if err := k.before(); err != nil {
			return seal.Destroyed{}, err
		}
	}
	d, err := k.Keyring.Destroy(ctx, tenant, ref)
	if err == nil && k.after != nil {
		err = k.after()
	}
	return d, err
}

// faultyPublisher fails for events of one type, before or after they are
// durable.
type faultyPublisher struct {
	Publisher
	of            events.Type
	before, after func() error
}

func (p *faultyPublisher) Publish(ctx context.Context, evs ...events.Event) error {
	faulty := evs[0].Type == p.of
	if faulty && p.before != nil {
		if err := p.before(); err != nil {
			return err
		}
	}
	err := p.Publisher.Publish(ctx, evs...)
	if err == nil && faulty && p.after != nil {
		err = p.after()
	}
	return err
}

// faultyLedger is one that fails, before or after it was written.
type faultyLedger struct {
	Ledger
	before, after func() error
}

func (l *faultyLedger) Append(ctx context.Context, entries ...ledger.Entry) error {
	if err := l.before(); err != nil {
		return err
	}
	if err := l.Ledger.Append(ctx, entries...); err != nil {
		return err
	}
	return l.after()
}

// TestE09Faults is every write of the worker, failed and failed but applied, by a
// worker that goes on and by one that is stopped there and followed by
// another: each ends in one completion, one revocation, and a person who is
// forgotten.
func TestE09Faults(t *testing.T) {
	t.Parallel()
	steps := map[string]func(c *Config, before, after func() error){
		"revoke": func(c *Config, before, after func() error) {
			c.Publisher = &faultyPublisher{c.Publisher, events.SubjectRevoked, before, after}
		},
		"destroy": func(c *Config, before, after func() error) { c.Keyring = &faultyKeys{c.Keyring, before, after} },
		"execute": func(c *Config, before, after func() error) {
			c.Publisher = &faultyPublisher{c.Publisher, events.RequestExecuted, before, after}
		},
		"enter": func(c *Config, before, after func() error) { c.Ledger = &faultyLedger{c.Ledger, before, after} },
		"complete": func(c *Config, before, after func() error) {
			c.Publisher = &faultyPublisher{c.Publisher, events.RequestCompleted, before, after}
		},
	}
	for name, inject := range steps {
		for _, applied := range []bool{false, true} {
			for _, killed := range []bool{false, true} {
				t.Run(name+when(applied, " applied")+when(killed, " killed"), func(t *testing.T) {
					t.Parallel()
					testFault(t, inject, applied, killed)
				})
			}
		}
	}
}

func when(b bool, s string) string {
	if b {
		return s
	}
	return ""
}

func testFault(t *testing.T, inject func(c *Config, before, after func() error), applied, killed bool) {
	kit := lanetest.Start(t)
	meet(kit, "alice")
	hit := make(chan struct{})
	once := sync.OnceFunc(func() { close(hit) })
	failures := 3
	fault := func() error {
		once()
		if failures--; failures >= 0 || killed {
			return errors.New("injected")
		}
		return nil
	}
	before, after := fault, func() error { return nil }
	if applied {
		before, after = after, fault
	}
	seen := &witness{Publisher: kit.Publisher, forms: map[string]map[string]bool{}}
	book := openLedger(t, t.TempDir())
	o := open(t, kit, func(c *Config) {
		c.Publisher, c.Ledger = seen, book
		inject(c, before, after)
	})
	r := o.approved("alice")
	stop := kit.Run(o.Run)
	select {
	case <-hit:
	case <-time.After(patience):
		t.Fatal("the fault was not reached")
	}
	if killed {
		stop()
		o.drained()
		if now, _ := o.Get(r.ID, all); now.State == Completed && !applied {
			t.Error("it is completed although a step failed")
		}
		o = open(t, kit, func(c *Config) { c.Publisher, c.Ledger = seen, book })
		kit.Run(o.Run)
	}
	if got := o.until(r.ID, Completed).Outcome; got != Erased {
		t.Errorf("outcome %s", got)
	}
	o.wantForgotten("alice")
	if err := o.lane.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, m, l := len(o.of(events.SubjectRevoked)), len(o.of(events.RequestExecuted)), len(o.of(events.RequestCompleted)); n != 1 || m != 1 || l != 1 {
		t.Errorf("%d revocations, %d executions, %d completions", n, m, l)
	}
	seen.wantOneForm(t)
	o.receipt(r.ID)
	if lines := entered(t, book); len(lines) == 0 || lines[0].Refused.Hash.IsZero() || lines[0].Request != ledger.DigestOf(r.ID) {
		t.Errorf("in the ledger: %+v", lines)
	}
}

// openLedger opens the ledger in a folder.
func openLedger(t *testing.T, dir string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(dir, ledger.Key{ID: "0123abcd"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// entered is the people in a ledger.
func entered(t *testing.T, l *ledger.Ledger) (lines []ledger.Person) {
	t.Helper()
	if err := l.Read(t.Context(), func(e ledger.Entry) error {
		if p, is := e.(ledger.Person); is {
			lines = append(lines, p)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return lines
}

// enteredKeys is the keys beside people's that a ledger says are destroyed.
func enteredKeys(t *testing.T, l *ledger.Ledger) (keys []events.Ref) {
	t.Helper()
	if err := l.Read(t.Context(), func(e ledger.Entry) error {
		if h, is := e.(ledger.Hold); is {
			keys = append(keys, h.Key)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return keys
}

// drained returns when everything that was published before is on the log.
func (o *office) drained() {
	o.t.Helper()
	id, err := newID()
	if err != nil {
		o.t.Fatal(err)
	}
	o.kit.Publish(events.Event{ID: id, Source: "test", Type: events.KeyRetired, Tenant: "acme", Data: events.Data{Issuer: "i", KeyID: "k"}})
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	if _, err := o.lane.Wait(ctx, events.EventRef("acme", "test", id)); err != nil {
		o.t.Fatal(err)
	}
}

// witness sees what is published, by all workers of a test.
type witness struct {
	Publisher
	mu    sync.Mutex
	forms map[string]map[string]bool // by id: what was published under it
}

func (p *witness) Publish(ctx context.Context, evs ...events.Event) error {
	p.mu.Lock()
	for i := range evs {
		form, err := evs[i].Canonical()
		if err != nil {
			return err
		}
		if p.forms[evs[i].ID] == nil {
			p.forms[evs[i].ID] = map[string]bool{}
		}
		p.forms[evs[i].ID][string(form)] = true
	}
	p.mu.Unlock()
	return p.Publisher.Publish(ctx, evs...)
}

// wantOneForm: no id was used for two things.
func (p *witness) wantOneForm(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, forms := range p.forms {
		if len(forms) > 1 {
			t.Errorf("%s was published in %d forms", id, len(forms))
		}
	}
}

// lateLane is slow to show the revocation, unless it is asked to catch up.
type lateLane struct {
	*lane.Follower
	asked chan struct{}
	once  sync.Once
}

func (l *lateLane) Handle(fn func(lane.Entry)) {
	l.Follower.Handle(func(e lane.Entry) {
		if e.Record.Type == events.SubjectRevoked {
			select {
			case <-l.asked:
			case <-time.After(300 * time.Millisecond):
			}
		}
		fn(e)
	})
}

func (l *lateLane) Sync(ctx context.Context) error {
	l.once.Do(func() { close(l.asked) })
	return l.Follower.Sync(ctx)
}

// TestWorkerCatchesUpFirst: a worker that starts does not act on a past that
// the log has overtaken.
func TestWorkerCatchesUpFirst(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	seen := &witness{Publisher: kit.Publisher, forms: map[string]map[string]bool{}}
	hit := make(chan struct{})
	once := sync.OnceFunc(func() { close(hit) })
	first := open(t, kit, func(c *Config) {
		c.Publisher = seen
		c.Keyring = &faultyKeys{c.Keyring, func() error { once(); return errors.New("injected") }, nil}
	})
	r := first.approved("alice")
	stop := kit.Run(first.Run)
	<-hit
	stop()
	second := open(t, kit, func(c *Config) {
		c.Publisher = seen
		c.Lane = &lateLane{Follower: c.Lane.(*lane.Follower), asked: make(chan struct{})}
	})
	kit.Run(second.Run)
	second.until(r.ID, Completed)
	seen.wantOneForm(t)
}

// TestIntakeAway: what is durable and not on the log yet is tried again as it
// was, until it is.
func TestIntakeAway(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	seen := &witness{Publisher: kit.Publisher, forms: map[string]map[string]bool{}}
	tries := make(chan struct{}, 100)
	r := open(t, kit, nil).approved("alice")
	o := open(t, kit, func(c *Config) {
		c.WaitFor = 500 * time.Millisecond
		c.Publisher = &faultyPublisher{seen, events.SubjectRevoked, func() error { tries <- struct{}{}; return nil }, nil}
	})
	kit.StopIntake()
	kit.Run(o.Run)
	for range 3 {
		<-tries
	}
	kit.Intake()
	o.until(r.ID, Completed)
	seen.wantOneForm(t)
}

// TestJoinedBehindTheRevocation: who asks for the same between the approval and the
// revocation comes to the log with the revocation, and later than its cut-off. It stands
// all the same.
func TestJoinedBehindTheRevocation(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	tried := make(chan struct{})
	once := sync.OnceFunc(func() { close(tried) })
	first := open(t, kit, nil)
	r := first.approved("alice")
	joins := open(t, kit, func(c *Config) { c.WaitFor = time.Millisecond })
	o := open(t, kit, func(c *Config) {
		c.WaitFor = 500 * time.Millisecond
		c.Publisher = &faultyPublisher{kit.Publisher, events.SubjectRevoked, nil, func() error { once(); return nil }}
	})
	kit.StopIntake()
	if _, _, err := joins.Receive(t.Context(), Input{Tenant: "acme", Type: Erasure, Regulation: GDPR, Issuer: "https://id.acme", Subject: "alice", Actor: "other"}); !errors.Is(err, ErrPending) {
		t.Fatalf("asked while no intake is there: %v", err)
	}
	kit.Run(o.Run)
	<-tried
	kit.Intake()
	r = o.until(r.ID, Completed)
	if joined, is := r.step(StepJoined); !is || r.cutoff >= events.TimestampOf(joined.At) {
		t.Errorf("nobody joined behind the cut-off %s: %+v", r.cutoff.Time(), r.History)
	}
}

// TestTwoWorkersAtOnce do no more than one.
func TestTwoWorkersAtOnce(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	one, two := open(t, kit, nil), open(t, kit, nil)
	kit.Run(one.Run)
	kit.Run(two.Run)
	var ids []string
	for _, subject := range []string{"a", "b", "c", "d"} {
		meet(kit, subject)
		ids = append(ids, one.approved(subject).ID)
	}
	for _, id := range ids {
		if got := one.until(id, Completed).Outcome; got != Erased {
			t.Errorf("outcome %s", got)
		}
	}
	if err := one.lane.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, m := len(one.of(events.SubjectRevoked)), len(one.of(events.RequestCompleted)); n != len(ids) || m != len(ids) {
		t.Errorf("%d revocations, %d completions of %d", n, m, len(ids))
	}
}

// TestOthersAreNotCarriedOut: only erasure is.
func TestOthersAreNotCarriedOut(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	o := open(t, kit, nil)
	kit.Run(o.Run)
	r, _, err := o.Receive(t.Context(), Input{Tenant: "acme", Type: Access, Regulation: CCPA, Issuer: "https://id.acme", Subject: "alice", Actor: "handler"})
	if err != nil {
		t.Fatal(err)
	}
	o.act(r.ID, Verified, "handler")
	o.act(r.ID, Approved, "approver")
	meet(kit, "bob")
	o.until(o.approved("bob").ID, Completed)
	if now, _ := o.Get(r.ID, all); now.State != Approved {
		t.Errorf("state %s", now.State)
	}
	if key, err := kit.Keyring.Lookup(t.Context(), whom("alice")); err != nil || key.Erased {
		t.Errorf("%v %v", key, err)
	}
}
