package intake

import (
	"time"

	"github.com/rescindhq/rescind/events"
)

// digest tells two events of one identity apart.
type digest [8]byte

// window remembers which events were logged lately: at most max, and none
// that is older than keep when a newer one is added.
type window struct {
	max  int
	keep time.Duration

	seen  map[events.Ref]digest
	order queue // of seen, oldest first
}

func newWindow(most int, keep time.Duration) *window {
	return &window{max: most, keep: keep, seen: map[events.Ref]digest{}}
}

// find is the digest of the event with that identity, if it is remembered.
func (w *window) find(ref events.Ref) (digest, bool) {
	d, ok := w.seen[ref]
	return d, ok
}

// add remembers an event that was logged at the given time. What is remembered
// already stays: the first one is the fact.
func (w *window) add(ref events.Ref, d digest, at time.Time) {
	if _, ok := w.seen[ref]; ok {
		return
	}
	w.seen[ref] = d
	w.order.push(stamp{ref, at.Unix()})
	oldest := at.Add(-w.keep).Unix()
	for len(w.seen) > w.max || w.order.front().at < oldest {
		delete(w.seen, w.order.pop().ref)
	}
}

type stamp struct {
	ref events.Ref
	at  int64 // s
}

// queue is a first-in-first-out list that grows without copying.
type queue struct {
	chunks [][]stamp
	head   int // of the first chunk
}

const chunkStamps = 4096

func (q *queue) push(s stamp) {
	if n := len(q.chunks); n == 0 || len(q.chunks[n-1]) == chunkStamps {
		q.chunks = append(q.chunks, make([]stamp, 0, chunkStamps))
	}
	last := &q.chunks[len(q.chunks)-1]
	*last = append(*last, s)
}

// front is the oldest; the queue must not be empty.
func (q *queue) front() stamp { return q.chunks[0][q.head] }

func (q *queue) pop() stamp {
	s := q.front()
	if q.head++; q.head == len(q.chunks[0]) {
		q.chunks, q.head = q.chunks[1:], 0
	}
	return s
}
