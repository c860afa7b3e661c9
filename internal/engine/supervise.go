package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/internal/sleep"
)

// Back-off between failed restarts: quick at first, since a killed engine is
// back in a fraction of a second, and bounded, since somebody is waiting.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// supervise waits for the child to end, by itself or because Stop was called,
// and starts it again where that is wanted. It is the only writer of e.child
// once Start has returned.
func (e *Engine) supervise() {
	defer close(e.done)
	defer e.unlock()
	for {
		c := e.current()
		select {
		case <-e.life.Done():
			e.finish(c)
			return
		case <-c.exited:
		}
		e.report(c.failure("engine died"))
		if !e.cfg.Restart || !e.revive() {
			return
		}
	}
}

// finish ends the child in good order and keeps how that went for Stop.
func (e *Engine) finish(c *child) {
	c.terminate()
	<-c.exited
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.err != nil && !c.wasKilled() {
		e.stopErr = c.failure("stop engine")
	}
}

// revive starts the child on the same ports until it is up (true) or Stop is
// called (false).
func (e *Engine) revive() bool {
	backoff := firstBackoff
	for {
		err := e.bringUp(e.life)
		if err == nil {
			return true
		}
		if e.life.Err() != nil {
			return false
		}
		e.report(fmt.Errorf("restart engine: %w", err))
		if sleep.For(e.life, backoff) != nil {
			return false
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// report hands err to whoever reads Died, without ever waiting for them.
func (e *Engine) report(err error) {
	e.cfg.Log.Warn("engine child ended", "restart", e.cfg.Restart, "err", err)
	select {
	case e.died <- err:
	default:
		e.cfg.Log.Warn("engine death not delivered: nobody reads Died")
	}
}

// awaitReady asks the server until it answers, the child dies or ctx ends.
func (e *Engine) awaitReady(ctx context.Context, c *child) (string, error) {
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	var last error
	for {
		select {
		case <-c.exited:
			return "", e.startFailure(c, "engine ended while starting")
		case <-ctx.Done():
			return "", errors.Join(e.startFailure(c, "engine is not ready"), ctx.Err(), last)
		case <-ticks.C:
		}
		if c.refused() {
			return "", e.startFailure(c, "engine cannot listen")
		}
		version, err := e.probe(ctx)
		if err == nil {
			return version, nil
		}
		last = err
	}
}

// startFailure is the error of a child that did not come up: how it ended, and
// the last lines that it said on stderr and in its log.
func (e *Engine) startFailure(c *child, what string) error {
	err := c.failure(what)
	if lines := e.layout.lastLogLines(c.started); lines != "" {
		err = fmt.Errorf("%w\nlast lines of %s:\n%s", err, e.layout.log, lines)
	}
	if c.refused() {
		err = fmt.Errorf("%w: tcp %s, http %s: %w", errPortTaken, e.Addr(), e.HTTPAddr(), err)
	}
	return err
}
