package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/sleep"
	"github.com/rescindhq/rescind/projector/controls"
)

// ErrCorrupt says that the log contradicts itself, or cannot be read: nothing
// may be appended before somebody has looked.
var ErrCorrupt = errors.New("the log contradicts itself")

// errFenced says that another writer has appended to the log.
var errFenced = errors.New("another writer took over the log")

// Intake writes the log, or stands by to.
type Intake struct {
	cfg    Config
	decode func(events.Message) ([]events.Decoded, error)
	engine func(controls.Config) (engine, error)
	recent uint64 // events that are read back however old they are
	stats  counters
	pace   pace
	ready  chan struct{}

	// Owned by Run, and what it lends it to.
	at *state // nil where the log has to be read from its tail
}

// New is an intake that does nothing before Run.
func New(cfg Config) (*Intake, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Intake{cfg: cfg.withDefaults(), decode: events.Decode, engine: newEngine, recent: recentIDs, ready: make(chan struct{})}, nil
}

// Stats is what was done so far.
func (in *Intake) Stats() Stats { return in.stats.snapshot() }

// Ready is closed when the log was read for the first time: from then on this
// intake writes, or can at once.
func (in *Intake) Ready() <-chan struct{} { return in.ready }

// Run stands by and writes, in turn, until ctx ends or the log is corrupt, and
// returns why. It may be called again.
func (in *Intake) Run(ctx context.Context) error {
	defer func() { in.at = nil }()
	for failures := 0; ; failures++ {
		before := in.Stats().Batches
		err := in.turn(ctx)
		switch {
		case ctx.Err() != nil:
			return stopped(ctx)
		case errors.Is(err, ErrCorrupt), errors.Is(err, stream.ErrLogReplaced):
			return err
		case in.Stats().Batches > before:
			failures = 0
		}
		in.cfg.Logger.Warn("not writing", "stream", stream.LogStream, "err", err)
		if sleep.Backoff(ctx, failures) != nil {
			return stopped(ctx)
		}
	}
}

// turn is one time at the log: reading, standing by, and writing for a term.
func (in *Intake) turn(ctx context.Context) error {
	if err := in.read(ctx); err != nil {
		return err
	}
	term, resign, err := in.elected(ctx)
	if err != nil {
		return err
	}
	defer resign()
	hold, release := during(ctx, term, in.cfg.Grace)
	defer release()
	if err := in.catchUp(hold); err != nil {
		return err
	}
	source, err := in.cfg.Open(hold)
	if err != nil {
		return err
	}
	defer source.Close()
	in.stats.writing(source)
	defer in.stats.standingBy()
	return in.write(ctx, hold, source)
}

// read brings what this intake knows to the end of the log, or near it.
func (in *Intake) read(ctx context.Context) error {
	if in.at == nil {
		at, err := in.recover(ctx)
		if err != nil {
			return err
		}
		in.at = at
		in.stats.count(func(s *Stats) { s.Reads++ })
	}
	in.stats.at(in.at)
	select {
	case <-in.ready:
	default:
		close(in.ready)
	}
	in.cfg.Logger.Info("log read", "stream", stream.LogStream, "seq", in.at.seq, "size", in.at.tree.Size(), "epoch", in.at.head.Epoch)
	return nil
}

// catchUp reads what was appended until now.
func (in *Intake) catchUp(ctx context.Context) error {
	last, err := in.cfg.Log.Last(ctx)
	switch {
	case err != nil:
		return err
	case last.Seq < in.at.seq:
		return fmt.Errorf("the log ends at seq=%d, before seq=%d: %w", last.Seq, in.at.seq, ErrCorrupt)
	}
	return in.forget(in.at.readTo(ctx, last.Seq))
}

// forget drops what this intake knows where err says that it is wrong, so that
// it is read again.
func (in *Intake) forget(err error) error {
	if errors.Is(err, errFenced) || errors.Is(err, ErrCorrupt) {
		in.at = nil
	}
	return err
}

// during is a context that lasts as long as term does, and while ctx does and
// a while after.
func during(ctx, term context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	work, release := graceful(ctx, grace)
	hold, end := context.WithCancelCause(work)
	unhook := context.AfterFunc(term, func() { end(context.Cause(term)) })
	return hold, func() { unhook(); end(nil); release() }
}

func stopped(ctx context.Context) error { return fmt.Errorf("intake stopped: %w", context.Cause(ctx)) }

// graceful is a context that ends a while after ctx does.
func graceful(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-work.Done():
		}
	})
	return work, func() { unhook(); cancel() }
}
