package leak

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/sleep"
)

// Source is the CloudEvents source of the findings that this package opens.
const Source = "rescind:leaks"

// Place is a pair of events: one accepted, one revocation. Pages of suspects
// are in this order.
type Place struct{ Accepted, Revoked uint64 }

// Window is what to look for suspects in: the accepted of some indices of a
// shard, behind a place.
type Window struct {
	Shard         uint16
	First, End    uint64
	Behind        Place         // of the page before; zero at the beginning
	Bound         time.Duration // what is no more than that after its revocation is not wanted, unless it was ignored
	Limit         int
	NoneForgotten bool // whether nobody was forgotten by a revocation of them below End
}

// Suspect is an accepted token and a revocation that matches and covers it.
type Suspect struct {
	Accepted Accepted
	Revoked  Revoked
}

// Store is the audit store as a worker needs it: *store.Store.
type Store interface {
	// Recorded is the index up to which a shard is recorded without a hole.
	Recorded(ctx context.Context, shard uint16) (uint64, error)
	// Glance is what there is in indices of a shard, from first and below end.
	Glance(ctx context.Context, shard uint16, first, end uint64) (Glance, error)
	// Suspects is up to Limit pairs of w in their order: all that Judge calls
	// ignored or late, and others. Fewer than Limit mean that there are no more.
	Suspects(ctx context.Context, w Window) ([]Suspect, error)
	// Opened is how many findings were opened about a revocation and a
	// verifier, as far as is recorded.
	Opened(ctx context.Context, tenant string, shard uint16, revocation, verifier string) (uint64, error)
	// IsOpened reports whether the finding of that id was opened, as far as is
	// recorded.
	IsOpened(ctx context.Context, tenant string, shard uint16, finding string) (bool, error)
}

// Marks keep how far a worker has come, by shard, beyond this process.
type Marks interface {
	// Get is the mark that was set last, 0 where none was.
	Get(ctx context.Context, shard uint16) (uint64, error)
	// Set is durable on return.
	Set(ctx context.Context, shard uint16, at uint64) error
}

// Publisher puts events into the intake: *stream.Publisher.
type Publisher interface {
	// Publish returns nil once every event is durable. It may be called again
	// with the same ids.
	Publish(ctx context.Context, evs ...events.Event) error
}

// Config is what a Worker needs.
type Config struct {
	// Store, Marks and Publisher are required.
	Store     Store
	Marks     Marks
	Publisher Publisher

	// Environment of the findings. Required.
	Environment string

	// Shards is how many logs there are. Default 1.
	Shards int

	// Bound is how old a verifier's view may be: what is accepted later than
	// that is late. Default 5 s; above 0.
	Bound time.Duration

	// Every is how often the worker looks whether more is recorded. Default
	// 1 s; above 0.
	Every time.Duration

	// Retry is the first pause after a failure; it doubles up to 60 times that.
	// Default 1 s; above 0.
	Retry time.Duration

	// PerVerifier bounds the findings about one revocation and one verifier.
	// Default 100; above 0.
	PerVerifier int

	// Width is how many indices are looked at in one question. Default 65,536;
	// above 0.
	Width uint64

	// Lock is held while the worker works, and waits for it. Default none: two
	// workers then do the same things twice, to the same end.
	Lock func(ctx context.Context) (release func(), err error)

	// Logger. Default slog.Default.
	Logger *slog.Logger
}

