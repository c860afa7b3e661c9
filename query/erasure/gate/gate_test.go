package gate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/erasure/gate"
	"github.com/rescindhq/rescind/query/erasure/ledger"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 2 * time.Minute
	issuer   = "https://id.acme"
)

func all(string) bool { return true }

// house is a real log, keyring and ledger, and a worker that erases.
type house struct {
	t      *testing.T
	kit    *lanetest.Kit
	store  *stream.KeyStore
	ledger *ledger.Ledger
	lane   *lane.Follower
	*erasure.Workflow

	mu     sync.Mutex
	ours   map[events.Type]int // events of the gate on the log
	others int
}

func build(t *testing.T) *house {
	t.Helper()
	h := buildIdle(t)
	h.kit.Run(h.Run)
	return h
}

// buildIdle is build without the worker at work.
func buildIdle(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, kit: lanetest.Start(t), ours: map[events.Type]int{}}
	js, err := jetstream.New(h.kit.Projector)
	h.check(err)
	h.store, err = stream.OpenKeyStore(t.Context(), js)
	h.check(err)
	h.ledger = h.openLedger(t.TempDir())
	h.lane = h.kit.Follower()
	h.Workflow, err = erasure.New(erasure.Config{
		Lane: h.lane, Publisher: h.kit.Publisher, Keyring: h.kit.Keyring, Ledger: h.ledger, Policy: h.kit.Policy,
		WaitFor: patience, Retry: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	h.check(err)
	h.lane.Handle(func(e lane.Entry) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if e.Record.Source == "somebody" {
			h.others++
		}
		if e.Record.Actor == gate.Source {
			h.ours[e.Record.Type]++
		}
	})
	h.kit.Run(h.lane.Run)
	return h
}

func (h *house) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) openLedger(dir string) *ledger.Ledger {
	h.t.Helper()
	id, secret, err := h.kit.Keys.LedgerKey(h.t.Context())
	h.check(err)
	l, err := ledger.Open(dir, ledger.Key{ID: id, Secret: secret})
	h.check(err)
	return l
}

func person(subject string) seal.Person {
	return seal.Person{Tenant: "acme", Issuer: issuer, Subject: subject}
}

// meet makes a person known.
func (h *house) meet(subject string) events.Ref {
	h.t.Helper()
	keys, err := h.kit.Keys.Subjects(h.t.Context(), []seal.Person{person(subject)})
	h.check(err)
	return keys[0].Ref
}

// forget has a person erased by the worker.
func (h *house) forget(subject string) {
	h.t.Helper()
	h.completed(h.approve(subject))
}

// approve is the id of an erasure that only has to be carried out.
func (h *house) approve(subject string) string {
	h.t.Helper()
	r, _, err := h.Receive(h.t.Context(), erasure.Input{Tenant: "acme", Type: erasure.Erasure, Regulation: erasure.GDPR, Issuer: issuer, Subject: subject, Actor: "handler"})
	h.check(err)
	_, err = h.Act(h.t.Context(), erasure.Act{ID: r.ID, To: erasure.Verified, Actor: "handler", Reaches: all})
	h.check(err)
	_, err = h.Act(h.t.Context(), erasure.Act{ID: r.ID, To: erasure.Approved, Actor: "approver", Reaches: all})
	h.check(err)
	return r.ID
}

func (h *house) completed(id string) {
	h.t.Helper()
	h.eventually("the erasure", func() bool {
		now, err := h.Get(id, all)
		return err == nil && now.State == erasure.Completed
	})
}

func (h *house) eventually(what string, holds func() bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.t.Fatalf("it did not come to be: %s", what)
		}
	}
}

// copyKeys is all that the keyring's store has.
func (h *house) copyKeys() map[string][]byte {
	h.t.Helper()
	names, err := h.store.List(h.t.Context(), "")
	h.check(err)
	got, err := h.store.Get(h.t.Context(), names...)
	h.check(err)
	return got
}

// restoreKeys makes the store what it was.
func (h *house) restoreKeys(was map[string][]byte) {
	h.t.Helper()
	for name := range h.copyKeys() {
		if was[name] == nil {
			h.check(h.store.Erase(h.t.Context(), name))
		}
	}
	is := h.copyKeys()
	for name, value := range was {
		if is[name] == nil {
			h.check(h.store.Create(h.t.Context(), "", seal.Put{Key: name, Value: value}))
		}
	}
	h.kit.Keyring.Evict("", "")
	h.kit.Keys.Evict("", "")
}

