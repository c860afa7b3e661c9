package erasure

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

func TestMain(m *testing.M) {
	if isMortal() {
		live()
		return
	}
	goleak.VerifyTestMain(enginetest.M{M: m})
}

const patience = 2 * time.Minute

func all(string) bool { return true }

func only(tenant string) func(string) bool { return func(t string) bool { return t == tenant } }

// office is a workflow over a real log, and who works with it.
type office struct {
	t    *testing.T
	kit  *lanetest.Kit
	lane *lane.Follower
	*Workflow

	rounds int // of a test that has some

	mu      sync.Mutex
	records []lane.Entry
}

// open opens an office over kit; change may change its configuration. It does
// not run the worker.
func open(t *testing.T, kit *lanetest.Kit, change func(*Config)) *office {
	t.Helper()
	o := &office{t: t, kit: kit, lane: kit.Follower()}
	cfg := Config{
		Lane: o.lane, Publisher: kit.Publisher, Keyring: kit.Keyring, Policy: kit.Policy, WaitFor: patience / 10,
		Retry: 5 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
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
	r, joined := o.ask(Input{Subject: subject})
	if joined {
		o.t.Fatalf("joined %s", r.ID)
	}
	return r
}

// ask receives a request; what in leaves out is that of an erasure of acme's.
func (o *office) ask(in Input) (Request, bool) {
	o.t.Helper()
	in.Tenant, in.Issuer = "acme", "https://id.acme"
	in.Type, in.Regulation, in.Actor = cmp.Or(in.Type, Erasure), cmp.Or(in.Regulation, GDPR), cmp.Or(in.Actor, "handler")
	r, joined, err := o.Receive(o.t.Context(), in)
	if err != nil {
		o.t.Fatal(err)
	}
	return r, joined
}

func (o *office) act(id string, to State, actor string) Request {
	o.t.Helper()
	r, err := o.Act(o.t.Context(), Act{ID: id, To: to, Actor: actor, Reason: reasonFor(to), Told: today(), Reaches: all})
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

// reasonFor is a reason that is accepted for a decision.
func reasonFor(to State) string {
	if to == Denied {
		return LegalClaims
	}
	return "because"
}

func today() string { return time.Now().UTC().Format(time.DateOnly) }

// approved is a request of the subject that only has to be carried out.
func (o *office) approved(subject string) Request {
	o.t.Helper()
	r := o.receive(subject)
	o.act(r.ID, Verified, "handler")
	return o.act(r.ID, Approved, "approver")
}

// until waits for a request to be in a state.
func (o *office) until(id string, s State) (r Request) {
	o.t.Helper()
	var err error
	defer func() {
		if o.t.Failed() {
			o.t.Logf("request is %s (%v), waited for %s", r.State, err, s)
		}
	}()
	o.eventually(func() bool {
		r, err = o.Get(id, all)
		return err == nil && r.State == s
	})
	return r
}

// eventually waits until something holds.
func (o *office) eventually(holds func() bool) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			o.t.Fatal("it did not come to be")
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
			Hash: e.Record.PayloadHash,
		})
		if len(e.Sealed) > 0 && !errors.Is(err, seal.ErrDestroyed) {
			o.t.Errorf("the request still opens: %v", err)
		}
	}
}
