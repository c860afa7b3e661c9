package feed_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// ready asks the handler.
func ready(t *testing.T, f *feed.Feed) (status int, doubt string) {
	t.Helper()
	w := httptest.NewRecorder()
	f.ReadyHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
	var body struct {
		Ready bool   `json:"ready"`
		Doubt string `json:"doubt"`
		AgeMS *int64 `json:"age_ms"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if body.Ready != (w.Code == http.StatusOK) || body.AgeMS == nil || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	return w.Code, body.Doubt
}

// Readiness follows the view: cold, fresh, stale, fresh.
func TestReadinessFollowsTheView(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	f := feed.New(feed.Config{Conn: natsdtest.Connect(t, s, natsd.Verifier), PublicKey: feedtest.Public(), StaleAfter: 500 * time.Millisecond, QuietAfter: 100 * time.Millisecond})
	feedtest.Go(t, f.Run)
	if code, doubt := ready(t, f); code != http.StatusServiceUnavailable || doubt != "cold" || f.Check() == nil {
		t.Errorf("%d %s %v", code, doubt, f.Check())
	}
	h := &house{server: s, keys: feedtest.NewKeys(), log: feedtest.OpenLog(t, s)}
	for range 2 {
		h.write(t)
		feedtest.Eventually(t, "ready", func() bool { code, _ := ready(t, f); return code == http.StatusOK && f.Check() == nil })
		h.stop()
		feedtest.Eventually(t, "stale", func() bool {
			code, doubt := ready(t, f)
			return code == http.StatusServiceUnavailable && doubt == string(revocation.CauseStale) && f.Check() != nil
		})
	}
}
