package stream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
)

// TestWhatAFullMessageLeavesLingers queues a message and a half, and when the
// message is there the other half: with what was left that is one more, not two.
func TestWhatAFullMessageLeavesLingers(t *testing.T) {
	t.Parallel()
	w := start(t)
	const full, linger = 20, time.Second
	p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) { c.BatchEvents, c.Linger = full, linger })
	queue := func(from, to int) {
		for i := from; i < to; i++ {
			if err := p.Queue(t.Context(), issued(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for round, counted := 0, 0; counted < 20; round++ {
		before := w.state(t, stream.IntakeStream).LastSeq
		began, first := time.Now(), 2*full*round
		queue(first, first+full*3/2)
		eventually(t, "a message", func() bool { return w.state(t, stream.IntakeStream).LastSeq > before })
		queue(first+full*3/2, first+2*full)
		took := time.Since(began)
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took >= linger {
			continue // what was left has lingered long enough
		}
		counted++
		if n := w.state(t, stream.IntakeStream).LastSeq - before; n != 2 {
			t.Errorf("%d events in %d messages of %d", 2*full, n, full)
		}
	}
}
