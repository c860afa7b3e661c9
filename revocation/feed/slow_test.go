package feed

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// A verifier whose buffer overflows loses what does not fit, notices by what
// comes behind it, and fetches it.
func TestSlowConsumerIsAGapAndMended(t *testing.T) {
	t.Parallel()
	const tokens = 30
	server := natsdtest.Start(t)
	l := &line{server: server, log: feedtest.OpenLog(t, server)}
	l.write(t)
	var dropped atomic.Bool
	conn := natsdtest.Connect(t, server, natsd.Verifier)
	conn.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrSlowConsumer) {
			dropped.Store(true)
		}
	})
	stuck, release := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	f := New(Config{Conn: conn, PublicKey: feedtest.Public(), OnApply: func(a Applied) {
		if a.Entries > 0 && !a.Snapshot && once.CompareAndSwap(false, true) {
			close(stuck)
			<-release
		}
	}})
	live := make(chan *nats.Msg, 4)
	if _, err := conn.ChanSubscribe(stream.LiveRevocations, live); err != nil {
		t.Fatal(err)
	}
	feedtest.Go(t, func(ctx context.Context) error { return f.loop(ctx, live) })
	<-f.Ready()
	at := []uint64{l.log.Revoke(t, events.ScopeToken, feedtest.Claims(0))}
	<-stuck
	for n := 1; n < tokens; n++ {
		at = append(at, l.log.Revoke(t, events.ScopeToken, feedtest.Claims(n)))
		feedtest.Eventually(t, "a delta of its own", func() bool { return reaches(t, f) >= at[n] })
	}
	feedtest.Eventually(t, "messages are dropped", dropped.Load)
	close(release)
	feedtest.Eventually(t, "all is revoked", func() bool {
		for n := range tokens {
			d := f.Decide(feedtest.Claims(n))
			if d.State == revocation.Active && d.Position >= at[n] {
				t.Fatalf("token %d is active at %d, and was revoked at %d", n, d.Position, at[n])
			}
			if d.State != revocation.Revoked {
				return false
			}
		}
		return true
	})
	feedtest.Eventually(t, "fresh", func() bool { return f.Decide(feedtest.Claims(99)).State == revocation.Active })
}

// reaches is the position that what is stored reaches.
func reaches(t *testing.T, f *Feed) uint64 {
	t.Helper()
	m, err := f.store.last(t.Context())
	if err != nil || m == nil {
		t.Fatal(err)
	}
	d, err := revocation.OpenDelta(feedtest.Public(), m)
	if err != nil {
		t.Fatal(err)
	}
	return d.Position
}
