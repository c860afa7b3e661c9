package stream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func TestFlushThatGaveUpLeavesItsReportToTheNext(t *testing.T) {
	t.Parallel()
	w := start(t)
	release := make(chan struct{})
	var there atomic.Bool
	p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) {
		c.RetryFor = time.Second
		c.Keys = func(ctx context.Context) (envelope.Set, error) {
			<-release
			if !there.Load() {
				return envelope.Set{}, errors.New("no key")
			}
			return stream.IntakeKeys(ctx, c.Conn)
		}
	})
	if err := p.Queue(t.Context(), issued("a")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("flush of what has no outcome: %v", err)
	}
	close(release)
	var n *stream.NotAccepted
	if err := p.Flush(t.Context()); !errors.As(err, &n) || n.Of != 1 {
		t.Fatalf("the next flush: %v", err)
	}
	there.Store(true)
	if err := p.Publish(t.Context(), n.Events[0].Event); err != nil {
		t.Fatal(err)
	}
}

func TestQueueStopsWhenFailuresAreNeverCollected(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Verifier, func(c *stream.PublisherConfig) { c.MaxPendingEvents = 1; c.RetryFor = time.Second })
	if err := p.Queue(t.Context(), issued("a")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failure is known", func() bool { return p.Queue(t.Context(), issued("b")) != nil })
	if err := p.Flush(t.Context()); !errors.Is(err, stream.ErrNotPermitted) {
		t.Fatalf("flush: %v", err)
	}
}

// What failed counts until a Flush has reported it, whichever Flush gave up on it.
func TestFlushesThatGiveUpLeaveNoMoreThanTheBound(t *testing.T) {
	t.Parallel()
	w := start(t)
	const most = 3
	p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) { c.MaxPendingEvents, c.RetryFor = most, time.Second })
	natsdtest.Stop(t, w.Server)
	kept, refused := 0, false // kept: queued, and reported by no Flush
	for round := 0; !refused && round < 20; round++ {
		for range most {
			if refused = p.Queue(t.Context(), issued(fmt.Sprint(round))) != nil; refused {
				break
			}
			if kept++; kept > 2*most {
				t.Fatalf("%d events are kept: %d may be pending, and as many have failed", kept, most)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		var n *stream.NotAccepted
		if err := p.Flush(ctx); errors.As(err, &n) {
			kept -= n.Of
		}
		cancel()
	}
	if !refused {
		t.Error("nothing was refused")
	}
}

// What failed is bounded in bytes as what is pending is.
func TestQueueStopsWhenTheFailuresAreLarge(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) { c.MaxPendingBytes = 2 << 20 })
	p.Conn().Close() // everything fails at once
	large := issued("large")
	large.Data.Personal = map[string]any{"text": strings.Repeat("x", 60_000)}
	const most = 2<<20/60_000 + 1
	fill := func() (queued int) {
		for ; queued <= 3*most; queued++ {
			if p.Queue(t.Context(), large) != nil {
				break
			}
		}
		return queued
	}
	if n := fill(); n > 2*most {
		t.Errorf("%d large events have failed and are kept, want %d or as many again that were pending", n, most)
	}
	var n *stream.NotAccepted
	if err := p.Flush(t.Context()); !errors.As(err, &n) || n.Events[0].Event.Data.Personal["text"] != large.Data.Personal["text"] {
		t.Fatalf("flush: %v", err)
	}
	if n := fill(); n < most/2 {
		t.Errorf("%d could be queued when all was reported", n)
	}
}
