package erasure

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// stuckLane does not come to the end of the log the first times that it is asked.
type stuckLane struct {
	Lane
	asked atomic.Int64
}

func (l *stuckLane) Sync(ctx context.Context) error {
	if l.asked.Add(1) <= 4 { // be it the worker or who else looks at the log
		<-ctx.Done()
		return ctx.Err()
	}
	return l.Lane.Sync(ctx)
}

// TestALaneThatStandsStill: the worker asks again, and is not at its mercy.
func TestALaneThatStandsStill(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	stuck := new(stuckLane)
	o := open(t, kit, func(c *Config) {
		stuck.Lane, c.Lane = c.Lane, stuck
		c.WaitFor = 200 * time.Millisecond
	})
	o.queue(1)
	kit.Run(o.Run)
	o.eventually(func() bool { return o.Stats().Open == 0 })
}
