package intake

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rescindhq/rescind/events"
)

// TestSmallChunksOfAccessAreSpaced: by three times the way of a chunk, within
// bounds, and nothing else waits.
func TestSmallChunksOfAccessAreSpaced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lane     events.Lane
		way      time.Duration
		events   int
		elapsed  time.Duration // since the chunk was taken
		expected time.Duration
	}{
		"at first":             {events.Access, 0, 1, 0, leastSpacing},
		"three times its way":  {events.Access, 5 * time.Millisecond, 1, 0, 15 * time.Millisecond},
		"but no longer":        {events.Access, time.Hour, 1, 0, mostSpacing},
		"less what has passed": {events.Access, time.Hour, smallChunk - 1, 20 * time.Millisecond, 30 * time.Millisecond},
		"all of it has":        {events.Access, time.Hour, 1, mostSpacing, 0},
		"not small":            {events.Access, time.Hour, smallChunk, 0, 0},
		"control":              {events.Control, time.Hour, 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				in := new(Intake)
				in.pace.way.Store(int64(c.way))
				l := &lane{in: in, lane: c.lane}
				start := time.Now()
				l.space(t.Context(), &chunk{candidates: make([]candidate, c.events), began: start.Add(-c.elapsed)})
				if got := time.Since(start); got != c.expected {
					t.Errorf("waited %s, want %s", got, c.expected)
				}
			})
		})
	}
}