func (c *Config) defaults() {
	c.Shards = max(c.Shards, 1)
	for _, d := range []struct {
		of *time.Duration
		to time.Duration
	}{{&c.Bound, 5 * time.Second}, {&c.Every, time.Second}, {&c.Retry, time.Second}} {
		if *d.of == 0 {
			*d.of = d.to
		}
	}
	if c.PerVerifier == 0 {
		c.PerVerifier = 100
	}
	if c.Width == 0 {
		c.Width = 1 << 16
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Lock == nil {
		c.Lock = func(context.Context) (func(), error) { return func() {}, nil }
	}
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c.defaults()
	var faults []error
	if c.Store == nil || c.Marks == nil || c.Publisher == nil || c.Environment == "" {
		faults = append(faults, errors.New("store, marks, publisher and environment are required"))
	}
	if c.Bound < 0 || c.Every < 0 || c.Retry < 0 || c.PerVerifier < 0 {
		faults = append(faults, errors.New("bound, every, retry and per_verifier: want more than 0"))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("leak: %w", err)
	}
	return nil
}

// Worker opens findings.
type Worker struct {
	cfg Config

	// Of Run, in a term.
	opened map[about]int // findings of a revocation and a verifier
	before []before      // of each shard
}

type about struct {
	revocation events.Ref
	verifier   string
}

// New is a worker that does nothing until Run.
func New(cfg Config) (*Worker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.defaults()
	return &Worker{cfg: cfg, opened: make(map[about]int)}, nil
}

// Run looks until ctx ends, then returns nil. What fails is logged and tried
// again.
func (w *Worker) Run(ctx context.Context) error {
	pause := w.cfg.Retry
	for ctx.Err() == nil {
		err := w.term(ctx)
		if ctx.Err() != nil {
			return nil
		}
		w.cfg.Logger.WarnContext(ctx, "leak audit delayed", slog.Any("err", err))
		if sleep.For(ctx, pause) != nil {
			return nil
		}
		pause = min(2*pause, 60*w.cfg.Retry)
	}
	return nil
}

// restFor is how many times as long as it looked the worker rests: the store is
// there for others.
const restFor = 4

// term looks as the one that holds the lock, until something fails.
func (w *Worker) term(ctx context.Context) error {
	release, err := w.cfg.Lock(ctx)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer release()
	clear(w.opened)
	w.before = make([]before, w.cfg.Shards)
	marks := make([]uint64, w.cfg.Shards)
	for k := range marks {
		if marks[k], err = w.cfg.Marks.Get(ctx, uint16(k)); err != nil {
			return fmt.Errorf("mark shard=%d: %w", k, err)
		}
	}
	for {
		began := time.Now()
		for k := range marks {
			if marks[k], err = w.advance(ctx, uint16(k), marks[k]); err != nil {
				return fmt.Errorf("shard=%d first=%d: %w", k, marks[k], err)
			}
		}
		if sleep.For(ctx, max(w.cfg.Every, restFor*time.Since(began))) != nil {
			return nil
		}
	}
}

// advance looks at what is recorded of a shard from a mark on, and returns how
// far it came.
func (w *Worker) advance(ctx context.Context, shard uint16, mark uint64) (uint64, error) {
	end, err := w.cfg.Store.Recorded(ctx, shard)
	if err != nil {
		return mark, err
	}
	for mark < end {
		next := min(end, mark+w.cfg.Width)
		idle, err := w.glance(ctx, shard, mark, next)
		if err == nil && !idle {
			err = w.look(ctx, shard, mark, next)
		}
		if err != nil {
			return mark, err
		}
		if err := w.cfg.Marks.Set(ctx, shard, next); err != nil {
			return mark, err
		}
		mark = next
	}
	return mark, nil
}

// glance reports whether there is nothing to look for in a window, and keeps
// what it tells of revocations: those of all windows before are read once a
// term.
func (w *Worker) glance(ctx context.Context, shard uint16, first, end uint64) (idle bool, err error) {
	b := &w.before[shard]
	if !b.known {
		g, err := w.cfg.Store.Glance(ctx, shard, 0, first)
		if err != nil {
			return false, err
		}
		b.add(&g)
	}
	g, err := w.cfg.Store.Glance(ctx, shard, first, end)
	if err != nil {
		return false, err
	}
	b.add(&g)
	return g.Idle(b.until), nil
}

// suspectsAtOnce bounds a page of suspects.
const suspectsAtOnce = 500

// look opens what there is to open in a window.
func (w *Worker) look(ctx context.Context, shard uint16, first, end uint64) error {
	window := Window{Shard: shard, First: first, End: end, Bound: w.cfg.Bound, Limit: suspectsAtOnce, NoneForgotten: !w.before[shard].forgetful}
	last := uint64(0) // index of the accepted that a finding was made of, plus one
	for {
		page, err := w.cfg.Store.Suspects(ctx, window)
		if err != nil {
			return err
		}
		var found []events.Event
		for i := range page {
			s := &page[i]
			if s.Accepted.Index+1 == last {
				continue
			}
			ev, leaked, err := w.finding(ctx, s)
			if err != nil {
				return err
			}
			if leaked {
				last = s.Accepted.Index + 1
			}
			if ev != nil {
				found = append(found, *ev)
			}
		}
		if err := w.open(ctx, found); err != nil {
			return err
		}
		if len(page) < window.Limit {
			return nil
		}
		window.Behind = page[len(page)-1].place()
	}
}

func (s *Suspect) place() Place { return Place{s.Accepted.Index, s.Revoked.Index} }

func (w *Worker) open(ctx context.Context, found []events.Event) error {
	if len(found) == 0 {
		return nil
	}
	if err := w.cfg.Publisher.Publish(ctx, found...); err != nil {
		return fmt.Errorf("open findings: %w", err)
	}
	w.cfg.Logger.WarnContext(ctx, "tokens accepted that were revoked", slog.Int("count", len(found)))
	return nil
}
