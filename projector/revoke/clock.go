package revoke

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// clock is what time it is as far as the deployment knows: by our own clock, but
// no more than the skew ahead of the NATS server's. It is what is revoked that
// leaves by it, everywhere, so that one clock that is wrong must not be enough.
type clock struct {
	own   func() time.Time
	skew  time.Duration
	log   *slog.Logger
	heard atomic.Pointer[heard]
}

// heard is what the server said.
type heard struct {
	server time.Time
	asked  time.Time     // by the steady clock, which is not set
	ahead  time.Duration // of our clock, as far as that is certain; below 0 it is behind
}

// now is our own clock's time until the server was heard.
func (c *clock) now() time.Time {
	own := c.own()
	h := c.heard.Load()
	if h == nil {
		return own
	}
	if most := h.server.Add(time.Since(h.asked) + c.skew); most.Before(own) {
		return most
	}
	return own
}

// hear asks the server for the time. Between two answers a steady clock counts
// on from the last.
func (c *clock) hear(ctx context.Context, server func(context.Context) (time.Time, error)) error {
	h := heard{asked: time.Now()}
	before := c.own()
	var err error
	if h.server, err = server(ctx); err != nil {
		return fmt.Errorf("ask for the time: %w", err)
	}
	switch after := c.own(); {
	case before.After(h.server):
		h.ahead = before.Sub(h.server)
	case after.Before(h.server):
		h.ahead = after.Sub(h.server)
	}
	if c.heard.Load() != nil && time.Since(h.asked) > c.skew {
		return nil // an answer that was so long under way says less than the one before
	}
	was := c.ahead()
	c.heard.Store(&h)
	c.say(was, h.ahead)
	return nil
}

// ahead is how far our clock is ahead of the server's, or behind it, below 0.
func (c *clock) ahead() time.Duration {
	if h := c.heard.Load(); h != nil {
		return h.ahead
	}
	return 0
}

func (c *clock) off(ahead time.Duration) bool { return ahead.Abs() > c.skew }

// say logs when our clock begins or ends to differ from the server's.
func (c *clock) say(was, ahead time.Duration) {
	switch {
	case c.off(ahead) && !c.off(was):
		c.log.Error("our clock and the nats server's differ: one of them is wrong", "ahead", ahead)
	case c.off(was) && !c.off(ahead):
		c.log.Info("our clock and the nats server's agree again", "ahead", ahead)
	}
}

// watchClock hears the server at every heartbeat until ctx is done.
func (r *Revoker) watchClock(ctx context.Context) {
	beat := time.NewTicker(r.cfg.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
		if err := r.clock.hear(ctx, r.deltas.Time); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("the nats server does not say what time it is", "err", err)
		}
	}
}
