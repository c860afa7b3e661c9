package query_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/verifiers"
)

// receipts stands in for a registry: it answers e, done when done is closed.
type receipts struct {
	e    verifiers.Enforcement
	done chan struct{}
	list []verifiers.Verifier

	waited func() // called by Wait; may be nil

	mu    sync.Mutex
	asked []verifiers.Revoked
}

func (r *receipts) Enforced(of verifiers.Revoked) (verifiers.Enforcement, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, of)
	return r.e, r.e.Of > 0
}

func (r *receipts) List() ([]verifiers.Verifier, bool) { return r.list, len(r.list) > 0 }

func (r *receipts) Wait(ctx context.Context, of verifiers.Revoked) (verifiers.Enforcement, bool) {
	e, _ := r.Enforced(of)
	if r.waited != nil {
		r.waited()
	}
	select {
	case <-r.done:
		return e, true
	default:
	}
	select {
	case <-r.done:
		return e, true
	case <-ctx.Done():
		return e, false
	}
}

// oneMissing is one of two.
func oneMissing() *receipts {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	standings := []verifiers.Standing{
		{ID: "v-2", Name: "orders-2", State: verifiers.Silent, Position: 3},
		{ID: "v-1", Name: "orders-1", State: verifiers.Current, Applied: true, Position: 41, AppliedAt: at, Lag: 87 * time.Millisecond},
	}
	return &receipts{done: make(chan struct{}), e: verifiers.Enforcement{Of: 2, Fresh: 1, At: 1, Slowest: &standings[1], Verifiers: standings}}
}

const revokeOne = `{"scope":"token","iss":"i","jti":"j","reason":"r"}`

func TestRevokeWaits(t *testing.T) {
	t.Parallel()
	p := &parts{position: 41}
	r := oneMissing()
	close(r.done)
	r.waited = func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.published) != 1 {
			t.Error("verifiers are waited for, and nothing was published")
		}
	}
	cfg := p.config()
	cfg.Receipts = r
	a := serve(t, cfg)
	var out query.Accepted
	got := a.call(a.token("issuer", "acme"), "POST", "/v1/revocations", revokeOne, "Prefer", "respond-async, wait=5").want(t, http.StatusOK)
	got.into(t, &out)
	ms := int64(87)
	want := &query.Enforcement{Of: 2, Fresh: 1, At: 1, SlowestMs: &ms, Missing: []string{"orders-2"}}
	if d := cmp.Diff(want, out.Enforced); d != "" || *out.Position != 41 || got.header.Get("Preference-Applied") != "wait=5" {
		t.Errorf("%s %s %v", d, got.body, got.header)
	}
	if of := r.asked[0]; of.Position != 41 || time.Since(of.Received) > time.Minute {
		t.Errorf("asked for %+v", of)
	}
}

// A lift is waited for as a revocation is.
func TestLiftWaits(t *testing.T) {
	t.Parallel()
	p := &parts{position: 42}
	r := oneMissing()
	cfg := p.config()
	cfg.Receipts = r
	a := serve(t, cfg)
	p.log(7, record("r-1", "acme", time.Now()))
	lift := func(wait string, status int) query.Accepted {
		t.Helper()
		var out query.Accepted
		got := a.call(a.token("issuer", "acme"), "POST", "/v1/revocations/r-1/lift", map[string]any{"reason": "mistake"}, "Prefer", wait).want(t, status)
		got.into(t, &out)
		if out.Enforced == nil || out.Enforced.At != 1 || got.header.Get("Preference-Applied") != wait {
			t.Errorf("%s %v", got.body, got.header)
		}
		return out
	}
	if out := lift("wait=0", http.StatusAccepted); out.Enforced.Missing[0] != "orders-2" {
		t.Errorf("%+v", out.Enforced)
	}
	close(r.done)
	lift("wait=5", http.StatusOK)
	if of := r.asked[0]; of.Position != 42 {
		t.Errorf("asked for %+v", of)
	}
}

