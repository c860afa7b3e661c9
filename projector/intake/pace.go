package intake

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/sleep"
)

const (
	// Small chunks of the access lane are taken so far apart that between two of
	// them publishers have the disk for themselves twice as long as a chunk takes
	// on its way into the log: it costs a write of the log, and several of the
	// keyring where it names somebody new, on the disk that publishers wait for
	// as well. The first one after a while is not delayed, nor is control, nor
	// what follows a chunk that is not small.
	spacing      = 3 // times the way of a chunk
	leastSpacing = 4 * time.Millisecond
	mostSpacing  = 50 * time.Millisecond

	// smallChunk is how many events a chunk has that is worth waiting after.
	smallChunk = 200
)

// pace knows how long chunks take from being taken to being logged.
type pace struct{ way atomic.Int64 }

// passed notes how long c took. One slow chunk counts for a quarter.
func (p *pace) passed(c *chunk) {
	last := p.way.Load()
	p.way.Store(last + (int64(time.Since(c.began))-last)/4)
}

func (p *pace) spacing() time.Duration {
	return min(max(spacing*time.Duration(p.way.Load()), leastSpacing), mostSpacing)
}

// space waits after c where that is worth it.
func (l *lane) space(ctx context.Context, c *chunk) {
	left := l.in.pace.spacing() - time.Since(c.began)
	if l.lane == events.Control || len(c.candidates) >= smallChunk || left <= 0 {
		return
	}
	_ = sleep.For(ctx, left)
}
