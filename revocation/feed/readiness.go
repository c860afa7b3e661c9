package feed

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/rescindhq/rescind/revocation"
)

// Check is nil while the view vouches for what it does not revoke, and else an
// error that says why not: what an application that is strict about revocation
// answers from its own readiness. It does not block.
func (f *Feed) Check() error {
	switch s := f.Status(); s.Doubt {
	case "":
		return nil
	case revocation.CauseCold:
		return fmt.Errorf("the revocation feed is cold: no view was loaded yet")
	case revocation.CauseGap:
		return fmt.Errorf("the revocation feed has a gap, which is being fetched")
	default:
		return fmt.Errorf("the revocation feed is stale: its view is %s old", s.Age.Round(1e6))
	}
}

// readiness is the body of ReadyHandler's answer.
type readiness struct {
	Ready    bool             `json:"ready"`
	Doubt    revocation.Cause `json:"doubt,omitempty"` // stale, gap or cold
	AgeMS    int64            `json:"age_ms"`
	Position uint64           `json:"position"`               // in the first shard
	Missing  int              `json:"missing_keys,omitempty"` // of tenants whose tokens are unknown; does not count
}

// ReadyHandler answers 200 while Check is nil, and 503 else. A tenant whose
// feed keys are lacking does not make it 503: others are served.
func (f *Feed) ReadyHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s := f.Status()
		body, err := json.Marshal(readiness{Ready: s.Doubt == "", Doubt: s.Doubt, AgeMS: s.Age.Milliseconds(), Position: s.Position, Missing: s.Missing})
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		if s.Doubt != "" || err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write(body) // who has hung up needs no answer
	})
}
