package intake

import (
	"context"
	"io"
	"time"

	"github.com/rescindhq/rescind/events"
)

const (
	// spacing is how far apart small batches of the access lane are: an append
	// is a write to the disk, and so is what publishers wait for. The first one
	// after a while is not delayed, nor is control, nor a batch that is not
	// small.
	spacing = 4 * time.Millisecond

	// smallBatch is how many records a batch has that is worth waiting with.
	smallBatch = 200
)

// queue is chunks that are ready for the writer.
type queue struct{ control, access chan *chunk }

// next is the next chunk, control first. It waits for one as long as given, and
// is nil where none came; less than 0 is for ever. io.EOF says that no more
// come.
func (q *queue) next(ctx context.Context, wait time.Duration) (*chunk, error) {
	if c, there := q.ready(); there {
		return c, nil
	}
	var over <-chan time.Time
	switch {
	case wait == 0:
		return nil, q.ended()
	case wait > 0:
		t := time.NewTimer(wait)
		defer t.Stop()
		over = t.C
	}
	for q.ended() == nil {
		select {
		case c, open := <-q.control:
			if open {
				return c, nil
			}
			q.control = nil
		case c, open := <-q.access:
			if open {
				return c, nil
			}
			q.access = nil
		case <-over:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return nil, io.EOF
}

// ready is a chunk that is there now, control first.
func (q *queue) ready() (*chunk, bool) {
	select {
	case c := <-q.control:
		if c != nil {
			return c, true
		}
		q.control = nil
	default:
	}
	select {
	case c := <-q.access:
		if c != nil {
			return c, true
		}
		q.access = nil
	default:
	}
	return nil, false
}

func (q *queue) ended() error {
	if q.control == nil && q.access == nil {
		return io.EOF
	}
	return nil
}

// patience is how long the draft may wait for more to come.
func (w *writer) patience() time.Duration {
	switch {
	case len(w.draft.items) == 0 && len(w.whole) == 0:
		return -1
	case w.draft.lane == events.Control, len(w.draft.items) >= smallBatch:
		return 0
	}
	return max(0, spacing-time.Since(w.last))
}
