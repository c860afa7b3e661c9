package query_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/revocation"
)

// TestJSONBodies is what every route says of a body that cannot be read.
func TestJSONBodies(t *testing.T) {
	t.Parallel()
	a := serve(t, new(parts).config())
	token := a.token("issuer", "acme")
	for _, c := range []struct {
		name, contentType, body string
		status                  int
		detail                  string
	}{
		{"empty", "application/json", "", 400, "empty"},
		{"not JSON", "application/json", "{nope", 400, "syntax error at byte 2"},
		{"not complete", "application/json", `{"a":`, 400, "not complete"},
		{"an array", "application/json", `[]`, 422, "want an object"},
		{"two values", "application/json", `{} {}`, 400, "follows"},
		{"wrong type", "application/json", `{"scope":"token","iss":"i","jti":["a"]}`, 422, "want a string"},
		{"NumericDate in words", "application/json", `{"scope":"token","iss":"i","jti":"j","exp":"soon"}`, 400, "wrong shape"},
		{"text", "text/plain", `{}`, 415, "application/json"},
		{"charset", "application/json; charset=utf-8", `{}`, 422, "scope"},
		{"twice", "application/json", `{"scope":"token","iss":"i","jti":"j","reason":"r","jti":"k"}`, 422, `"member":"jti"`},
		{"twice, in another spelling", "application/json", `{"scope":"token","iss":"i","jti":"j","reason":"r","\u006ati":"k"}`, 422, `"member":"jti"`},
		{"another case", "application/json", `{"Scope":"token","iss":"i","jti":"j","reason":"r"}`, 422, `"member":"Scope"`},
		{"a letter that folds", "application/json", `{"scope":"key","iss":"i","\u212aid":"j","reason":"r"}`, 422, `"member":"Kid"`},
		{"too deep", "application/json", `{"scope":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, 400, "nested"},
		{"too large", "application/json", `{"note":"` + strings.Repeat("a", events.MaxMessageBytes) + `"}`, 413, "1048576"},
	} {
		got := a.call(token, "POST", "/v1/revocations", c.body, "Content-Type", c.contentType)
		if got.status != c.status || !strings.Contains(string(got.body), c.detail) {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
		}
	}
}

// TestJSONMembersWithin: nested members are held to the same.
func TestJSONMembersWithin(t *testing.T) {
	t.Parallel()
	a := serve(t, (&parts{decision: revocation.Decision{State: revocation.Unknown}}).config())
	token := a.token("verifier", "acme")
	for body, member := range map[string]string{
		`{"claims":{"iss":"i","sub":"u","sub":"v"}}`:     "sub",
		`{"claims":{"iss":"i","Sub":"v"}}`:               "Sub",
		`{"claims":{"iss":"i"},"claims":{"iss":"j"}}`:    "claims",
		`{"tenant":"acme","Tenant":"globex","token":""}`: "Tenant",
	} {
		got := a.call(token, "POST", "/v1/check", body).want(t, http.StatusUnprocessableEntity)
		if m := got.problem(t).Member; m != member {
			t.Errorf("%s: names %q", body, m)
		}
	}
	a.call(token, "POST", "/v1/check", `{"claims":{"iss":"iss","sub":"Sub","jti":"sub","exp":1e3}}`).want(t, http.StatusOK)
	a.call(a.token("officer", "acme"), "POST", "/v1/audit/search", `{"type":["key.revoked","key.revoked"],"jti":"jti"}`).want(t, http.StatusOK)
}

func TestRoutesThatAreNot(t *testing.T) {
	t.Parallel()
	a := serve(t, new(parts).config())
	for _, c := range []struct {
		method, path string
		status       int
		kind         string
	}{
		{"GET", "/v2/nothing", 404, "not-found"},
		{"DELETE", "/v1/events", 405, "method"},
		{"GET", "/v1/audit/events/minus", 400, "parameter"},
		{"GET", "/v1/findings?limit=x", 400, "parameter"},
		{"GET", "/v1/findings?limit=1001", 422, "invalid"},
		{"GET", "/v1/findings?limit=0", 422, "invalid"},
		{"GET", "/v1/quarantine?limit=0", 422, "invalid"},
		{"GET", "/v1/requests?limit=0", 422, "invalid"},
		{"GET", "/v1/requests?limit=-1", 422, "invalid"},
		{"GET", "/v1/requests?limit=", 400, "parameter"},
		{"GET", "/v1/findings?state=eaten", 422, "invalid"},
		{"GET", "/v1/findings?cursor=AAAA", 400, "cursor"},
		{"GET", "/v1/findings?tenant=globex", 403, "tenant"},
		{"GET", "/v1/quarantine?tenant=globex", 403, "tenant"},
		{"GET", "/v1/requests?tenant=globex", 403, "tenant"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, a.url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+a.token("officer", "acme"))
		resp, err := a.web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != c.status || got != "application/problem+json" {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, resp.StatusCode, got, c.status)
		}
	}
}

// TestMetricsNameRoutesOnly: what a caller makes up is in no label.
func TestMetricsNameRoutesOnly(t *testing.T) {
	t.Parallel()
	a := serve(t, new(parts).config())
	for _, path := range []string{"/made-up", "/v1/revocations/made-up", "/v1/revocations/made-up/lift/made-up", "/v1/made-up?tenant=made-up"} {
		for _, method := range []string{"GET", "POST", "MADEUP"} {
			req, err := http.NewRequestWithContext(t.Context(), method, a.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := a.web.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	}
	metrics := a.call(a.token("admin", "acme"), "GET", "/metrics", nil).want(t, http.StatusOK)
	if body := strings.ToLower(string(metrics.body)); strings.Contains(body, "made-up") || strings.Contains(body, "madeup") || !strings.Contains(body, `route="/v1/revocations/:id"`) {
		t.Errorf("%s", body)
	}
}

// TestPanic: a fault of ours is a problem that shows nothing, and the next
// request is answered.
func TestPanic(t *testing.T) {
	t.Parallel()
	p := &parts{panics: true}
	a := serve(t, p.config())
	token := a.token("officer", "acme")
	got := a.call(token, "POST", "/v1/audit/search", map[string]any{}).want(t, http.StatusInternalServerError)
	if strings.Contains(string(got.body), "secret") || strings.Contains(a.logs.String(), "secret value") {
		t.Errorf("shows what it should not: %s", got.body)
	}
	if !strings.Contains(a.logs.String(), got.problem(t).Instance) {
		t.Error("the log does not know the request under its instance")
	}
	p.panics = false
	a.call(token, "POST", "/v1/audit/search", map[string]any{}).want(t, http.StatusOK)
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	ok := func(ok bool) func(context.Context) query.Condition {
		return func(context.Context) query.Condition { return query.Condition{OK: ok, Position: 5, Lag: 2} }
	}
	cfg := new(parts).config()
	cfg.Probes = []query.Probe{{Name: "nats", Required: true, Check: ok(true)}, {Name: "clickhouse", Check: ok(false)}}
	a := serve(t, cfg)
	var out query.Readiness
	a.call("", "GET", "/readyz", nil).want(t, http.StatusOK).into(t, &out)
	want := query.Readiness{Ready: true, Checks: []query.ReadinessCheck{
		{Name: "nats", Required: true, Ok: true, Position: 5, Lag: 2}, {Name: "clickhouse", Position: 5, Lag: 2},
	}}
	if d := cmp.Diff(want, out); d != "" {
		t.Error(d)
	}
	a.call("", "GET", "/healthz", nil).want(t, http.StatusOK)
	a.call("", "GET", "/.well-known/jwks.json", nil).want(t, http.StatusOK)
	metrics := a.call(a.token("admin", "acme"), "GET", "/metrics", nil).want(t, http.StatusOK)
	if !strings.Contains(string(metrics.body), `route="/readyz"`) {
		t.Errorf("%s", metrics.body)
	}

	cfg = new(parts).config()
	cfg.Probes = []query.Probe{{Name: "nats", Required: true, Check: ok(false)}}
	serve(t, cfg).call("", "GET", "/readyz", nil).want(t, http.StatusServiceUnavailable)
}

// TestAllTenantsAreOneQuestion: who reaches all tenants costs as many queries
// as who reaches one, however many there are.
func TestAllTenantsAreOneQuestion(t *testing.T) {
	t.Parallel()
	p := new(parts)
	const id, missing = "01900000-0000-7000-8000-000000000000", "01900000-0000-7000-8000-000000000001"
	for i := range 2000 {
		p.rows = append(p.rows, query.Row{Index: uint64(i), Record: *record("other", fmt.Sprint("tenant-", i), time.UnixMilli(0x019000000000))})
	}
	p.rows[500].Record.ID = id
	a := serve(t, p.config())
	all := a.token("officer", query.AllTenants)
	a.call(all, "GET", "/v1/findings?limit=1", nil).want(t, http.StatusOK)
	if len(p.findings) != 1 {
		t.Errorf("%d queries for findings", len(p.findings))
	}
	a.call(all, "GET", "/v1/revocations/"+id, nil).want(t, http.StatusOK)
	if len(p.searches) != 2 { // the revocation, and its lift
		t.Errorf("%d queries for a revocation", len(p.searches))
	}
	p.searches = nil
	a.call(all, "GET", "/v1/revocations/"+missing, nil).want(t, http.StatusNotFound)
	if len(p.searches) != 1 { // for its id, and not for all that were made in the same seconds
		t.Errorf("%d queries for no revocation", len(p.searches))
	}
	a.call(a.token("officer", "tenant-1", "tenant-2"), "GET", "/v1/findings", nil).want(t, http.StatusOK)
	if got := p.findings[1:]; len(got) != 2 || got[0].Tenant != "tenant-1" || got[1].Tenant != "tenant-2" || got[0].AllTenants || got[1].AllTenants {
		t.Errorf("who reaches two asked for %+v", got)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	var found query.Findings
	a.call(a.token("officer", query.AllTenants), "GET", "/v1/findings", nil).want(t, http.StatusOK).into(t, &found)
	if len(found.Findings) != 2 || found.Findings[0].Tenant != "globex" {
		t.Errorf("%+v", found)
	}
	a.call(a.token("officer", "acme"), "GET", "/v1/findings?limit=1", nil).want(t, http.StatusOK).into(t, &found)
	if len(found.Findings) != 1 || found.Findings[0].Tenant != "acme" || found.Next == "" {
		t.Errorf("%+v", found)
	}
	a.call(a.token("officer", "acme"), "GET", "/v1/findings?limit=1&cursor="+found.Next, nil).want(t, http.StatusOK)
	a.call(a.token("officer", "acme"), "GET", "/v1/findings?limit=1&state=open&cursor="+found.Next, nil).want(t, http.StatusBadRequest)
	a.call(a.token("officer", "acme"), "GET", "/v1/findings?state=acknowledged", nil).want(t, http.StatusUnprocessableEntity)

	for i := range 7 {
		tenant := []string{"acme", "globex", ""}[i%3]
		if err := p.Put(t.Context(), stream.Quarantined{Tenant: tenant, Reason: events.ReasonSchema, Detail: "d"}); err != nil {
			t.Fatal(err)
		}
	}
	for tenants, want := range map[string]int{"acme": 3, "globex": 2, query.AllTenants: 7} {
		var got query.Quarantine
		n, path := 0, "/v1/quarantine?limit=2"
		for pages := 0; pages < 10; pages++ {
			got = query.Quarantine{}
			a.call(a.token("officer", tenants), "GET", path, nil).want(t, http.StatusOK).into(t, &got)
			n += len(got.Quarantined)
			if got.Next == "" {
				break
			}
			path = "/v1/quarantine?limit=2&cursor=" + got.Next
		}
		if n != want {
			t.Errorf("%s: %d entries, want %d", tenants, n, want)
		}
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := query.New(query.Config{WaitFor: -1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{"issuer and audience", "no key", "publisher", "lane", "events", "findings", "keyring", "decider", "requests", "quarantine", "environment", "wait_for"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("does not name %s: %v", name, err)
		}
	}
}

// TestUnknownLinkHoldsNothing: whoever has no link and sends its request slowly
// is hung up on like everybody else.
func TestUnknownLinkHoldsNothing(t *testing.T) {
	t.Parallel()
	cfg := new(parts).config()
	cfg.Auth.Issuer, cfg.Auth.Audience = testIssuer, testAudience
	cfg.Auth.Keys = []query.Key{{ID: testKeyID, Public: newKey(t).Public()}}
	s, err := query.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s.Handler())
	server.Config.ReadTimeout = 200 * time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "GET /v1/exports/acme/r/secret HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is held for as long as its other end likes")
	}
}

// waiting is a workflow that waits for others longer than a server gives a request.
type waiting struct{ query.Requests }

func (waiting) Renew(ctx context.Context, _ erasure.Renewal) (erasure.Renewed, error) {
	select {
	case <-time.After(2 * serverTimeout):
		return erasure.Renewed{Generation: 2, KnownBy: time.Now()}, nil
	case <-ctx.Done():
		return erasure.Renewed{}, ctx.Err()
	}
}

// TestRenewIsAnswered, however long the others take to know.
func TestRenewIsAnswered(t *testing.T) {
	t.Parallel()
	cfg := new(parts).config()
	cfg.Requests, cfg.Timeout = waiting{cfg.Requests}, serverTimeout
	a := serveWithin(t, cfg, serverTimeout)
	renewal := map[string]any{"tenant": "acme", "subject": map[string]string{"iss": "i", "sub": "s"}, "basis": "contract", "reason": "they signed up again"}
	a.call(a.token("approver", "acme"), "POST", "/v1/subjects/renew", renewal).want(t, http.StatusOK)
}
