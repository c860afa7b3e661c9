package query_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/feedhttp"
	"github.com/rescindhq/rescind/revocation"
)

// TestFeedKeysAreOfTheCallersTenants: no tenant would mean all, so a caller that
// reaches none is not asked about.
func TestFeedKeysAreOfTheCallersTenants(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	for _, c := range []struct {
		reach []string
		path  string
		want  *revocation.KeysRequest
	}{
		{[]string{query.AllTenants}, "", &revocation.KeysRequest{}},
		{[]string{"acme"}, "", &revocation.KeysRequest{Tenants: []string{"acme"}}},
		{[]string{"acme", "globex"}, "?after_tenant=acme&after_generation=3",
			&revocation.KeysRequest{Tenants: []string{"acme", "globex"}, After: revocation.KeyPlace{Tenant: "acme", Generation: 3}}},
		{[]string{"acme", query.AllTenants}, "", &revocation.KeysRequest{}},
		{nil, "", nil}, // a token without the claim
	} {
		p.keysAsked = nil
		token := sign(t, jwt.SigningMethodES256, a.key, with(func(claims jwt.MapClaims) { claims["scope"], claims["tenants"] = "feed:read", c.reach }), nil)
		got := a.call(token, "GET", "/v1/revocations/keys"+c.path, nil)
		if c.want == nil {
			if got.status != http.StatusForbidden || len(p.keysAsked) > 0 {
				t.Errorf("%v: %d, asked %+v", c.reach, got.status, p.keysAsked)
			}
			continue
		}
		got.want(t, http.StatusOK)
		if d := cmp.Diff([]revocation.KeysRequest{*c.want}, p.keysAsked, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%v: %s", c.reach, d)
		}
		if s := got.header.Get(revocation.SignatureHeader); s != base64.StdEncoding.EncodeToString([]byte("signature")) {
			t.Errorf("signature %q", s)
		}
	}
}

// TestStreamIsNotBoundInTime: what the server bounds other requests by does not
// end it, but the caller's token does.
func TestStreamIsNotBoundInTime(t *testing.T) {
	t.Parallel()
	p := new(parts)
	cfg := p.config()
	cfg.Timeout = time.Millisecond
	a := serve(t, cfg)
	p.stream = func(w http.ResponseWriter, r *http.Request, until time.Time) error {
		if _, bound := r.Context().Deadline(); bound {
			t.Error("the request has a deadline")
		}
		if left := time.Until(until); r.URL.Path == "/v1/revocations/stream" && (left <= 0 || left > time.Minute) {
			t.Errorf("the token is good for %s", left)
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
	for _, path := range []string{"/v1/revocations/stream", "/v1/revocations/snapshot"} {
		a.call(a.token("verifier", "acme"), "GET", path, nil).want(t, http.StatusOK)
	}
	p.stream = func(http.ResponseWriter, *http.Request, time.Time) error { return feedhttp.ErrPosition }
	if got := a.call(a.token("verifier", "acme"), "GET", "/v1/revocations/stream", nil, "Last-Event-ID", "x"); got.status != http.StatusBadRequest || got.problem(t).Member != "Last-Event-ID" {
		t.Errorf("%d %s", got.status, got.body)
	}
	p.stream = func(http.ResponseWriter, *http.Request, time.Time) error { return feedhttp.ErrBusy }
	if got := a.call(a.token("verifier", "acme"), "GET", "/v1/revocations/stream", nil); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	p.stream = func(http.ResponseWriter, *http.Request, time.Time) error { return errors.New("secret") }
	if got := a.call(a.token("verifier", "acme"), "GET", "/v1/revocations/snapshot", nil); got.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", got.status, got.body)
	}
}
