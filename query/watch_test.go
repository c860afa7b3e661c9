package query_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rescindhq/rescind/query"
)

// TestWatchWithoutTokens: where no issuer of tokens is known, metrics are for
// callers on the host, and how the process is for everybody.
func TestWatchWithoutTokens(t *testing.T) {
	t.Parallel()
	registry, ready := prometheus.NewRegistry(), false
	up := prometheus.NewGauge(prometheus.GaugeOpts{Name: "rescind_up"})
	registry.MustRegister(up)
	watch, err := query.Watch(query.WatchConfig{Registry: registry, Probes: []query.Probe{{
		Name: "intake", Required: true, Check: func(context.Context) query.Condition { return query.Condition{OK: ready} },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path, from string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr = from
		for _, name := range headers {
			r.Header.Set(name, "")
		}
		w := httptest.NewRecorder()
		watch.ServeHTTP(w, r)
		return w
	}
	for _, tt := range []struct {
		path, from string
		want       int
	}{
		{"/metrics", "127.0.0.1:4711", http.StatusOK}, {"/metrics", "[::1]:4711", http.StatusOK}, {"/metrics", "[::ffff:127.0.0.1]:4711", http.StatusOK},
		{"/metrics", "192.0.2.1:4711", http.StatusUnauthorized}, {"/metrics", "@", http.StatusUnauthorized},
		{"/healthz", "192.0.2.1:4711", http.StatusOK}, {"/readyz", "192.0.2.1:4711", http.StatusServiceUnavailable}, {"/v1/findings", "127.0.0.1:4711", http.StatusNotFound},
	} {
		w := ask(tt.path, tt.from)
		if w.Code != tt.want {
			t.Errorf("%s from %s: %d, want %d: %s", tt.path, tt.from, w.Code, tt.want, w.Body)
		}
		if shown := strings.Contains(w.Body.String(), "rescind_up"); shown != (tt.path == "/metrics" && tt.want == http.StatusOK) {
			t.Errorf("%s from %s: metrics shown: %t", tt.path, tt.from, shown)
		}
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"} { // a proxy on this host
		if w := ask("/metrics", "127.0.0.1:4711", name); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d, want %d", name, w.Code, http.StatusUnauthorized)
		}
	}
	ready = true
	if w := ask("/readyz", "192.0.2.1:4711"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"intake"`) {
		t.Errorf("ready: %d %s", w.Code, w.Body)
	}
}
