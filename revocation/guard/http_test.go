package guard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/guard"
	"github.com/rescindhq/rescind/revocation/guard/guardecho"
)

// serve is the answer of each framework to one request.
func serve(g *guard.Guard, headers ...string) map[string]*httptest.ResponseRecorder {
	plain := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _ := guard.From(r.Context())
		w.Write([]byte(t.Claims.Subject))
	}))
	e := echo.New()
	e.GET("/", func(c echo.Context) error {
		t, _ := guard.From(c.Request().Context())
		return c.String(http.StatusOK, t.Claims.Subject)
	}, guardecho.Middleware(g))
	out := map[string]*httptest.ResponseRecorder{}
	for name, h := range map[string]http.Handler{"net/http": plain, "echo": e} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Authorization"] = headers
		out[name] = httptest.NewRecorder()
		h.ServeHTTP(out[name], r)
	}
	return out
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	revoked := &decider{answer: revocation.Decision{State: revocation.Revoked, Reason: "stolen laptop of alice"}}
	unknown := &decider{answer: revocation.Decision{State: revocation.Unknown, Cause: revocation.CauseGap}}
	raw := good(t, claims())
	for _, tt := range []struct {
		name      string
		feed      *decider
		headers   []string
		status    int
		challenge string
	}{
		{"passes", active(), []string{"Bearer " + raw}, 200, ""},
		{"scheme in any case", active(), []string{"bearer " + raw}, 200, ""},
		{"no header", active(), nil, 401, "Bearer"},
		{"two headers", active(), []string{"Bearer " + raw, "Bearer " + raw}, 401, "Bearer"},
		{"another scheme", active(), []string{"Basic " + raw}, 401, "Bearer"},
		{"no token", active(), []string{"Bearer "}, 401, "Bearer"},
		{"revoked", revoked, []string{"Bearer " + raw}, 401, `Bearer error="invalid_token", error_description="the token was revoked"`},
		{"unknown", unknown, []string{"Bearer " + raw}, 503, ""},
		{"not valid", active(), []string{"Bearer abc"}, 401, `Bearer error="invalid_token", error_description="the token is not acceptable: malformed"`},
	} {
		g := newGuard(t, func(c *guard.Config) { c.Feed = tt.feed })
		for framework, w := range serve(g, tt.headers...) {
			body := w.Body.String()
			if w.Code != tt.status || w.Header().Get("WWW-Authenticate") != tt.challenge {
				t.Errorf("%s, %s: status %d, challenge %q", tt.name, framework, w.Code, w.Header().Get("WWW-Authenticate"))
			}
			if tt.status == 200 {
				if body != "alice" {
					t.Errorf("%s, %s: body %q", tt.name, framework, body)
				}
				continue
			}
			checkProblem(t, tt.name+", "+framework, w)
			if strings.Contains(body, "alice") || strings.Contains(body, "token-1") {
				t.Errorf("%s, %s: tells of the token: %s", tt.name, framework, body)
			}
		}
	}
}

func checkProblem(t *testing.T, name string, w *httptest.ResponseRecorder) {
	t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || p.Type == "" || p.Title == "" || p.Detail == "" {
		t.Errorf("%s: %v, problem %+v", name, err, p)
	}
	if w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s: headers %v", name, w.Header())
	}
	if (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
		t.Errorf("%s: status %d, Retry-After %q", name, w.Code, w.Header().Get("Retry-After"))
	}
}

// reports keeps what it is told.
type reports struct {
	mu  sync.Mutex
	got []events.Event
}

func (r *reports) Report(ev events.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, ev)
}

func TestReports(t *testing.T) {
	t.Parallel()
	full := events.Data{Issuer: issuer, Subject: "alice", TokenID: "token-1", SessionID: "session-1", ClientID: "shop", GrantID: "grant-1", Scope: "read",
		Audience: events.Audience{audience}, IssuedAt: events.TimestampOf(now.Add(-time.Minute)), Expires: events.TimestampOf(now.Add(time.Minute)), KeyID: "ec", Algorithm: "ES256"}
	with := func(change func(*events.Data)) events.Data {
		d := full
		change(&d)
		return d
	}
	stale := &decider{answer: revocation.Decision{State: revocation.Unknown, Cause: revocation.CauseStale, Age: 9 * time.Second, Position: 7}}
	for _, tt := range []struct {
		name string
		raw  string
		feed *decider
		typ  events.Type
		want events.Data
	}{
		{"passes", good(t, claims()), active(), events.TokenVerified, with(func(d *events.Data) {
			d.Outcome, d.View, d.Attributes = "success", 7, map[string]string{"decision": "active", "age_ms": "0"}
		})},
		{"passes in doubt", good(t, claims()), stale, events.TokenVerified, with(func(d *events.Data) {
			d.Outcome, d.View, d.Attributes = "success", 7, map[string]string{"decision": "unknown", "age_ms": "9000", "cause": "stale"}
		})},
		{"revoked", good(t, claims()), &decider{answer: revocation.Decision{State: revocation.Revoked}}, events.TokenRejected, with(func(d *events.Data) {
			d.Outcome, d.Reason, d.Attributes = "failure", "revoked", map[string]string{"decision": "revoked", "age_ms": "0"}
		})},
		{"expired", good(t, claims(set("exp", now.Add(-time.Second).Unix()))), active(), events.TokenRejected, with(func(d *events.Data) {
			d.Outcome, d.Reason, d.Expires = "failure", "expired", events.TimestampOf(now.Add(-time.Second))
		})},
		{"claims that nobody signed", good(t, claims()) + "AAAA", active(), events.TokenRejected, events.Data{Outcome: "failure", Reason: "signature"}},
	} {
		r := &reports{}
		g := newGuard(t, func(c *guard.Config) { c.Feed, c.Report, c.Policy = tt.feed, r, guard.BestEffort })
		serve(g, "Bearer "+tt.raw)
		if len(r.got) != 2 { // one a framework
			t.Fatalf("%s: %d reports", tt.name, len(r.got))
		}
		want := events.Event{Type: tt.typ, Time: now, Tenant: "acme", Data: tt.want}
		if d := cmp.Diff(want, r.got[0]); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
		got := r.got[0]
		got.ID, got.Source = "1", "test"
		if refusal := (events.Policy{}).Validate(&got, now); refusal != nil {
			t.Errorf("%s: the intake would refuse it: %v", tt.name, refusal)
		}
	}
}

func TestClientIsReportedOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	for _, ask := range []bool{false, true} {
		r := &reports{}
		g := newGuard(t, func(c *guard.Config) { c.Report, c.ReportClient = r, ask })
		serve(g, "Bearer "+good(t, claims()))
		if got := r.got[0].Data.IP != ""; got != ask {
			t.Errorf("asked %v, reported %q", ask, r.got[0].Data.IP)
		}
	}
}

// stuck is a publisher that blocks until it is let go.
type stuck struct {
	release chan struct{}
	got     chan events.Event
}

func (s *stuck) Queue(ctx context.Context, ev events.Event) error {
	select {
	case <-s.release:
		s.got <- ev
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (*stuck) Flush(context.Context) error { return nil }

func TestReportsNeverDelayAndAreCounted(t *testing.T) {
	t.Parallel()
	p := &stuck{release: make(chan struct{}), got: make(chan events.Event, 100)}
	a := guard.NewAsync(p, 10, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	for range 50 { // returns, though nothing is taken
		a.Report(events.Event{Type: events.TokenVerified})
	}
	if n := a.Dropped(); n < 39 || n > 40 { // ten wait, and one may be in hand
		t.Errorf("dropped %d of 50", n)
	}
	close(p.release)
	cancel() // what waits is passed on all the same
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := uint64(len(p.got)) + a.Dropped(); got != 50 {
		t.Errorf("%d passed on, %d dropped", len(p.got), a.Dropped())
	}
}

// prompt takes every event at once, unless its context has ended.
type prompt struct{}

func (prompt) Queue(ctx context.Context, _ events.Event) error { return ctx.Err() }

func (prompt) Flush(context.Context) error { return nil }

func TestReportsInHandAtTheEndArePassedOn(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		a := guard.NewAsync(prompt{}, 2, nil)
		a.Report(events.Event{})
		a.Report(events.Event{})
		if err := a.Run(ended); err != nil || a.Dropped() != 0 {
			t.Fatalf("%v, dropped %d", err, a.Dropped())
		}
	}
}

// TestSampleOfTokens has three checks of each of many tokens: of a token all
// are told or none, whoever checks, and what was refused or passed in doubt is.
func TestSampleOfTokens(t *testing.T) {
	t.Parallel()
	const tokens, oneIn = 300, 4
	a, b := &reports{}, &reports{}
	sampled := func(r *reports) func(*guard.Config) {
		return func(c *guard.Config) { c.Report, c.VerifiedOneIn = r, oneIn }
	}
	ga, gb := newGuard(t, sampled(a)), newGuard(t, sampled(b))
	for n := range tokens {
		call := guard.Call{Authorization: []string{"Bearer " + good(t, claims(set("jti", fmt.Sprint("token-", n))))}}
		for _, g := range []*guard.Guard{ga, ga.With(guard.Strict), gb} {
			if _, err := g.Admit(t.Context(), call); err != nil {
				t.Fatal(err)
			}
		}
	}
	times := map[string]int{}
	for _, ev := range append(a.got, b.got...) {
		times[ev.Data.TokenID]++
		if ev.Data.Attributes["one_in"] != "4" {
			t.Fatalf("got %v", ev.Data.Attributes)
		}
	}
	for id, n := range times {
		if n != 3 {
			t.Errorf("%s was told %d times of 3", id, n)
		}
	}
	if n := len(times); n < tokens/oneIn/2 || n > tokens/oneIn*2 {
		t.Errorf("%d of %d tokens were told of, want about one in %d", n, tokens, oneIn)
	}
	if n := ga.Skipped(); n != uint64(2*tokens-len(a.got)) {
		t.Errorf("skipped %d, told %d", n, len(a.got))
	}
}

func TestSampleLeavesOutOnlyWhatPassed(t *testing.T) {
	t.Parallel()
	for name, feed := range map[string]*decider{
		"revoked": {answer: revocation.Decision{State: revocation.Revoked}}, "in doubt": {answer: revocation.Decision{State: revocation.Unknown}},
	} {
		r := &reports{}
		g := newGuard(t, func(c *guard.Config) {
			c.Feed, c.Report, c.VerifiedOneIn, c.Policy = feed, r, 1_000_000, guard.BestEffort
		})
		for n := range 20 {
			raw := good(t, claims(set("jti", fmt.Sprint("token-", n))))
			g.Admit(t.Context(), guard.Call{Authorization: []string{"Bearer " + raw}}) //nolint:errcheck // what is told counts
		}
		if len(r.got) != 20 || g.Skipped() != 0 {
			t.Errorf("%s: told of %d of 20", name, len(r.got))
		}
	}
}