// At the deadline the answer says who has not applied it.
func TestRevokeWaitsInVain(t *testing.T) {
	t.Parallel()
	p := &parts{position: 41}
	cfg := p.config()
	cfg.Receipts = oneMissing()
	a := serve(t, cfg)
	began := time.Now()
	var out query.Accepted
	got := a.call(a.token("issuer", "acme"), "POST", "/v1/revocations", revokeOne, "Prefer", "wait=1").want(t, http.StatusAccepted)
	got.into(t, &out)
	answered := time.Now()
	if answered.Sub(began) < time.Second || got.header.Get("Preference-Applied") != "wait=1" {
		t.Errorf("answered after %s with %v", answered.Sub(began), got.header)
	}
	if out.Enforced == nil || out.Enforced.At != 1 || out.Enforced.Missing[0] != "orders-2" {
		t.Errorf("%s", got.body)
	}
}

// Who hangs up while waiting has revoked all the same.
func TestRevokeOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	p := &parts{position: 41}
	r := oneMissing()
	cfg := p.config()
	cfg.Receipts = r
	a := serve(t, cfg)
	ctx, hangUp := context.WithCancel(t.Context())
	r.waited = hangUp
	req, err := http.NewRequestWithContext(ctx, "POST", a.url+"/v1/revocations", strings.NewReader(revokeOne))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Authorization": "Bearer " + a.token("issuer", "acme"), "Prefer": "wait=30"} {
		req.Header.Set(name, value)
	}
	if resp, err := a.web.Do(req); err == nil {
		resp.Body.Close()
		t.Error("an answer came")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.published) != 1 {
		t.Errorf("%d published", len(p.published))
	}
}

// Without the preference, with one that cannot be read and without anybody who
// hears verifiers nothing is waited for, and nothing is claimed.
func TestRevokeDoesNotWaitUnasked(t *testing.T) {
	t.Parallel()
	p := &parts{position: 41}
	cfg := p.config()
	cfg.Receipts = oneMissing()
	hears := serve(t, cfg)
	cfg = p.config()
	deaf := serve(t, cfg)
	for _, tt := range []struct {
		a      *api
		prefer string
	}{{hears, ""}, {hears, "wait=soon"}, {hears, "respond-async"}, {deaf, "wait=5"}} {
		got := tt.a.call(tt.a.token("issuer", "acme"), "POST", "/v1/revocations", revokeOne, "Prefer", tt.prefer).want(t, http.StatusAccepted)
		var out query.Accepted
		got.into(t, &out)
		if out.Enforced != nil || got.header.Get("Preference-Applied") != "" || out.Position == nil {
			t.Errorf("%q: %s %v", tt.prefer, got.body, got.header)
		}
	}
	deaf.call(deaf.token("issuer", "acme"), "GET", "/v1/verifiers", nil).want(t, http.StatusServiceUnavailable)
}

// What is not on the log in time is not claimed to be enforced.
func TestRevokeWaitsForTheLogFirst(t *testing.T) {
	t.Parallel()
	p := new(parts)
	r := oneMissing()
	close(r.done)
	cfg := p.config()
	cfg.Receipts = r
	a := serve(t, cfg)
	var out query.Accepted
	a.call(a.token("issuer", "acme"), "POST", "/v1/revocations", revokeOne, "Prefer", "wait=0").want(t, http.StatusAccepted).into(t, &out)
	if out.Enforced != nil || out.Position != nil || len(r.asked) != 0 {
		t.Errorf("%+v", out)
	}
}

