package stream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func TestPublisherReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := stream.NewPublisher(stream.PublisherConfig{
		Tenant: "a.b", BatchEvents: 5000, Abreast: 17, Linger: time.Hour, MaxPendingEvents: -1, MaxPendingBytes: 1, RetryFor: 1,
	})
	for _, name := range []string{"conn", "tenant", "batch events", "abreast", "linger", "pending events", "pending bytes", "retry"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not reported in: %v", name, err)
		}
	}
}

func TestPublishedEventsAreInTheIntake(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Issuer, nil)
	in := w.intake(t)
	if err := p.Publish(t.Context(), issued("a"), revoked("b"), issued("c")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) < 3 { // in two messages, or three where the first was quick
		got = append(got, w.ids(t, collect(t, in, 1))...)
	}
	slices.Sort(got)
	if want := []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// TestOtherContentIsNotDropped: the same id with other content reaches the
// intake, which records the conflict; the same content again does not.
func TestOtherContentIsNotDropped(t *testing.T) {
	t.Parallel()
	w := start(t)
	in := w.intake(t)
	p := w.publisher(t, natsd.Issuer, nil)
	other := issued("a")
	other.Data.ClientID = "another"
	for _, ev := range []events.Event{issued("a"), other, issued("b")} {
		ev.Time = time.Unix(1_700_000_000, 0).UTC()
		for range 2 {
			if err := p.Publish(t.Context(), ev); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := w.ids(t, collect(t, in, 3)); !slices.Equal(got, []string{"a", "a", "b"}) {
		t.Fatalf("got %v, want a twice, with different content, then b", got)
	}
}

func TestPublishFillsInWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := start(t)
	in := w.intake(t)
	if err := w.publisher(t, natsd.Issuer, nil).Publish(t.Context(), issued("")); err != nil {
		t.Fatal(err)
	}
	decoded, err := events.Decode(w.sealing.Open(t, collect(t, in, 1)[0].Message))
	if err != nil {
		t.Fatal(err)
	}
	ev := decoded[0].Event
	if len(ev.ID) != 36 || ev.ID[14] != '7' || time.Since(ev.Time) > time.Minute || ev.Source != "https://id.example" || ev.Environment != "dev" || ev.Tenant != "acme" {
		t.Fatalf("got id %q, time %s, source %q, environment %q, tenant %q", ev.ID, ev.Time, ev.Source, ev.Environment, ev.Tenant)
	}
}

func TestConcurrentPublishersShareMessagesInOrder(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Issuer, nil)
	in := w.intake(t)
	const callers, each = 100, 10
	var racing sync.WaitGroup
	for c := range callers {
		racing.Go(func() {
			for i := range each {
				if err := p.Publish(t.Context(), issued(fmt.Sprintf("%02d/%02d", c, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	racing.Wait()
	messages := w.state(t, stream.IntakeStream).Msgs
	if messages > callers*each/5 {
		t.Errorf("%d events travelled in %d messages", callers*each, messages)
	}
	last := map[string]string{}
	got := w.ids(t, collect(t, in, int(messages)))
	for _, id := range got {
		caller, _, _ := strings.Cut(id, "/")
		if id <= last[caller] {
			t.Fatalf("%s came after %s", id, last[caller])
		}
		last[caller] = id
	}
	if len(got) != callers*each {
		t.Fatalf("%d events arrived, want %d", len(got), callers*each)
	}
}

func TestPublishSplitsWhatIsTooMuchForOneMessage(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) { c.MaxPendingBytes = 2 << 20 })
	in := w.intake(t)
	var evs []events.Event
	for i := range 100 {
		ev := issued(fmt.Sprint(i))
		ev.Data.Personal = map[string]any{"text": strings.Repeat("x", 60_000)}
		evs = append(evs, ev)
	}
	if err := p.Publish(t.Context(), evs...); err != nil { // 6 MB through a bound of 2 MiB
		t.Fatal(err)
	}
	n := int(w.state(t, stream.IntakeStream).Msgs)
	if got := w.ids(t, collect(t, in, n)); len(got) != len(evs) || n < 6 {
		t.Fatalf("%d events in %d messages, want %d in at least 6", len(got), n, len(evs))
	}
}

func TestPublishRefusesWhatTheIntakeWould(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Issuer, nil)
	bad := map[events.Reason]func(*events.Event){
		events.ReasonRawToken:    func(e *events.Event) { e.Data.Note = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0." },
		events.ReasonMissing:     func(e *events.Event) { e.Data.Issuer = "" },
		events.ReasonType:        func(e *events.Event) { e.Type = "dev.rescind.token.invented.v1" },
		events.ReasonEnvironment: func(e *events.Event) { e.Environment = "prod" },
		events.ReasonTooLarge:    func(e *events.Event) { e.Data.Note = strings.Repeat("x", events.MaxNoteBytes+1) },
		events.ReasonSchema:      func(e *events.Event) { e.Data.Outcome = "perhaps" },
	}
	evs := []events.Event{issued("good")}
	for reason, spoil := range bad {
		ev := issued(string(reason))
		spoil(&ev)
		evs = append(evs, ev)
	}
	var n *stream.NotAccepted
	if err := p.Publish(t.Context(), evs...); !errors.As(err, &n) || n.Of != len(evs) {
		t.Fatalf("got %v", err)
	}
	for _, f := range n.Events {
		var r *events.Refusal
		if !errors.As(f.Err, &r) || string(r.Reason) != f.Event.ID {
			t.Errorf("%s: %v", f.Event.ID, f.Err)
		}
		delete(bad, events.Reason(f.Event.ID))
	}
	if len(bad) > 0 {
		t.Errorf("not refused: %v", bad)
	}
	if got := w.ids(t, collect(t, w.intake(t), 1)); !slices.Equal(got, []string{"good"}) {
		t.Errorf("in the intake: %v", got)
	}
}

func TestPublishNamesWhatTheCredentialsDoNotPermit(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Verifier, nil)
	verified := issued("good")
	verified.Type = events.TokenVerified
	var n *stream.NotAccepted
	if err := p.Publish(t.Context(), issued("bad"), verified); !errors.As(err, &n) || !errors.Is(err, stream.ErrNotPermitted) {
		t.Fatalf("got %v", err)
	}
	if len(n.Events) != 1 || n.Events[0].Event.ID != "bad" || strings.Contains(n.Error(), "bad") {
		t.Fatalf("got %v", n)
	}
}

// A message that was stored although its acknowledgement was lost is not stored
// twice when it is tried again.
func TestLostAcknowledgementMakesNoDuplicate(t *testing.T) {
	t.Parallel()
	w := start(t)
	proxy := natsdtest.Proxy(t, w.Server)
	conn := behind(t, proxy, w, natsd.Issuer).Conn()
	p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) { c.Conn = conn })
	if err := p.Publish(t.Context(), issued("warm")); err != nil {
		t.Fatal(err)
	}
	proxy.HoldReplies()
	published := make(chan error, 1)
	go func() { published <- p.Publish(t.Context(), issued("once")) }()
	eventually(t, "the server has stored it", func() bool { return w.state(t, stream.IntakeStream).Msgs == 2 })
	proxy.Cut()
	proxy.PassReplies()
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	if n := w.state(t, stream.IntakeStream).Msgs; n != 2 {
		t.Fatalf("%d messages in the intake, want 2", n)
	}
}

func TestPublishWaitsForAServerThatComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := natsdtest.StartIn(t, natsd.Config{Dir: dir})
	w := worldOf(t, s)
	p := w.publisher(t, natsd.Issuer, nil)
	port := portOf(t, s)
	natsdtest.Stop(t, s)
	published := make(chan error, 1)
	go func() { published <- p.Publish(t.Context(), issued("a")) }()
	natsdtest.StartIn(t, natsd.Config{Dir: dir, Port: port})
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	if got := w.ids(t, collect(t, w.intake(t), 1)); got[0] != "a" {
		t.Fatalf("got %v", got)
	}
}

// A full intake is an error that is tried again, and then told.
func TestFullIntakeIsToldToThePublisher(t *testing.T) {
	t.Parallel()
	w := bare(t)
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{IntakeMaxBytes: 8 << 20}); err != nil {
		t.Fatal(err)
	}
	for range 7 {
		w.put(t, "rescind.events.acme.token.rejected", make([]byte, 1<<20))
	}
	w.put(t, "rescind.events.acme.token.rejected", make([]byte, 1<<20-2048))
	p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) { c.RetryFor = time.Second })
	large := issued("a")
	large.Data.Personal = map[string]any{"text": strings.Repeat("x", 50_000)}
	var n *stream.NotAccepted
	if err := p.Publish(t.Context(), large); !errors.Is(err, stream.ErrUnconfirmed) || !errors.As(err, &n) {
		t.Fatalf("publish to a full intake: %v", err)
	}
	published, patient := make(chan error, 1), w.publisher(t, natsd.Issuer, nil)
	go func() { published <- patient.Publish(t.Context(), n.Events[0].Event) }()
	collect(t, w.intake(t), 8)
	if err := <-published; err != nil {
		t.Fatalf("publish to an intake that is drained meanwhile: %v", err)
	}
}

func TestPublishEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) { c.MaxPendingEvents = 3 })
	natsdtest.Stop(t, w.Server)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var n *stream.NotAccepted
	err := p.Publish(ctx, issued("a"), issued("b"), issued("c"), issued("d"), events.Event{ID: "bad"})
	if !errors.As(err, &n) || !errors.Is(err, context.DeadlineExceeded) || len(n.Events) != 5 {
		t.Fatalf("got %v", err)
	}
	for i, f := range n.Events {
		if unconfirmed := errors.Is(f.Err, stream.ErrUnconfirmed); unconfirmed != (i < 3) || f.Event.Source == "" {
			t.Errorf("event %d: %v", i, f.Err)
		}
	}
}

func TestQueuedEventsAreReportedByTheNextFlush(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Verifier, func(c *stream.PublisherConfig) { c.Linger = 20 * time.Millisecond; c.BatchEvents = 40 })
	for i := range 100 {
		ev := issued(fmt.Sprint(i))
		ev.Type = events.TokenVerified
		if err := p.Queue(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	bad := issued("bad")
	bad.Time, bad.Tenant, bad.Environment, bad.Source = time.Unix(1_700_000_000, 123_000).UTC(), "acme", "dev", "https://id.example"
	bad.Data.Personal = map[string]any{"name": "Ada", "age": 36.5}
	if err := p.Queue(t.Context(), bad); err != nil { // permitted to none but issuers: the server says so
		t.Fatal(err)
	}
	if err := p.Queue(t.Context(), events.Event{}); err == nil {
		t.Error("an event without a type was queued")
	}
	var n *stream.NotAccepted
	if err := p.Flush(t.Context()); !errors.As(err, &n) || len(n.Events) != 1 || n.Of != 101 {
		t.Fatalf("flush: %v", err)
	}
	if diff := cmp.Diff(bad, n.Events[0].Event); diff != "" {
		t.Errorf("reported is not what was queued (-queued +reported):\n%s", diff)
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatalf("a second flush reports again: %v", err)
	}
	if n := w.state(t, stream.IntakeStream).Msgs; n != 3 {
		t.Errorf("100 events in %d messages of 40", n)
	}
}

func TestQueueWaitsWhileThePublisherIsFull(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) { c.MaxPendingEvents = 2 })
	natsdtest.Stop(t, w.Server)
	for i := range 2 {
		if err := p.Queue(t.Context(), issued(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Queue(ctx, issued("c")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("queue into a full publisher: %v", err)
	}
	var n *stream.NotAccepted
	if err := p.Close(ctx); !errors.As(err, &n) || n.Of != 2 || len(n.Events) != 2 || !errors.Is(err, stream.ErrUnconfirmed) {
		t.Fatalf("close: %v", err)
	}
}

func TestCloseSendsWhatIsQueuedAndTakesNoMore(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) { c.Linger = 50 * time.Millisecond })
	for i := range 10 {
		if err := p.Queue(t.Context(), issued(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Queue(t.Context(), issued("x")); !errors.Is(err, stream.ErrClosed) {
		t.Errorf("queue: %v", err)
	}
	if err := p.Publish(t.Context(), issued("x")); !errors.Is(err, stream.ErrClosed) {
		t.Errorf("publish: %v", err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Errorf("close again: %v", err)
	}
	if got := w.ids(t, collect(t, w.intake(t), 1)); len(got) != 10 {
		t.Errorf("%d of 10 events arrived", len(got))
	}
}
