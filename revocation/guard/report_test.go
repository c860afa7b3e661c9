package guard_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope/envelopetest"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
	"github.com/rescindhq/rescind/revocation/guard"
)

// publisher is one that a verifier has, on a server of its own.
func publisher(t *testing.T, change func(*stream.PublisherConfig)) (*stream.Publisher, *natsd.Server) {
	t.Helper()
	s := natsdtest.Start(t)
	envelopetest.New(t).Serve(t, natsdtest.Connect(t, s, natsd.Projector))
	cfg := stream.PublisherConfig{Conn: natsdtest.Connect(t, s, natsd.Verifier), Tenant: "acme", Environment: "test", Source: "https://orders.example"}
	change(&cfg)
	p := must(stream.NewPublisher(cfg))
	t.Cleanup(func() { _ = p.Close(t.Context()) })
	return p, s
}

// report is of a token that nothing is wrong with.
func report(typ events.Type, id string) events.Event {
	return events.Event{Type: typ, Data: events.Data{Issuer: issuer, TokenID: id, Outcome: "success"}}
}

// messages is how many the intake has of a type.
func messages(t *testing.T, s *natsd.Server, of string) (n uint64) {
	t.Helper()
	js, err := natsdtest.JetStream(t, s, natsd.Operator).Stream(t.Context(), stream.IntakeStream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := js.Info(t.Context(), jetstream.WithSubjectFilter("rescind.events.acme."+of))
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range info.State.Subjects {
		n += each
	}
	return n
}

// What the server refuses counts as dropped and is kept no longer: as many as may
// be pending stop nothing.
func TestReportsThatFailAreDroppedAndNotKept(t *testing.T) {
	t.Parallel()
	p, s := publisher(t, func(c *stream.PublisherConfig) { c.MaxPendingEvents = 1 })
	a := guard.NewAsync(p, 10, nil)
	feedtest.Go(t, a.Run)
	a.Report(report(events.TokenIssued, "a")) // permitted to no verifier
	feedtest.Eventually(t, "the failure is counted", func() bool { return a.Dropped() == 1 })
	a.Report(report(events.TokenVerified, "b"))
	feedtest.Eventually(t, "the next report is published", func() bool { return messages(t, s, "token.verified") == 1 })
	if n := a.Dropped(); n != 1 {
		t.Errorf("dropped %d, want 1", n)
	}
}

// lines counts what is logged.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	return len(b), nil
}

func (l *lines) about(what string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if strings.Contains(line, what) {
			n++
		}
	}
	return n
}

// Anybody can make a token that is of no tenant, as often as they like: that costs
// a line now and then.
func TestReportsThatCannotBeQueuedAreLoggedRarely(t *testing.T) {
	t.Parallel()
	p, _ := publisher(t, func(c *stream.PublisherConfig) { c.Tenant = "" })
	log := new(lines)
	a := guard.NewAsync(p, 1000, slog.New(slog.NewTextHandler(log, nil)))
	stop := feedtest.Go(t, a.Run)
	const calls = 500
	for n := range calls {
		a.Report(report(events.TokenRejected, fmt.Sprint(n)))
	}
	feedtest.Eventually(t, "none was queued", func() bool { return a.Dropped() == calls })
	stop()
	if n := log.about("level=WARN"); n == 0 || n > 10 || log.about("tenant") == 0 {
		t.Errorf("%d lines about %d reports, want a few that say why: %q", n, calls, log.all)
	}
}

// What fails while a Verifier is closed is dropped, and Close says so.
func TestCloseCountsWhatItCouldNotPublish(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	envelopetest.New(t).Serve(t, natsdtest.Connect(t, h.server, natsd.Projector))
	v := h.dial(t, func(c *guard.DialConfig) {
		c.Environment, c.Source, c.Credentials = "test", "https://orders.example", h.server.CredsFile(natsd.Issuer)
	})
	if _, err := v.Admit(t.Context(), guard.Call{}); err == nil {
		t.Fatal("a call without a token passes")
	}
	err := v.Close(t.Context())
	var failed *stream.NotAccepted
	if !errors.As(err, &failed) || !errors.Is(err, stream.ErrNotPermitted) || v.Dropped() != 1 {
		t.Errorf("dropped %d: %v", v.Dropped(), err)
	}
}

// slow is a feed whose decisions take an hour of clock.
type slow struct {
	clock  *time.Time
	answer revocation.Decision
}

func (s slow) Decide(revocation.Claims) revocation.Decision {
	*s.clock = s.clock.Add(time.Hour)
	return s.answer
}

// A token that is decided just before its revocation starts was accepted before.
func TestReportsSayWhenItWasDecided(t *testing.T) {
	t.Parallel()
	for _, state := range []revocation.State{revocation.Active, revocation.Revoked} {
		clock, r := now, &reports{}
		g := newGuard(t, func(c *guard.Config) {
			c.Report, c.Now, c.Feed = r, func() time.Time { return clock }, slow{&clock, revocation.Decision{State: state}}
		})
		g.Admit(t.Context(), guard.Call{Authorization: []string{"Bearer " + good(t, claims())}}) //nolint:errcheck // what is told counts
		if len(r.got) != 1 || !r.got[0].Time.Equal(now) {
			t.Errorf("%s: %d reports, the first of %s, want %s", state, len(r.got), r.got[0].Time, now)
		}
	}
}

