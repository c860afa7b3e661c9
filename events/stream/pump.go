package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/internal/sleep"
)

// What was asked for is delivered to whoever asked, and be it a process that
// stands still: an intake that takes over from such a one must not wait for its
// requests longer than for its lock. A beat that does not come is no reason to
// begin anew, as that has all in hand delivered again: some in a row are.
const (
	pullExpiry   = time.Second
	pullBeat     = 500 * time.Millisecond
	missedAtMost = 3 // each after twice pullBeat
)

// pump pulls messages from a consumer and hands them on, one by one, for as
// long as it runs: after any failure it opens the consumer again.
type pump struct {
	conn    *nats.Conn
	open    func(context.Context) (jetstream.Consumer, error)
	receive func(context.Context, jetstream.Msg) error
}

// fatal marks an error that opening again cannot mend.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// run returns why it stopped: ErrClosed when ctx is done, else what was fatal.
func (p *pump) run(ctx context.Context) error {
	for failures := 0; ; failures++ {
		received, err := p.follow(ctx)
		var stop fatal
		switch {
		case ctx.Err() != nil:
			return ErrClosed
		case errors.As(err, &stop):
			return stop.error
		case p.conn.IsClosed(): // for good: it does not reconnect
			return fmt.Errorf("read: %w", nats.ErrConnectionClosed)
		case received:
			failures = 0
		}
		if err := sleep.Backoff(ctx, failures); err != nil {
			return ErrClosed
		}
	}
}

// follow reads until something fails, and reports whether anything was
// received.
func (p *pump) follow(ctx context.Context) (received bool, err error) {
	ctx, cancel := p.untilReconnect(ctx)
	defer cancel()
	c, err := p.open(ctx)
	if err != nil {
		return false, err
	}
	it, err := c.Messages(jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes),
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullBeat))
	if err != nil {
		return false, err
	}
	defer it.Stop()
	for missed := 0; ; {
		msg, err := it.Next(jetstream.NextContext(ctx))
		switch {
		case errors.Is(err, jetstream.ErrNoHeartbeat) && missed < missedAtMost:
			missed++
			continue
		case err != nil:
			return received, err
		}
		missed = 0
		if err := p.receive(ctx, msg); err != nil {
			return received, err
		}
		received = true
	}
}

// untilReconnect ends when the connection was lost and is there again. The
// server may have forgotten the consumer, or what was on its way may be lost:
// without this the first sign would be heartbeats that do not come.
func (p *pump) untilReconnect(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	connected := p.conn.StatusChanged(nats.CONNECTED)
	go func() {
		defer p.conn.RemoveStatusListener(connected)
		select {
		case <-connected:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