func TestRevocationSaysWhereItIsEnforced(t *testing.T) {
	t.Parallel()
	p := &parts{position: 8}
	r := oneMissing()
	cfg := p.config()
	cfg.Receipts = r
	a := serve(t, cfg)
	received := time.Now().Truncate(time.Microsecond)
	p.log(7, record("r-1", "acme", received))
	var out query.Revocation
	got := a.call(a.token("officer", "acme"), "GET", "/v1/revocations/r-1", nil).want(t, http.StatusOK)
	got.into(t, &out)
	if of := r.asked[0]; of.Position != 7 || !of.Received.Equal(received) {
		t.Errorf("asked for %+v", of)
	}
	lag, at := int64(87), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	want := []query.VerifierStanding{
		{ID: "v-2", Name: "orders-2", State: "silent", Position: 3},
		{ID: "v-1", Name: "orders-1", State: "current", Applied: true, Position: 41, AppliedAt: &at, LagMs: &lag},
	}
	if d := cmp.Diff(want, out.Enforced.Verifiers); d != "" {
		t.Errorf("%s: %s", d, got.body)
	}
}

func TestListVerifiers(t *testing.T) {
	t.Parallel()
	p := new(parts)
	heard := time.Now().Add(-time.Second)
	cfg := p.config()
	cfg.Receipts = &receipts{list: []verifiers.Verifier{
		{ID: "v-1", Name: "orders", State: verifiers.Current, Seq: 9, Age: 300 * time.Millisecond, Heard: heard, Started: heard, ClockOffset: -time.Hour},
		{ID: "v-2", Name: "v-2", State: verifiers.Silent, Heard: heard, Started: heard},
	}}
	a := serve(t, cfg)
	var out query.Verifiers
	a.call(a.token("officer", "acme"), "GET", "/v1/verifiers", nil).want(t, http.StatusOK).into(t, &out)
	if v := out.Verifiers[0]; out.Of != 2 || out.Fresh != 1 || v.ID != "v-1" || v.AgeMs != 300 || v.ClockMs != -3600_000 || v.HeardMs < 1000 || v.Positions == nil {
		t.Errorf("%+v", out)
	}
	a.call(a.token("handler", "acme"), "GET", "/v1/verifiers", nil).want(t, http.StatusOK)
	a.call("", "GET", "/v1/verifiers", nil).want(t, http.StatusUnauthorized)
}

// What is not known yet is left out.
func TestNothingIsClaimedBeforeReceiptsAreRead(t *testing.T) {
	t.Parallel()
	p := &parts{position: 8}
	cfg := p.config()
	cfg.Receipts = new(receipts)
	a := serve(t, cfg)
	p.log(7, record("r-1", "acme", time.Now()))
	var out query.Revocation
	a.call(a.token("officer", "acme"), "GET", "/v1/revocations/r-1", nil).want(t, http.StatusOK).into(t, &out)
	if out.Enforced != nil {
		t.Errorf("%+v", out.Enforced)
	}
	a.call(a.token("officer", "acme"), "GET", "/v1/verifiers", nil).want(t, http.StatusServiceUnavailable)
}

// slowLane sees an event a while after it was published.
type slowLane struct {
	*parts
	after time.Duration
}

func (l slowLane) Wait(ctx context.Context, _ events.Ref) (uint64, error) {
	select {
	case <-time.After(l.after):
		return l.position, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// With the preference the log is waited for as long as without it, and for as
// long as verifiers are.
func TestRevokeWaitsForTheLogLongEnough(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		prefer           string
		waitFor, appears time.Duration
	}{{"wait=0", time.Minute, 50 * time.Millisecond}, {"wait=30", time.Millisecond, 100 * time.Millisecond}} {
		p := &parts{position: 41}
		r := oneMissing()
		close(r.done)
		cfg := p.config()
		cfg.Receipts, cfg.Lane, cfg.WaitFor = r, slowLane{p, tt.appears}, tt.waitFor
		a := serve(t, cfg)
		var out query.Accepted
		a.call(a.token("issuer", "acme"), "POST", "/v1/revocations", revokeOne, "Prefer", tt.prefer).want(t, http.StatusOK).into(t, &out)
		if out.Position == nil || out.Enforced == nil {
			t.Errorf("%s: %+v", tt.prefer, out)
		}
	}
}