func (h *house) config() gate.Config {
	js, err := jetstream.New(h.kit.Projector)
	h.check(err)
	return gate.Config{
		Ledger: h.ledger, Logs: []gate.Log{h.kit.Log}, Keyring: h.kit.Keys, Exports: stream.NewExports(h.kit.JS), Environment: lanetest.Environment,
		TenantOf: func(uint16) string { return "rescind" }, Logger: slog.New(slog.DiscardHandler),
		Drop: func(context.Context) error { return nil },
		Publish: func(ctx context.Context, ev events.Event) error {
			body, err := events.MarshalEvent(&ev)
			if err != nil {
				return err
			}
			_, err = js.Publish(ctx, stream.ServiceSubject(ev.Tenant, ev.Type), body)
			return err
		},
	}
}

func (h *house) pass(want gate.Report) {
	h.t.Helper()
	got, err := gate.Pass(h.t.Context(), h.config())
	h.check(err)
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Error(diff)
	}
}

// recorded is how many events of the gate are on the log, of all that were
// published.
func (h *house) recorded() map[events.Type]int {
	h.t.Helper()
	id := fmt.Sprint("mark-", time.Now().UnixNano())
	h.kit.Publish(events.Event{ID: id, Source: "test", Type: events.KeyRetired, Tenant: "acme", Data: events.Data{Issuer: "i", KeyID: "k"}})
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	_, err := h.lane.Wait(ctx, events.EventRef("acme", "test", id))
	h.check(err)
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.ours)
}

func (h *house) wantForgotten(subject string, want bool) {
	h.t.Helper()
	key, err := h.kit.Keyring.Lookup(h.t.Context(), person(subject))
	if err != nil || key.Erased != want {
		h.t.Errorf("%s: erased %t, %v", subject, key.Erased, err)
	}
}

// TestKeyringRestored: who is back is destroyed again, that is recorded, once, and
// nobody else is touched; with the ledger, and with one that was lost.
func TestKeyringRestored(t *testing.T) {
	t.Parallel()
	h := build(t)
	for _, subject := range []string{"alice", "bob"} {
		h.meet(subject)
	}
	h.pass(gate.Report{})
	was := h.copyKeys()
	h.forget("alice")
	h.pass(gate.Report{Erased: 1})
	if n := h.recorded(); len(n) != 0 {
		t.Errorf("recorded although nobody was back: %v", n)
	}
	for round, lost := range []bool{false, true} {
		h.restoreKeys(was)
		h.wantForgotten("alice", false) // or the test says nothing
		want := gate.Report{Erased: 1, Destroyed: 1}
		if lost {
			h.ledger, want.Added = h.openLedger(t.TempDir()), 1
		}
		h.pass(want)
		h.wantForgotten("alice", true)
		h.wantForgotten("bob", false)
		h.pass(gate.Report{Erased: 1})
		if diff := cmp.Diff(map[events.Type]int{events.RequestReapplied: round + 1, events.FindingOpened: round + 1}, h.recorded()); diff != "" {
			t.Error(diff)
		}
	}
}

// TestARestoreIsWarnedOf: who starts it after a restore reads so, and where to look;
// who starts it as ever reads no warning.
func TestARestoreIsWarnedOf(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.meet("alice")
	h.pass(gate.Report{})
	was := h.copyKeys()
	h.forget("alice")
	warned := func() string {
		var out bytes.Buffer
		c := h.config()
		c.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))
		_, err := gate.Pass(t.Context(), c)
		h.check(err)
		return out.String()
	}
	if got := warned(); got != "" {
		t.Errorf("warned of nothing: %s", got)
	}
	h.restoreKeys(was)
	if got := warned(); !strings.Contains(got, "erased-returned") || !strings.Contains(got, "again=1") {
		t.Errorf("a restore was not told of: %q", got)
	}
}

// TestRenewedIsNobodyWhoCameBack: a new key, made by statement, stays.
func TestRenewedIsNobodyWhoCameBack(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.meet("alice")
	h.forget("alice")
	_, err := h.Renew(t.Context(), erasure.Renewal{Tenant: "acme", Issuer: issuer, Subject: "alice", Basis: "contract", Reason: "came back", Actor: "handler"})
	h.check(err)
	h.pass(gate.Report{Erased: 1})
	h.wantForgotten("alice", false)
}

// TestWhatHoldsKeep: somebody of whom a hold may keep a part is fenced, and
// destroyed when the ledger says that none does; the key of a released hold goes.
func TestWhatHoldsKeep(t *testing.T) {
	t.Parallel()
	h := build(t)
	ref := h.meet("alice")
	h.recorded() // the log holds something
	h.check(h.ledger.Append(t.Context(), ledger.Person{Tenant: "acme", Ref: ref, At: time.Now(), Held: true}))
	h.pass(gate.Report{Erased: 1, Fenced: 1})
	h.wantForgotten("alice", true)
	there := func() bool {
		back, err := h.kit.Keys.Returned(t.Context(), []seal.Reference{{Tenant: "acme", Ref: ref}})
		h.check(err)
		return len(back) == 1
	}
	if !there() {
		t.Error("what a hold may keep is destroyed")
	}
	hold := events.Ref{7}
	_, err := h.kit.Keyring.HoldKey(t.Context(), "acme", hold)
	h.check(err)
	h.check(h.ledger.Append(t.Context(), ledger.Hold{Tenant: "acme", Key: hold, At: time.Now()}, ledger.Person{Tenant: "acme", Ref: ref, At: time.Now()}))
	h.pass(gate.Report{Erased: 2, Destroyed: 1, Holds: 1})
	if there() {
		t.Error("what no hold keeps is there")
	}
	if _, err := h.kit.Keyring.HoldKey(t.Context(), "acme", hold); !errors.Is(err, seal.ErrDestroyed) {
		t.Errorf("the key of the released hold: %v", err)
	}
}

