package verify_test

import (
	"testing"

	"github.com/rescindhq/rescind/internal/verify"
)

// TestHistoryIsClean verifies a deployment with every kind of record.
func TestHistoryIsClean(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.history(300)
	r := b.verify(verify.Config{})
	finds(t, r)
	if r.Log.Records < 600 || r.ClickHouse.Events != r.Log.Records || r.ClickHouse.Payloads == 0 || r.Feed.Entries < 5 || r.Feed.Deltas == 0 || len(r.Log.Root) != 64 {
		t.Errorf("it looked at %+v", r)
	}
}
