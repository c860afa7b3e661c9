package erasure

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func all(string) bool { return true }

func only(tenant string) func(string) bool { return func(t string) bool { return t == tenant } }

// office is a workflow over a real log, and who works with it.
type office struct {
	t    *testing.T
	kit  *lanetest.Kit
	lane *lane.Follower
	*Workflow

	mu      sync.Mutex
	records []lane.Entry
}

// open opens an office over kit; change may change its configuration. It does
// not run the worker.
func open(t *testing.T, kit *lanetest.Kit, change func(*Config)) *office {
	t.Helper()
	o := &office{t: t, kit: kit, lane: kit.Follower()}
	cfg := Config{
		Lane: o.lane, Publisher: kit.Publisher, Keyring: kit.Keyring, Policy: kit.Policy, WaitFor: patience,
		Retry: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if o.Workflow, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	o.lane.Handle(o.remember)
	kit.Run(o.lane.Run)
	return o
}

func (o *office) remember(e lane.Entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.records = append(o.records, e)
}

// of lists the records of a type, in the order of the log.
func (o *office) of(t events.Type) (out []lane.Entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.records {
		if e.Record.Type == t {
			out = append(out, e)
		}
	}
	return out
}

func (o *office) receive(subject string) Request {
	o.t.Helper()
	r, err := o.Receive(o.t.Context(), Input{
		Tenant: "acme", Type: Erasure, Regulation: GDPR, Issuer: "https://id.acme", Subject: subject, Actor: "handler", Note: "by letter",
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

func (o *office) act(id string, to State, actor string) Request {
	o.t.Helper()
	r, err := o.Act(o.t.Context(), Act{ID: id, To: to, Actor: actor, Reason: "because", Reaches: all})
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

// approved is a request of the subject that only has to be carried out.
func (o *office) approved(subject string) Request {
	o.t.Helper()
	r := o.receive(subject)
	o.act(r.ID, Verified, "handler")
	return o.act(r.ID, Approved, "approver")
}

// until waits for a request to be in a state.
func (o *office) until(id string, s State) Request {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := o.Get(id, all)
		if err == nil && r.State == s {
			return r
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			o.t.Fatalf("request is %s (%v), waited for %s", r.State, err, s)
		}
	}
}

// meet makes a subject known: a token was issued to them.
func meet(kit *lanetest.Kit, subject string) {
	kit.T.Helper()
	kit.Publish(events.Event{Type: events.TokenIssued, Tenant: "acme", Data: events.Data{
		Issuer: "https://id.acme", Subject: subject, TokenID: "jti-of-" + subject, Algorithm: "ES256", KeyID: "k",
	}})
	ctx, cancel := context.WithTimeout(kit.T.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := kit.Keyring.Lookup(ctx, whom(subject))
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			kit.T.Fatalf("the subject is not known: %v", err)
		}
	}
}

func whom(subject string) seal.Person {
	return seal.Person{Tenant: "acme", Issuer: "https://id.acme", Subject: subject}
}

// wantForgotten checks that nothing opens to the subject any more.
func (o *office) wantForgotten(subject string) {
	o.t.Helper()
	key, err := o.kit.Keyring.Lookup(o.t.Context(), whom(subject))
	if err != nil || !key.Erased {
		o.t.Errorf("the subject is not forgotten: %v, %v", key, err)
	}
	for _, e := range o.of(events.RequestReceived) {
		_, err := o.kit.Keyring.Open(o.t.Context(), seal.OpenRequest{
			Tenant: e.Record.Tenant, Source: e.Record.Source, ID: e.Record.ID, Ref: e.Record.SubjectRef, Generation: e.Record.DataKey, Sealed: e.Sealed,
		})
		if len(e.Sealed) > 0 && !errors.Is(err, seal.ErrDestroyed) {
			o.t.Errorf("the request still opens: %v", err)
		}
	}
}

// TestErasure is the whole story, with the order of what is on the log.
func TestErasure(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice@example.com")
	o := open(t, kit, nil)
	kit.Run(o.Run)
	began := time.Now()
	r := o.receive("alice@example.com")
	if r.State != Received || !r.Due.Equal(Due(r.Received, GDPR)) || r.Received.Before(began.Add(-time.Minute)) {
		t.Fatalf("%+v", r)
	}
	o.act(r.ID, Verified, "handler")
	o.act(r.ID, Approved, "approver")
	r = o.until(r.ID, Completed)
	if r.Outcome != Erased {
		t.Errorf("outcome %s", r.Outcome)
	}
	o.wantForgotten("alice@example.com")
	revoked, completed := o.of(events.SubjectRevoked), o.of(events.RequestCompleted)
	if len(revoked) != 1 || len(completed) != 1 {
		t.Fatalf("%d revocations, %d completions", len(revoked), len(completed))
	}
	if v := revoked[0].Record.Revocation; v.IssuedBefore < events.TimestampOf(r.History[2].At) {
		t.Errorf("cut-off %s is before the approval", v.IssuedBefore.Time())
	}
	var states []State
	for _, h := range r.History {
		states = append(states, h.State)
	}
	if !slices.Equal(states, []State{Received, Verified, Approved, Executing, Completed}) {
		t.Error(states)
	}
}

// TestRevokedBeforeDestroyed: when the key goes, the revocation is on the log.
func TestRevokedBeforeDestroyed(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	keys := &faultyKeys{Keyring: kit.Keyring}
	var o *office
	var revoked int
	keys.before = func() error {
		revoked = len(o.of(events.SubjectRevoked))
		return nil
	}
	o = open(t, kit, func(c *Config) { c.Keyring = keys })
	r := o.approved("alice")
	kit.Run(o.Run)
	o.until(r.ID, Completed)
	if revoked != 1 {
		t.Errorf("%d revocations were on the log when the key was destroyed", revoked)
	}
}

// TestOutcomesAreApart: E10.
func TestOutcomesAreApart(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	o := open(t, kit, nil)
	first, second := o.approved("alice"), o.approved("alice")
	kit.Run(o.Run)
	if got := o.until(first.ID, Completed).Outcome; got != Erased {
		t.Errorf("first: %s", got)
	}
	if got := o.until(second.ID, Completed).Outcome; got != AlreadyErased {
		t.Errorf("second, received before the first was carried out: %s", got)
	}
	if got := o.until(o.approved("alice").ID, Completed).Outcome; got != AlreadyErased {
		t.Errorf("third, received after: %s", got)
	}
	if got := o.until(o.approved("nobody").ID, Completed).Outcome; got != NoMatch {
		t.Errorf("a subject who was never seen: %s", got)
	}
	o.wantForgotten("nobody")
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	r := o.receive("alice")
	act := func(to State, actor string) error {
		_, err := o.Act(t.Context(), Act{ID: r.ID, To: to, Actor: actor, Reason: "because", Reaches: all})
		return err
	}
	var state *StateError
	if err := act(Approved, "approver"); !errors.As(err, &state) || state.State != Received {
		t.Errorf("approved before it was verified: %v", err)
	}
	o.act(r.ID, Verified, "verifier")
	for _, actor := range []string{"handler", "verifier", ""} {
		if err := act(Approved, actor); !errors.Is(err, ErrFourEyes) {
			t.Errorf("approved by %q: %v", actor, err)
		}
	}
	denied := o.act(r.ID, Denied, "approver")
	if denied.Reason != "because" || denied.State != Denied {
		t.Errorf("%+v", denied)
	}
	if err := act(Cancelled, "handler"); !errors.As(err, &state) {
		t.Errorf("cancelled after it was denied: %v", err)
	}
	if _, err := o.Act(t.Context(), Act{ID: r.ID, To: Verified, Actor: "x", Reaches: only("globex")}); !errors.Is(err, ErrNotFound) {
		t.Errorf("another tenant's: %v", err)
	}
	if _, err := o.Get("none", all); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestTwoDecideAtOnce: one decision stands, and everybody is told the same.
func TestTwoDecideAtOnce(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	one, two := open(t, kit, nil), open(t, kit, nil)
	for range 5 {
		r := one.receive("alice")
		one.act(r.ID, Verified, "handler")
		two.until(r.ID, Verified)
		errs := make([]error, 2)
		var deciding sync.WaitGroup
		for i, a := range []struct {
			o  *office
			to State
		}{{one, Denied}, {two, Cancelled}} {
			deciding.Go(func() {
				_, errs[i] = a.o.Act(t.Context(), Act{ID: r.ID, To: a.to, Actor: "approver", Reason: "because", Reaches: all})
			})
		}
		deciding.Wait()
		now, _ := one.Get(r.ID, all)
		var state *StateError
		if now.State == Denied && (errs[0] != nil || !errors.As(errs[1], &state)) || now.State == Cancelled && (errs[1] != nil || !errors.As(errs[0], &state)) {
			t.Errorf("%s, but told %v", now.State, errs)
		}
	}
}

// TestSubjectWhoRecordedIt cannot approve it, though the log does not say who
// they are.
func TestSubjectWhoRecordedIt(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	r, err := o.Receive(t.Context(), Input{Tenant: "acme", Type: Erasure, Regulation: GDPR, Issuer: "i", Subject: "alice", Actor: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	if got := o.of(events.RequestReceived)[0].Record.Actor; got != events.ActorSubject {
		t.Fatalf("the log names %s", got)
	}
	o.act(r.ID, Verified, "handler")
	if _, err := o.Act(t.Context(), Act{ID: r.ID, To: Approved, Actor: "alice", Reaches: all}); !errors.Is(err, ErrFourEyes) {
		t.Errorf("approved their own: %v", err)
	}
	o.act(r.ID, Approved, "approver")
}

func TestReceiveRefuses(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	_, err := o.Receive(t.Context(), Input{Tenant: "acme", Type: Erasure, Regulation: GDPR, Issuer: "i", Subject: "a", Actor: "h", Note: "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln"})
	var refusal *events.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != events.ReasonRawToken {
		t.Error(err)
	}
}

// TestPending: what is durable but not on the log yet is not called done.
func TestPending(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, func(c *Config) { c.WaitFor, c.Publisher = 20*time.Millisecond, nowhere{} })
	if _, err := o.Receive(t.Context(), Input{Tenant: "acme", Type: Erasure, Regulation: GDPR, Issuer: "i", Subject: "a", Actor: "h"}); !errors.Is(err, ErrPending) {
		t.Error(err)
	}
}

type nowhere struct{}

func (nowhere) Publish(context.Context, ...events.Event) error { return nil }

func TestList(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	var ids []string
	for range 5 {
		ids = append(ids, o.receive("alice").ID)
	}
	o.act(ids[2], Verified, "handler")
	list := func(f Filter) (out []string) {
		for _, r := range o.List(f) {
			out = append(out, r.ID)
		}
		return out
	}
	if got := list(Filter{Reaches: all}); !slices.Equal(got, []string{ids[4], ids[3], ids[2], ids[1], ids[0]}) {
		t.Error(got)
	}
	if got := list(Filter{Reaches: all, State: Verified}); !slices.Equal(got, ids[2:3]) {
		t.Error(got)
	}
	first := o.List(Filter{Reaches: all, Limit: 2})
	if got := list(Filter{Reaches: all, Limit: 2, Before: &first[1].Position}); !slices.Equal(got, []string{ids[2], ids[1]}) {
		t.Error(got)
	}
	if got := list(Filter{Reaches: only("globex")}); got != nil {
		t.Error(got)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{Retry: -1}); err == nil {
		t.Error("accepted")
	}
}

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

// TestFaults is every write of the worker, failed and failed but applied, by a
// worker that goes on and by one that is stopped there and followed by
// another: each ends in one completion, one revocation, and a person who is
// forgotten.
func TestFaults(t *testing.T) {
	t.Parallel()
	steps := map[string]func(c *Config, before, after func() error){
		"revoke": func(c *Config, before, after func() error) {
			c.Publisher = &faultyPublisher{c.Publisher, events.SubjectRevoked, before, after}
		},
		"destroy": func(c *Config, before, after func() error) { c.Keyring = &faultyKeys{c.Keyring, before, after} },
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
	o := open(t, kit, func(c *Config) {
		c.Publisher = seen
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
		o = open(t, kit, func(c *Config) { c.Publisher = seen })
		kit.Run(o.Run)
	}
	if got := o.until(r.ID, Completed).Outcome; got != Erased {
		t.Errorf("outcome %s", got)
	}
	o.wantForgotten("alice")
	if err := o.lane.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, m := len(o.of(events.SubjectRevoked)), len(o.of(events.RequestCompleted)); n != 1 || m != 1 {
		t.Errorf("%d revocations, %d completions", n, m)
	}
	seen.wantOneForm(t)
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
	o := open(t, kit, func(c *Config) {
		c.WaitFor = 500 * time.Millisecond
		c.Publisher = &faultyPublisher{seen, events.SubjectRevoked, func() error { tries <- struct{}{}; return nil }, nil}
	})
	r := o.approved("alice")
	kit.StopIntake()
	kit.Run(o.Run)
	for range 3 {
		<-tries
	}
	kit.Intake()
	o.until(r.ID, Completed)
	seen.wantOneForm(t)
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
	r, err := o.Receive(t.Context(), Input{Tenant: "acme", Type: Access, Regulation: CCPA, Issuer: "https://id.acme", Subject: "alice", Actor: "handler"})
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