// TestLogRestored: revocations of erasures that a log has lost are put back, but
// those that have expired; once, also where the gate was stopped before it said
// that it had passed.
func TestLogRestored(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.meet("alice") // so that the tenant is known
	now := time.Now()
	lost := func(n byte, expires time.Duration) ledger.Person {
		return ledger.Person{
			Tenant: "acme", Ref: events.Ref{n}, Request: ledger.DigestOf("r"), Index: 1 << 40, At: now.Add(-time.Hour), Refused: events.Revocation{
				Scope: events.ScopeSubject, Hash: events.Ref{9, n}, FeedKey: 1, IssuedBefore: events.TimestampOf(now.Add(-time.Hour)), Expires: events.TimestampOf(now.Add(expires)),
			},
		}
	}
	h.recorded()
	h.check(h.ledger.Append(t.Context(), lost(1, 30*time.Hour), lost(2, -time.Minute), lost(1, 30*time.Hour)))
	stopped := h.config()
	stopped.Ledger = readOnly{h.ledger}
	if _, err := gate.Pass(t.Context(), stopped); !errors.Is(err, errInjected) {
		t.Fatalf("%v", err)
	}
	want := map[events.Type]int{events.RevocationRestored: 1, events.FindingOpened: 1}
	if diff := cmp.Diff(want, h.recorded()); diff != "" {
		t.Fatal(diff)
	}
	h.pass(gate.Report{Erased: 3, Restored: 1})
	h.pass(gate.Report{Erased: 3})
	if diff := cmp.Diff(want, h.recorded()); diff != "" {
		t.Error(diff)
	}
	h.check(h.ledger.Append(t.Context(), ledger.Seen{Seq: 1, At: now})) // of another log
	h.pass(gate.Report{Erased: 3, Restored: 1})
}

var errInjected = errors.New("injected")

// readOnly is a ledger that takes nothing.
type readOnly struct{ gate.Ledger }

func (readOnly) Append(context.Context, ...ledger.Entry) error { return errInjected }

// broken is a keyring that fails in one of its methods, before or after it was
// done.
type broken struct {
	gate.Keyring
	in      string
	applied bool
}

func (b broken) fail(method string, do func() error) error {
	if b.in != method {
		return do()
	}
	if b.applied {
		return errors.Join(do(), errInjected)
	}
	return errInjected
}

func (b broken) Returned(ctx context.Context, people []seal.Reference) (out []seal.Reference, err error) {
	err = b.fail("returned", func() error { out, err = b.Keyring.Returned(ctx, people); return err })
	return out, err
}

func (b broken) DestroyAgain(ctx context.Context, r seal.Reference) error {
	return b.fail("destroy", func() error { return b.Keyring.DestroyAgain(ctx, r) })
}

func (b broken) DestroyHold(ctx context.Context, tenant string, hold events.Ref) error {
	return b.fail("hold", func() error { return b.Keyring.DestroyHold(ctx, tenant, hold) })
}

