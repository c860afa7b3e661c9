package guard_test

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
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

var feedKey = base64.StdEncoding.EncodeToString(feedtest.Public())

func (h *house) dial(t *testing.T, change ...func(*guard.DialConfig)) *guard.Verifier {
	t.Helper()
	cfg := guard.DialConfig{
		Config: guard.Config{Issuer: feedtest.Issuer, Audience: []string{audience}, Tenant: feedtest.Tenant, Keys: keys()},
		NATS:   h.server.URL(), Credentials: h.server.CredsFile(natsd.Verifier), FeedKey: feedKey,
	}
	for _, c := range change {
		c(&cfg)
	}
	v, err := guard.Dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return v
}

func TestDial(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	v := h.dial(t)
	<-v.Feed.Ready()
	raw, c := h.token(t)
	feedtest.Eventually(t, "passes", func() bool { return reasonOf(t, v.Guard, raw) == "" })
	h.log.Revoke(t, events.ScopeToken, c)
	feedtest.Eventually(t, "revoked", func() bool { return reasonOf(t, v.Guard, raw) == guard.ReasonRevoked })
}

func TestDialFetchesKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := publish(t)
	v := h.dial(t, func(c *guard.DialConfig) { c.Keys, c.JWKS = nil, p.URL })
	<-v.Feed.Ready()
	raw, _ := h.token(t)
	feedtest.Eventually(t, "passes", func() bool { return reasonOf(t, v.Guard, raw) == "" })
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// TestDialPublishesReports reads back from the intake what became of a check.
func TestDialPublishesReports(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	envelopetest.New(t).Serve(t, natsdtest.Connect(t, h.server, natsd.Projector))
	v := h.dial(t, func(c *guard.DialConfig) {
		c.Environment, c.Source, c.Log = "test", "https://orders.example", slog.New(slog.NewTextHandler(t.Output(), nil))
	})
	raw, _ := h.token(t)
	<-v.Feed.Ready()
	feedtest.Eventually(t, "passes", func() bool {
		_, err := v.Admit(t.Context(), guard.Call{Authorization: []string{"Bearer " + raw}})
		return err == nil
	})
	if err := v.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := v.Dropped(); n != 0 {
		t.Errorf("dropped %d", n)
	}
	js := natsdtest.JetStream(t, h.server, natsd.Operator)
	s, err := js.Stream(t.Context(), stream.IntakeStream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter("rescind.events."+feedtest.Tenant+".token.verified"))
	if err != nil || len(info.State.Subjects) != 1 {
		t.Errorf("%v, %v", info.State.Subjects, err)
	}
}

// TestDialPublishesNothingUnasked: without environment and source no check is
// told to anybody.
func TestDialPublishesNothingUnasked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	v := h.dial(t)
	raw, c := h.token(t)
	<-v.Feed.Ready()
	admit := func() error {
		_, err := v.Admit(t.Context(), guard.Call{Authorization: []string{"Bearer " + raw}})
		return err
	}
	feedtest.Eventually(t, "passes", func() bool { return admit() == nil })
	h.log.Revoke(t, events.ScopeToken, c)
	feedtest.Eventually(t, "refused", func() bool { return admit() != nil })
	if err := v.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := natsdtest.JetStream(t, h.server, natsd.Operator).Stream(t.Context(), stream.IntakeStream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter("rescind.events."+feedtest.Tenant+".>"))
	if err != nil || len(info.State.Subjects) != 0 {
		t.Errorf("%v, %v", info.State.Subjects, err)
	}
}

func TestDialStartsWithoutAServer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var dir string
	raw, c := h.token(t)
	h.log.Revoke(t, events.ScopeToken, c)
	feedtest.Eventually(t, "saved", func() bool {
		dir = t.TempDir() // each with the snapshot of its time
		v := h.dial(t, func(c *guard.DialConfig) { c.Dir = dir })
		<-v.Feed.Ready()
		if err := v.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		s, err := revocation.OpenSnapshot(feedtest.Public(), must(os.ReadFile(filepath.Join(dir, "snapshot"))))
		return err == nil && s.Len() == 1
	})
	alone := h.dial(t, func(c *guard.DialConfig) { c.Dir, c.NATS = dir, "nats://127.0.0.1:1" })
	feedtest.Eventually(t, "revoked, from the disk", func() bool { return reasonOf(t, alone.Guard, raw) == guard.ReasonRevoked })
	other, _ := h.token(t)
	if r := reasonOf(t, alone.Guard, other); r != guard.ReasonUnknown {
		t.Errorf("another token: %q", r)
	}
}

func TestDialConfigIsValidated(t *testing.T) {
	t.Parallel()
	good := guard.DialConfig{
		Config: guard.Config{Issuer: issuer, Audience: []string{audience}, Tenant: "acme"}, NATS: "nats://127.0.0.1:1", FeedKey: feedKey, JWKS: "https://id.example/jwks.json",
	}
	for name, change := range map[string]func(*guard.DialConfig){
		"nats": func(c *guard.DialConfig) { c.NATS = "" }, "feed key": func(c *guard.DialConfig) { c.FeedKey = "AAAA" }, "url": func(c *guard.DialConfig) { c.JWKS = "http://id.example" },
		"environment and source": func(c *guard.DialConfig) { c.Source = "https://orders.example" }, "stale after": func(c *guard.DialConfig) { c.StaleAfter = 1 },
		"credentials": func(c *guard.DialConfig) { c.Credentials = "/nowhere" }, "audience": func(c *guard.DialConfig) { c.Audience = nil },
	} {
		cfg := good
		change(&cfg)
		if _, err := guard.Dial(cfg); err == nil {
			t.Errorf("%s: no error", name)
		} else if !strings.Contains(err.Error(), name) && name != "credentials" {
			t.Errorf("%s is not named in %v", name, err)
		}
	}
}

func TestReadinessFollowsTheFeed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	v := h.dial(t, func(c *guard.DialConfig) { c.StaleAfter = 500 * time.Millisecond })
	ready := func(status int, doubt revocation.Cause) func() bool {
		return func() bool {
			w := httptest.NewRecorder()
			v.ReadyHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			return w.Code == status && strings.Contains(w.Body.String(), `"doubt":"`+string(doubt)+`"`) == (doubt != "")
		}
	}
	feedtest.Eventually(t, "ready", ready(http.StatusOK, ""))
	h.stop() // nobody signs heartbeats
	feedtest.Eventually(t, "stale", ready(http.StatusServiceUnavailable, revocation.CauseStale))
	cold := h.dial(t, func(c *guard.DialConfig) { c.NATS = "nats://127.0.0.1:1" })
	v = cold
	if !ready(http.StatusServiceUnavailable, revocation.CauseCold)() {
		t.Error("ready without a view")
	}
}
