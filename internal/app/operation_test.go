package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/internal/app"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/query"
)

// TestEveryProcessCanBeWatched asks a process without the API how it is.
func TestEveryProcessCanBeWatched(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	base := run(t, s.config(config.RoleIntake, config.RoleRevoke))
	if status, _ := get(t, base+"/healthz", ""); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
	status, body := get(t, base+"/readyz", "")
	var got query.Readiness
	if err := json.Unmarshal(body, &got); err != nil || status != http.StatusOK || !got.Ready || len(got.Checks) != 2 {
		t.Errorf("readyz: %d %s, %v", status, body, err)
	}
	if status, _ := get(t, base+"/metrics", ""); status != http.StatusUnauthorized {
		t.Errorf("metrics without a token: %d", status)
	}
	if status, body := get(t, base+"/metrics", s.client(t, base, "admin").Token); status != http.StatusOK || !strings.Contains(string(body), "rescind_intake_records_total") || !strings.Contains(string(body), "rescind_revoke_deltas_total") {
		t.Errorf("metrics: %d %.200s", status, body)
	}
	none := s.config(config.RoleRevoke)
	none.Auth = config.Auth{}
	if status, body := get(t, run(t, none)+"/metrics", ""); status != http.StatusOK || !strings.Contains(string(body), "rescind_revoke_deltas_total") {
		t.Errorf("metrics over loopback, where no tokens are known: %d %.200s", status, body)
	}
}

// TestAnAddressThatIsTakenIsToldOf: who runs two processes on one host is told
// which setting to change.
func TestAnAddressThatIsTakenIsToldOf(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.config(config.RoleRevoke)
	c.HTTP.OperationAddr = listener(t).Addr().String()
	err := app.Run(t.Context(), app.Config{Config: c, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "http.operation_addr") {
		t.Fatalf("got %v", err)
	}
	c.HTTP.OperationAddr = ""
	run(t, c)
}

// TestDefaultAddressThatIsTakenStopsNobody: a second process on a host, nobody
// having said where either is asked how it is, is at work without that.
func TestDefaultAddressThatIsTakenStopsNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.config(config.RoleRevoke)
	c.HTTP.OperationAddr = config.Default().HTTP.OperationAddr
	l, taken := net.Listen("tcp", c.HTTP.OperationAddr)
	if taken == nil { // else another process has it, and may leave it any time
		defer l.Close()
	}
	var logged bytes.Buffer
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	ready := false
	err := app.Run(ctx, app.Config{
		Config: c, Log: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelWarn})), Ready: func() { ready = true; stop() },
	})
	if err != nil || !ready {
		t.Errorf("at work: %t; %v", ready, err)
	}
	for _, want := range []string{"/healthz", "http.operation_addr", c.HTTP.OperationAddr} {
		if taken == nil && !strings.Contains(logged.String(), want) {
			t.Errorf("no %s in %s", want, &logged)
		}
	}
}

func get(t *testing.T, url, token string) (status int, body []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}