// TestFaults is every call of a pass, failed, and failed but applied: nothing is
// served, nothing is destroyed that is not recorded, and the next pass ends it.
func TestFaults(t *testing.T) {
	t.Parallel()
	h := build(t)
	ref, hold := h.meet("alice"), events.Ref{7}
	h.meet("bob")
	_, err := h.kit.Keyring.HoldKey(t.Context(), "acme", hold)
	h.check(err)
	h.check(h.ledger.Append(t.Context(), ledger.Person{Tenant: "acme", Ref: ref, At: time.Now()}, ledger.Hold{Tenant: "acme", Key: hold, At: time.Now()}))
	was := h.copyKeys()
	faults := map[string]func(c *gate.Config, applied bool){
		"lock": func(c *gate.Config, _ bool) {
			c.Lock = func(context.Context) (func(), error) { return nil, errInjected }
		},
		"log": func(c *gate.Config, _ bool) { c.Logs = []gate.Log{noLog{}} },
		"publish": func(c *gate.Config, applied bool) {
			publish := c.Publish
			c.Publish = func(ctx context.Context, ev events.Event) error {
				if applied {
					h.check(publish(ctx, ev))
				}
				return errInjected
			}
		},
		"drop": func(c *gate.Config, _ bool) { c.Drop = func(context.Context) error { return errInjected } },
		"see":  func(c *gate.Config, _ bool) { c.Ledger = readOnly{c.Ledger} },
	}
	for _, method := range []string{"returned", "destroy", "hold"} {
		faults[method] = func(c *gate.Config, applied bool) { c.Keyring = broken{c.Keyring, method, applied} }
	}
	for name, inject := range faults {
		for _, applied := range []bool{false, true} {
			h.restoreKeys(was)
			h.kit.Publish(events.Event{Type: events.KeyRetired, Tenant: "acme", Data: events.Data{Issuer: "i", KeyID: "k"}})
			before := h.recorded()[events.RequestReapplied]
			c := h.config()
			inject(&c, applied)
			if _, err := gate.Pass(t.Context(), c); !errors.Is(err, errInjected) || !strings.Contains(err.Error(), "nothing is served") {
				t.Errorf("%s, applied %t: %v", name, applied, err)
			}
			back, err := h.kit.Keys.Returned(t.Context(), []seal.Reference{{Tenant: "acme", Ref: ref}})
			h.check(err)
			if len(back) == 0 && h.recorded()[events.RequestReapplied] == before {
				t.Errorf("%s, applied %t: destroyed, and not recorded", name, applied)
			}
			_, err = gate.Pass(t.Context(), h.config())
			h.check(err)
			h.wantForgotten("alice", true)
			h.wantForgotten("bob", false)
			h.pass(gate.Report{Erased: 1})
		}
	}
}

// noLog cannot be read.
type noLog struct{ gate.Log }

func (noLog) Last(context.Context) (stream.LogMessage, error) {
	return stream.LogMessage{}, errInjected
}

// TestTamperedLedger: nothing is served, and nothing is destroyed on its word.
func TestTamperedLedger(t *testing.T) {
	t.Parallel()
	h := build(t)
	ref := h.meet("alice")
	h.recorded() // the log holds something
	h.check(h.ledger.Append(t.Context(), ledger.Person{Tenant: "acme", Ref: ref, At: time.Now()}, ledger.Person{Tenant: "acme", Ref: events.Ref{1}, At: time.Now()}))
	b, err := os.ReadFile(h.ledger.Path())
	h.check(err)
	b[len(b)-50] ^= 1
	h.check(os.WriteFile(h.ledger.Path(), b, 0o600))
	_, err = gate.Pass(t.Context(), h.config())
	if !errors.Is(err, ledger.ErrTampered) || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("%v", err)
	}
	h.wantForgotten("alice", false)
}

// TestOthersSayNothing: only what the worker says is believed.
func TestOthersSayNothing(t *testing.T) {
	t.Parallel()
	h := build(t)
	ref := h.meet("alice")
	h.kit.Publish(events.Event{Source: "somebody", Type: events.RequestReceived, Tenant: "acme", Data: events.Data{
		Issuer: issuer, Subject: "alice", Actor: "x", Attributes: map[string]string{"request": "r", "request_type": "erasure"}}})
	h.kit.Publish(events.Event{Source: "somebody", Type: events.RequestCompleted, Tenant: "acme", Data: events.Data{
		Actor: "x", Attributes: map[string]string{"request": "r", "outcome": "erased"}}})
	h.recorded()
	h.eventually("both events", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.others == 2
	})
	h.pass(gate.Report{})
	if back, err := h.kit.Keys.Returned(t.Context(), []seal.Reference{{Tenant: "acme", Ref: ref}}); err != nil || len(back) != 1 {
		t.Errorf("%v, %v", back, err)
	}
}

// TestRecipientsKeepNothing: somebody of whom recipients are still to be told, and
// of whom no hold keeps anything, is destroyed again and not only fenced.
func TestRecipientsKeepNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kept string
		want gate.Report
	}{
		"recipients": {"0", gate.Report{Erased: 1, Added: 1, Destroyed: 1}},
		"holds":      {"3", gate.Report{Erased: 1, Added: 1, Fenced: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			h.meet("alice")
			says := func(kind events.Type, d events.Data) {
				d.Actor = erasure.Worker
				h.kit.Publish(events.Event{Source: erasure.Source, Type: kind, Tenant: "acme", Data: d})
			}
			says(events.RequestReceived, events.Data{Issuer: issuer, Subject: "alice", Attributes: map[string]string{"request": "r", "request_type": "erasure", "regulation": "gdpr"}})
			says(events.RequestCompleted, events.Data{Attributes: map[string]string{"request": "r", "outcome": "partial", "missing": "x", "kept": c.kept}})
			h.recorded()
			h.pass(c.want)
		})
	}
}
