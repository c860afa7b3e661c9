package erasure_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rescindhq/rescind/query/erasure"
)

// TestNobodyIsToldWithoutTheLock: whose lock is lost tells nobody any more, and does not
// wait for an answer that is still to come.
func TestNobodyIsToldWithoutTheLock(t *testing.T) {
	t.Parallel()
	c := newCircle(t)
	h := build(t, nil)
	s := newStuck(c)
	term, lose := context.WithCancel(t.Context())
	released := make(chan struct{})
	_, stop := h.process(c, func(cfg *erasure.Config) {
		held := false // of the notifier's goroutine
		cfg.Notifying.Lock = func(ctx context.Context) (context.Context, func(), error) {
			if held { // by another, from then on
				<-ctx.Done()
				return nil, nil, ctx.Err()
			}
			held = true
			return term, func() { close(released) }, nil
		}
	})
	defer stop()
	h.disclosed("zoe", s.id)
	h.until(h.approve("zoe"), erasure.Partial)
	h.eventually("an attempt that hangs", func() error {
		if s.hanging.Load() == 0 {
			return errors.New("none")
		}
		return nil
	})
	lose()
	select {
	case <-released:
	case <-time.After(patience / 6): // an attempt takes up to a minute
		t.Error("it tells on")
	}
	close(s.letGo)
}
