package intake

import (
	"context"
	"io"
	"time"
)

// controlPatience is how long a chunk of access waits for the control messages
// that were stored before it. They are on their way through a lane of their
// own; but where one does not come, say because an earlier term dealt with it,
// access is not to stand still.
const controlPatience = 250 * time.Millisecond

// queue is chunks that are ready for the writer.
type queue struct {
	control, access hand
	passed          uint64 // the highest control message that the writer was given
}

func newQueue() *queue {
	return &queue{control: hand{from: make(chan *chunk)}, access: hand{from: make(chan *chunk)}}
}

// next is the next chunk, control first. Without wait it is nil where none is
// there. io.EOF says that no more come.
func (q *queue) next(ctx context.Context, wait bool) (*chunk, error) {
	for {
		q.control.look()
		q.access.look()
		switch {
		case q.control.next != nil:
			c := q.control.take()
			q.passed = max(q.passed, c.last())
			return c, nil
		case q.access.next != nil && q.due() <= 0:
			return q.access.take(), nil
		case q.control.ended() && q.access.ended():
			return nil, io.EOF
		case !wait:
			return nil, nil
		}
		if err := q.await(ctx); err != nil {
			return nil, err
		}
	}
}

// due is how long the chunk of access in hand waits for control at most.
func (q *queue) due() time.Duration {
	after := q.access.next.after()
	if after <= q.passed || q.control.ended() {
		return 0
	}
	left := controlPatience - time.Since(q.access.since)
	if left <= 0 {
		q.passed = after // once is enough
	}
	return left
}

// await waits until something may have changed.
func (q *queue) await(ctx context.Context) error {
	var timer <-chan time.Time
	if q.access.next != nil {
		t := time.NewTimer(q.due())
		defer t.Stop()
		timer = t.C
	}
	select {
	case c, open := <-q.control.wanted():
		q.control.put(c, open)
	case c, open := <-q.access.wanted():
		q.access.put(c, open)
	case <-timer:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// hand is the next chunk of a lane.
type hand struct {
	from  chan *chunk // nil where no more come
	next  *chunk
	since time.Time // when it came
}

// look takes what is there now.
func (h *hand) look() {
	select {
	case c, open := <-h.wanted():
		h.put(c, open)
	default:
	}
}

// wanted is the lane, if there is room for one.
func (h *hand) wanted() <-chan *chunk {
	if h.next != nil {
		return nil
	}
	return h.from
}

func (h *hand) put(c *chunk, open bool) {
	if h.next, h.since = c, time.Now(); !open {
		h.from = nil
	}
}

func (h *hand) take() *chunk {
	c := h.next
	h.next = nil
	return c
}

func (h *hand) ended() bool { return h.from == nil && h.next == nil }
