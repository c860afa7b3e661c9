package intake

import (
	"context"
	"io"
)

// queue is chunks that are ready for the writer.
type queue struct{ control, access chan *chunk }

// next is the next chunk, control first. Without wait it is nil where none is
// there. io.EOF says that no more come.
func (q *queue) next(ctx context.Context, wait bool) (*chunk, error) {
	if c, there := q.ready(); there {
		return c, nil
	}
	for !q.ended() && wait {
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
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if q.ended() {
		return nil, io.EOF
	}
	return nil, nil
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

// ended reports whether both lanes have ended.
func (q *queue) ended() bool { return q.control == nil && q.access == nil }
