package stream_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/canary"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// theCanary is in every personal member of an event of private.
const theCanary = "canary-9f1c7be2d4"

func private(id string) events.Event {
	ev := issued(id)
	ev.Data.Subject, ev.Data.SessionID, ev.Data.TokenID = theCanary+"-sub", theCanary+"-sid", theCanary+"-jti"
	ev.Data.UserAgent, ev.Data.Note = theCanary+" browser", theCanary+" note"
	ev.Data.Personal = map[string]any{"email": theCanary + "@example.com", theCanary: "é" + theCanary}
	return ev
}

// TestNothingPersonalIsOnTheDiskOfTheIntake searches the server's files while
// what was published waits there, and after it is gone; and finds what was sent
// in clear.
func TestNothingPersonalIsOnTheDiskOfTheIntake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := worldOf(t, natsdtest.StartIn(t, natsd.Config{Dir: dir, SyncEvery: time.Hour}))
	p := w.publisher(t, natsd.Issuer, nil)
	service := w.publisher(t, natsd.API, func(c *stream.PublisherConfig) { c.Service, c.Source = true, "rescind:erasure" })
	var evs []events.Event
	for _, id := range strings.Fields("a b c d e f g h") {
		evs = append(evs, private(id))
	}
	if err := errors.Join(p.Publish(t.Context(), evs...), p.Publish(t.Context(), private("alone"))); err != nil {
		t.Fatal(err)
	}
	own := private("own")
	own.Type, own.Data.Actor, own.Data.Attributes = events.AuditAccessed, "officer", map[string]string{"purpose": "case 42"}
	if err := service.Publish(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	none := func(when string) {
		t.Helper()
		if hits, err := canary.Scan(dir, theCanary); err != nil || len(hits) != 0 {
			t.Errorf("%s: %v, %v", when, hits, err)
		}
	}
	none("while it waits")
	in := w.intake(t)
	n := int(w.state(t, stream.IntakeStream).Msgs)
	var got []events.Decoded
	for _, m := range collect(t, in, n) {
		decoded, err := events.Decode(w.sealing.Open(t, m.Message))
		if err != nil || m.Message.ContentType != envelope.ContentType {
			t.Fatal(m.Message.ContentType, err)
		}
		got = append(got, decoded...)
	}
	if len(got) != 10 || got[0].Event.Data.Subject != theCanary+"-sub" {
		t.Fatalf("%d events arrived, the first of %q", len(got), got[0].Event.Data.Subject)
	}
	none("when it was read")

	clear := private("clear")
	clear.Tenant, clear.Source, clear.Environment, clear.Time = "acme", "https://id.example", "dev", time.Now()
	b, err := events.MarshalEvent(&clear)
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, "rescind.events.acme.token.issued", b)
	if hits, err := canary.Scan(dir, theCanary); err != nil || len(hits) == 0 {
		t.Errorf("what was sent in clear is not found: the search does not work: %v", err)
	}
}

// TestPublishWaitsForAKey starts publishers before there is anybody who has one.
func TestPublishWaitsForAKey(t *testing.T) {
	t.Parallel()
	w := start(t)
	var there atomic.Bool
	keys := func(ctx context.Context) (envelope.Set, error) {
		if !there.Load() {
			return envelope.Set{}, errors.New("nobody answers")
		}
		return w.sealing.Set(ctx)
	}
	gives := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) { c.Keys, c.RetryFor = keys, time.Second })
	var n *stream.NotAccepted
	err := gives.Publish(t.Context(), issued("a"))
	if !errors.Is(err, stream.ErrNoIntakeKey) || !errors.Is(err, stream.ErrUnconfirmed) || !errors.As(err, &n) || !strings.Contains(err.Error(), "nobody answers") {
		t.Fatalf("got %v", err)
	}
	if msgs := w.state(t, stream.IntakeStream).Msgs; msgs != 0 {
		t.Fatalf("%d messages were sent without a key", msgs)
	}
	waits, published := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) { c.Keys = keys }), make(chan error, 1)
	go func() { published <- waits.Publish(t.Context(), issued("b")) }()
	there.Store(true)
	if err := errors.Join(<-published, gives.Publish(t.Context(), n.Events[0].Event)); err != nil {
		t.Fatal(err)
	}
	if got := w.ids(t, collect(t, w.intake(t), 2)); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

// TestNobodyAnswersForKeys is that over NATS, from an account of its own.
func TestNobodyAnswersForKeys(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	for _, r := range []natsd.Role{natsd.Issuer, natsd.API} {
		if set, err := stream.IntakeKeys(t.Context(), natsdtest.Connect(t, s, r)); err == nil || !strings.Contains(err.Error(), "no projector is running") {
			t.Errorf("%s: %+v, %v", r, set, err)
		}
	}
	projector := natsdtest.Connect(t, s, natsd.Projector)
	if _, err := projector.Subscribe(stream.IntakeKeysSubject, func(m *nats.Msg) { _ = m.Respond([]byte(`{"keys":[{"kty":"EC"}]}`)) }); err != nil {
		t.Fatal(err)
	}
	if err := projector.Flush(); err != nil {
		t.Fatal(err)
	}
	if set, err := stream.IntakeKeys(t.Context(), natsdtest.Connect(t, s, natsd.Issuer)); err == nil {
		t.Errorf("an answer that is none is taken: %+v", set)
	}
}

// TestAKeyThatEndsBetweenAttemptsIsReplaced: the first attempt is stored and its
// answer lost; by the second the key has ended. The server keeps one of them.
func TestAKeyThatEndsBetweenAttemptsIsReplaced(t *testing.T) {
	t.Parallel()
	w := start(t)
	proxy := natsdtest.Proxy(t, w.Server)
	conn := behind(t, proxy, w, natsd.Issuer).Conn()
	var first, asked atomic.Pointer[envelope.PrivateKey]
	p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) {
		c.Conn = conn
		c.Keys = func(context.Context) (envelope.Set, error) {
			now := time.Now().Truncate(time.Second)
			k, err := envelope.Generate(now.Add(-time.Hour), now.Add(time.Second))
			if !first.CompareAndSwap(nil, &k) {
				proxy.PassReplies()
			}
			asked.Store(&k)
			return envelope.Set{Keys: []envelope.PublicKey{k.PublicKey}, Now: now}, err
		}
	})
	proxy.HoldReplies()
	if err := p.Publish(t.Context(), issued("once")); err != nil {
		t.Fatal(err)
	}
	if asked.Load().ID == first.Load().ID {
		t.Fatal("the key was not asked for again when it had ended")
	}
	if n := w.state(t, stream.IntakeStream).Msgs; n != 1 {
		t.Fatalf("%d messages in the intake", n)
	}
	w.sealing.Private = *first.Load()
	if got := w.ids(t, collect(t, w.intake(t), 1)); got[0] != "once" {
		t.Errorf("got %v", got)
	}
}
