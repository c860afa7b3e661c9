package guard

import (
	"encoding/json"
	"net/http"

	"github.com/rescindhq/rescind/revocation"
)

// readiness is the body of ReadyHandler's answer.
type readiness struct {
	Ready bool             `json:"ready"`
	Doubt revocation.Cause `json:"doubt,omitempty"`
	AgeMS int64            `json:"age_ms"`
}

// ReadyHandler answers 200 while the feed vouches for tokens, and 503 while it
// is cold, has a gap or is stale: for an application that would refuse whatever
// it is sent.
func (v *Verifier) ReadyHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s := v.Feed.Status()
		status := http.StatusOK
		if s.Doubt != "" {
			status = http.StatusServiceUnavailable
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(readiness{Ready: s.Doubt == "", Doubt: s.Doubt, AgeMS: s.Age.Milliseconds()}) //nolint:errcheck // the caller is gone
	})
}
