package intake

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

// TestAccessWaitsForTheControlBeforeIt publishes revocations and then events of
// access while control is slow on its way: they are logged in the order in
// which they were acknowledged.
func TestAccessWaitsForTheControlBeforeIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start(onSource(func(s Source) Source { return lateControl{s, controlPatience / 5} }))
	var want []string
	for i := range 5 {
		first, then := revoked(fmt.Sprint("token", i)), issued(fmt.Sprint("later", i))
		r.publish(first, then)
		want = append(want, first.ID, then.ID)
		r.drained()
	}
	var got []string
	for _, e := range r.records() {
		if e.Type != events.FindingOpened {
			got = append(got, e.ID)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("logged %q\nwant   %q", got, want)
	}
}

// TestAccessDoesNotWaitForEver loses control on its way: what was published
// after it is logged all the same.
func TestAccessDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start(onSource(func(s Source) Source { return lateControl{s, time.Hour} }))
	r.publish(revoked("token"), issued("later"))
	r.until("the later one is logged", func() bool { return len(r.facts()) == 1 })
	if _, there := r.facts()["later"]; !there {
		t.Errorf("%v", r.facts())
	}
}

// lateControl is a source whose control messages take their time.
type lateControl struct {
	Source
	by time.Duration
}

func (l lateControl) Next(ctx context.Context, lane events.Lane, maxBytes int) ([]stream.IntakeMessage, error) {
	out, err := l.Source.Next(ctx, lane, maxBytes)
	if lane == events.Control && err == nil {
		select {
		case <-time.After(l.by):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return out, err
}

// chunkOf is a chunk of one message, which has a place and the control message
// that was stored before it.
func chunkOf(seq, after uint64) *chunk {
	return &chunk{arrivals: []arrival{{IntakeMessage: &stream.IntakeMessage{Seq: seq, After: after}}}}
}

// TestQueueOrder gives chunks to the queue and says which it gives on.
func TestQueueOrder(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	expect := func(q *queue, want *chunk) {
		t.Helper()
		if got, err := q.next(ctx, want != nil); got != want || err != nil {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	q := newQueue()
	revocation, before, behind, last := chunkOf(5, 0), chunkOf(4, 3), chunkOf(6, 5), chunkOf(8, 7)
	q.passed = 3
	q.access.put(before, true)
	expect(q, before) // control has passed 3
	q.access.put(behind, true)
	expect(q, nil) // 5 is on its way
	go func() { q.control.from <- revocation }()
	expect(q, revocation)
	expect(q, behind)
	q.access.put(last, true)
	q.access.since = time.Now().Add(-controlPatience)
	expect(q, last) // 7 has not come in all that time
	again := chunkOf(9, 7)
	q.access.put(again, true)
	expect(q, again) // and is not waited for twice
	q.access.put(chunkOf(11, 10), true)
	close(q.control.from)
	expect(q, q.access.next) // nobody is there to bring 10
}
