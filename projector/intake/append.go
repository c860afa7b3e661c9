package intake

import (
	"context"
	"errors"
	"fmt"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/sleep"
)

// errUnsettled says that a batch may be in the log or not: the next writer, or
// this one in its next term, finds out.
var errUnsettled = errors.New("stopped before its outcome was known")

// put appends the pending batch behind seq and returns when it is there. As
// long as that cannot be known it goes on asking: everything later depends on it.
func (w *writer) put(ctx context.Context) error {
	for failures := 0; ctx.Err() == nil; failures++ {
		_, err := w.cfg.Log.Append(ctx, w.pending.lane, w.pending.data, w.seq)
		if err != nil {
			w.in.stats.count(func(s *Stats) { s.Unsettled++ })
			w.cfg.Logger.Warn("append did not answer, reading the log", "stream", stream.LogStream, "seq", w.seq, "err", err)
			err = w.settle(ctx)
		}
		switch {
		case err == nil:
			w.settled()
			return nil
		case errors.Is(err, errFenced), errors.Is(err, ErrCorrupt):
			return fmt.Errorf("append batch first=%d count=%d: %w", w.pending.head.First, w.pending.head.Count, err)
		}
		if sleep.Backoff(ctx, failures) != nil {
			break
		}
	}
	return fmt.Errorf("append batch first=%d count=%d: %w: %w", w.pending.head.First, w.pending.head.Count, errUnsettled, context.Cause(ctx))
}

// errNotThere says that a batch is not in the log, as far as that can be known.
var errNotThere = errors.New("not written")

// settle finds out what became of an append: nil where it is the message behind
// seq, errFenced where another one is.
func (w *writer) settle(ctx context.Context) error {
	last, err := w.cfg.Log.Last(ctx)
	switch {
	case err != nil:
		return err
	case last.Seq == w.seq:
		return errNotThere
	case last.Seq < w.seq:
		return fmt.Errorf("the log ends at seq=%d, before seq=%d: %w", last.Seq, w.seq, ErrCorrupt)
	}
	m, err := w.cfg.Log.Get(ctx, w.seq+1)
	if err != nil {
		return err
	}
	if !w.pending.is(m) {
		return fmt.Errorf("seq=%d: %w", m.Seq, errFenced)
	}
	return nil
}