// Anybody can send what is no token, as often as they like, and what is told is
// kept for ever: so many a second are told of, and the next says how many were not.
func TestRefusalsOfWhatNobodySignedAreBounded(t *testing.T) {
	t.Parallel()
	const perSecond, each = 7, 100
	clock, r := now, &reports{}
	g := newGuard(t, func(c *guard.Config) {
		c.Report, c.UnverifiedPerSecond, c.Now = r, perSecond, func() time.Time { return clock }
	})
	refused := []string{"", "Basic x", "Bearer x", "Bearer " + good(t, claims()) + "AAAA"}
	storm := func() {
		for range each {
			for _, authorization := range refused {
				for _, of := range []*guard.Guard{g, g.With(guard.Strict)} {
					of.Admit(t.Context(), guard.Call{Authorization: []string{authorization}}) //nolint:errcheck // what is told counts
				}
			}
		}
	}
	storm()
	calls := uint64(2 * each * len(refused))
	if len(r.got) != perSecond || g.Untold() != calls-perSecond {
		t.Fatalf("%d of %d told, %d not; want %d", len(r.got), calls, g.Untold(), perSecond)
	}
	expired := good(t, claims(set("exp", now.Add(-time.Second).Unix())))
	for range 2 * perSecond { // who signed these is known
		g.Admit(t.Context(), guard.Call{Authorization: []string{"Bearer " + expired}}) //nolint:errcheck // what is told counts
	}
	if len(r.got) != 3*perSecond {
		t.Errorf("%d of %d refusals of signed tokens told", len(r.got)-perSecond, 2*perSecond)
	}
	for _, later := range []time.Duration{time.Second, -time.Hour} { // a clock may be set back
		clock, r.got = clock.Add(later), nil
		storm()
		if len(r.got) != perSecond {
			t.Fatalf("after %s: %d told, want %d", later, len(r.got), perSecond)
		}
		first := r.got[0]
		if first.Data.Attributes["untold"] != fmt.Sprint(calls-perSecond) || r.got[1].Data.Attributes != nil {
			t.Errorf("after %s: the first says %v, the second %v", later, first.Data.Attributes, r.got[1].Data.Attributes)
		}
		first.ID, first.Source = "1", "test"
		if refusal := (events.Policy{}).Validate(&first, clock); refusal != nil {
			t.Errorf("the intake would refuse it: %v", refusal)
		}
	}
	if n := g.Untold(); n != 3*(calls-perSecond) {
		t.Errorf("%d were not told of, want %d", n, 3*(calls-perSecond))
	}
}

// queue is a source of keys that a call waits in until it is let go.
type queue struct{ came, gone chan struct{} }

func (q queue) Key(context.Context, string) (guard.Key, error) {
	q.came <- struct{}{}
	<-q.gone
	return guard.Key{}, errors.New("down")
}

// Calls that waited for keys came in an earlier second than those between them: they
// begin no second of their own.
func TestCallsThatWaitedBeginNoSecond(t *testing.T) {
	t.Parallel()
	const perSecond, waiting = 3, 20
	clock, r, q := now, &reports{}, queue{make(chan struct{}), make(chan struct{})}
	g := newGuard(t, func(c *guard.Config) {
		c.Report, c.UnverifiedPerSecond, c.Keys, c.Now = r, perSecond, q, func() time.Time { return clock }
	})
	refused, raw := make(chan error), good(t, claims())
	for range waiting {
		go func() {
			_, err := g.Admit(context.Background(), guard.Call{Authorization: []string{"Bearer " + raw}})
			refused <- err
		}()
		<-q.came
	}
	clock = clock.Add(time.Second)
	for range waiting {
		if _, err := g.Admit(t.Context(), guard.Call{}); err == nil {
			t.Error("a call without a token passes")
		}
		q.gone <- struct{}{}
		if err := <-refused; err == nil {
			t.Error("a call without a key passes")
		}
	}
	if len(r.got) != perSecond || g.Untold() != 2*waiting-perSecond {
		t.Errorf("%d of %d told in a second, %d not; want %d", len(r.got), 2*waiting, g.Untold(), perSecond)
	}
}

// TestWhoIsCalledAsAVerifierSpeaksIsToldOf: a name that a person chose hides nothing
// of what a verifier says.
func TestWhoIsCalledAsAVerifierSpeaksIsToldOf(t *testing.T) {
	t.Parallel()
	for _, reason := range []guard.Reason{
		guard.ReasonMissing, guard.ReasonMalformed, guard.ReasonAlgorithm, guard.ReasonType, guard.ReasonCritical, guard.ReasonKey, guard.ReasonSignature,
		guard.ReasonIssuer, guard.ReasonAudience, guard.ReasonExpired, guard.ReasonNotYet, guard.ReasonIncomplete, guard.ReasonLifetime, guard.ReasonTenant,
		guard.ReasonRevoked, guard.ReasonUnknown, guard.ReasonKeys,
	} {
		for _, state := range []revocation.State{revocation.Active, revocation.Revoked, revocation.Unknown} {
			for _, sub := range []string{string(reason), string(state), "decision", "age_ms", "stream", "one_in", "untold", "openid", "profile", "offline_access"} {
				ev := report(events.TokenRejected, "j1")
				ev.ID, ev.Source, ev.Time, ev.Tenant, ev.Environment = "e", "https://orders.example", time.Now(), "acme", "test"
				ev.Data.Subject, ev.Data.Reason, ev.Data.Outcome, ev.Data.Scope = sub, string(reason), "failure", "openid profile address offline_access"
				ev.Data.Attributes = map[string]string{"decision": string(state), "age_ms": "1", "stream": "cut", "one_in": "2", "untold": "3", "cause": "stale"}
				if r := (events.Policy{Environment: "test"}).Validate(&ev, time.Now()); r != nil {
					t.Errorf("%s, rejected as %s, %s: %v", sub, reason, state, r)
				}
			}
		}
	}
}
