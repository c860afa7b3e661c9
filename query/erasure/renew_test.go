package erasure

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

func renewal(subject string) Renewal {
	return Renewal{Tenant: "acme", Issuer: "https://id.acme", Subject: subject, Basis: "contract", Reason: "they signed up again", Actor: "approver"}
}

// TestRenewIsStated: who was forgotten stays so whatever is published, until
// somebody says that there is a new relationship; then they can be forgotten
// again.
func TestRenewIsStated(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	o := open(t, kit, nil)
	kit.Run(o.Run)
	var fence atomic.Value
	_, err := kit.Conn.Subscribe(stream.LiveErasures+".acme.*", func(m *nats.Msg) { fence.Store(m.Subject[strings.LastIndex(m.Subject, ".")+1:]) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Renew(t.Context(), renewal("alice")); !errors.Is(err, seal.ErrLiving) {
		t.Errorf("who was not forgotten: %v", err)
	}
	if _, err := o.Renew(t.Context(), renewal("nobody")); !errors.Is(err, seal.ErrNotFound) {
		t.Errorf("who was never seen: %v", err)
	}
	was, _ := kit.Keyring.Lookup(t.Context(), whom("alice"))
	for generation := uint32(2); generation < 4; generation++ {
		first := o.approved("alice")
		if got := o.until(first.ID, Completed).Outcome; got != Erased {
			t.Fatalf("outcome %s", got)
		}
		o.approved("alice") // a request about who was forgotten, consent or an issued token bring nobody back
		kit.Publish(events.Event{ID: "late", Source: "test", Type: events.ConsentGranted, Tenant: "acme", Data: events.Data{
			Issuer: "https://id.acme", Subject: "alice", Consent: &events.Consent{ID: "c"},
		}})
		o.drained()
		o.eventually(func() bool { return len(o.pending()) == 0 })
		if key, err := kit.Keyring.Lookup(t.Context(), whom("alice")); err != nil || !key.Erased {
			t.Fatalf("came back by themself: %v %v", key, err)
		}
		got, err := o.Renew(t.Context(), renewal("alice"))
		if err != nil || got.Generation != generation {
			t.Fatalf("%+v %v", got, err)
		}
		key, err := kit.Keyring.Lookup(t.Context(), whom("alice"))
		if err != nil || key.Erased || key.Ref == was.Ref || key.Generation != generation {
			t.Fatalf("%v %v", key, err)
		}
		was = key
		if err := kit.Conn.Flush(); err != nil {
			t.Fatal(err)
		}
		kit.Keys.Evict("acme", fence.Load().(string)) // as every holder has before the API's Renew returns
	}
	list := o.List(Filter{Reaches: all, State: Completed})
	if r := list[0]; r.Type != typeRenewal || r.Outcome != KnownAgain || r.History[0].Actor != "approver" || r.History[0].Reason != "they signed up again" {
		t.Errorf("%+v", r)
	}
	for _, e := range o.of(events.RequestReceived) {
		if e.Record.Attributes[attrType] == typeRenewal && (!e.Record.SubjectRef.IsZero() || len(e.Sealed) != 0) {
			t.Error("the log leads to who was forgotten")
		}
	}
}

// TestRenewWaits for an erasure that is under way: it could be theirs.
func TestRenewWaits(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	o := open(t, kit, nil)
	stop := kit.Run(o.Run)
	o.until(o.approved("alice").ID, Completed)
	stop()
	meet(kit, "bob")
	o.approved("bob")
	if _, err := o.Renew(t.Context(), renewal("alice")); !errors.Is(err, seal.ErrErasing) {
		t.Error(err)
	}
}

// TestRenewalIsNoRequest that could be approved, denied or carried out.
func TestRenewalIsNoRequest(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.ask("acme", "r", events.Ref{}, typeRenewal, Other, "approver")
	for _, kind := range []events.Type{events.RequestVerified, events.RequestExtended, events.RequestApproved, events.RequestDenied} {
		if s.step(kind, "acme", "r", "other") != nil {
			t.Errorf("%s was taken", kind.Name())
		}
	}
	if s.complete("acme", "r") != nil {
		t.Error("completed as an erasure")
	}
	if r := s.step(events.RequestCancelled, "acme", "r", "other"); r == nil || r.State != Cancelled {
		t.Errorf("%+v", r)
	}
}

// stoppedKeys is a keyring whose process is stopped in RenewFor: before it, or when
// it is done.
type stoppedKeys struct {
	Keyring
	applied bool
}

func (k *stoppedKeys) RenewFor(ctx context.Context, p seal.Person, by events.Ref) (seal.SubjectKey, error) {
	if k.applied {
		_, err := k.Keyring.RenewFor(ctx, p, by)
		return seal.SubjectKey{}, errors.Join(err, errors.New("injected"))
	}
	return seal.SubjectKey{}, errors.New("injected")
}

// TestRenewIsFinished: a renewal that was stopped between the key and its event is
// completed by the next one on the same basis, and is one. One that was stopped
// before the key is asked anew.
func TestRenewIsFinished(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	stop := kit.Run(o.Run)
	for _, subject := range []string{"alice", "bob", "carol"} {
		meet(kit, subject)
		o.until(o.approved(subject).ID, Completed)
	}
	stop()
	again := func(who string, in Renewal, open, done int) {
		t.Helper()
		if got, err := o.Renew(t.Context(), in); err != nil || got.Generation != 2 {
			t.Errorf("%s: %+v, %v", who, got, err)
		}
		if _, err := o.Renew(t.Context(), in); !errors.Is(err, seal.ErrLiving) {
			t.Errorf("%s, finished: %v", who, err)
		}
		count := func(s State) (n int) {
			for _, r := range o.List(Filter{Reaches: all, State: s}) {
				if r.Type == typeRenewal {
					n++
				}
			}
			return n
		}
		if n, m := count(Received), count(Completed); n != open || m != done {
			t.Errorf("%s: %d open and %d completed, want %d and %d", who, n, m, open, done)
		}
	}
	openBroken(t, kit, func(c *Config) {
		c.Publisher = &faultyPublisher{Publisher: c.Publisher, of: events.RequestCompleted, before: func() error { return errors.New("injected") }}
	}, "alice")
	other := renewal("alice")
	other.Basis = "consent"
	if _, err := o.Renew(t.Context(), other); !errors.Is(err, seal.ErrLiving) {
		t.Errorf("on another basis: %v", err)
	}
	again("alice", renewal("alice"), 0, 1)
	openBroken(t, kit, func(c *Config) { c.Keyring = &stoppedKeys{c.Keyring, true} }, "bob")
	again("bob", renewal("bob"), 0, 2)
	openBroken(t, kit, func(c *Config) { c.Keyring = &stoppedKeys{c.Keyring, false} }, "carol")
	again("carol", renewal("carol"), 1, 3)
}

// openBroken is an office that fails to renew somebody.
func openBroken(t *testing.T, kit *lanetest.Kit, change func(*Config), subject string) *office {
	t.Helper()
	o := open(t, kit, change)
	if _, err := o.Renew(t.Context(), renewal(subject)); err == nil {
		t.Fatalf("%s is known again", subject)
	}
	return o
}
