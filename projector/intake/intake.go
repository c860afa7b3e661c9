package intake

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

var (
	// ErrFenced says that another writer has appended to the log: this one has
	// to stop.
	ErrFenced = errors.New("another writer took over the log")

	// ErrCorrupt says that the log contradicts itself, or cannot be read:
	// nothing may be appended before somebody has looked.
	ErrCorrupt = errors.New("the log contradicts itself")
)

// Intake writes the log.
type Intake struct {
	cfg    Config
	decode func(events.Message) ([]events.Decoded, error)
	stats  counters
	ready  chan struct{}

	// Owned by Run.
	hand []stream.IntakeMessage // taken from the source and not dealt with
}

// New is an intake that does nothing before Run.
func New(cfg Config) (*Intake, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Intake{cfg: cfg.withDefaults(), decode: events.Decode, ready: make(chan struct{})}, nil
}

// Stats is what was done so far.
func (in *Intake) Stats() Stats { return in.stats.snapshot() }

// Ready is closed when the log was read for the first time and events can be
// taken.
func (in *Intake) Ready() <-chan struct{} { return in.ready }

// maxFetch is how many messages are taken at once: what may fill one batch.
const maxFetch = events.MaxBatchRecords

// newcomer is how often a writer that has written nothing reads the log again
// because something was appended meanwhile: what a writer before it had sent
// may arrive late.
const newcomer = 5

// Run takes, decides and appends until ctx ends or it may not go on, and
// returns why. It may be called again.
func (in *Intake) Run(ctx context.Context) error {
	defer func() { in.hand = nil }() // what was not acknowledged comes again
	work, release := graceful(ctx, in.cfg.Grace)
	defer release()
	for attempt := 1; ; attempt++ {
		w, err := in.open(ctx)
		if err != nil {
			return err
		}
		err = w.run(ctx, work)
		if errors.Is(err, ErrFenced) && w.written == 0 && attempt < newcomer {
			in.cfg.Logger.Warn("fenced before the first append, reading the log again", "seq", w.seq, "err", err)
			continue
		}
		return err
	}
}

// open is a writer at the end of the log.
func (in *Intake) open(ctx context.Context) (*writer, error) {
	for failures := 0; ; failures++ {
		w, err := in.recover(ctx)
		switch {
		case err == nil:
			in.opened(w)
			return w, nil
		case ctx.Err() != nil:
			return nil, stopped(ctx)
		case errors.Is(err, ErrCorrupt), errors.Is(err, stream.ErrLogReplaced):
			return nil, err
		}
		in.cfg.Logger.Warn("cannot read the log", "stream", stream.LogStream, "err", err)
		if pause(ctx, failures) != nil {
			return nil, stopped(ctx)
		}
	}
}

func (in *Intake) opened(w *writer) {
	in.stats.count(func(s *Stats) { s.Epoch, s.Seq, s.Size = w.epoch, w.seq, w.tree.Size() })
	in.cfg.Logger.Info("log read", "stream", stream.LogStream, "seq", w.seq, "size", w.tree.Size(), "epoch", w.epoch)
	select {
	case <-in.ready:
	default:
		close(in.ready)
	}
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

// pause waits before another attempt: 10 ms, twice as long after each further
// failure, up to a second, half of it by chance.
func pause(ctx context.Context, failures int) error {
	d := min(10*time.Millisecond<<min(failures, 10), time.Second)
	t := time.NewTimer(d/2 + rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
