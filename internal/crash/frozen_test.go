package crash_test

import (
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/internal/crash"
)

// TestStandsStill stops the writer of the log, and that of the feed, for longer
// than they may be silent, again and again. When they wake they go on where they
// were, with messages in hand that another writer has dealt with by then.
func TestStandsStill(t *testing.T) {
	t.Parallel()
	const (
		rounds = 6
		longer = 3500 * time.Millisecond
	)
	s := crash.NewSite(t, crash.Options{Copies: 2, Latency: 10 * time.Millisecond})
	l := crash.StartLoad(s, 1)
	for round := range rounds { // who took over in one is stopped in the next
		n := string(rune('1' + round%2))
		s.Await("records", s.Records(5))
		var frozen sync.WaitGroup
		for _, role := range []string{"intake-", "revoke-"} {
			frozen.Go(func() { s.Role(role + n).Freeze(longer) })
		}
		frozen.Wait()
	}
	s.Await("events", l.More(50))
	s.Verify(l)
	s.Sound()
}
