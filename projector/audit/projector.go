package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/sleep"
)

// Projector writes one shard's log into ClickHouse.
type Projector struct {
	cfg  Config
	log  *slog.Logger
	open open

	// Of Run's goroutine.
	failures int      // in a row
	mine     []string // names under which it may have the fence; none if it may take it from whoever has it

	mu     sync.Mutex
	status Status
	ahead  *ahead // of the session that is going on, or nil
}

// New checks cfg and makes a projector. It starts nothing.
func New(cfg Config) (*Projector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	cfg = cfg.withDefaults()
	return &Projector{cfg: cfg, log: cfg.Log.With("shard", cfg.Shard)}, nil
}

// Run projects until ctx ends, and then returns nil, or until something is
// wrong that trying again does not mend (ErrLog, ErrTables).
func (p *Projector) Run(ctx context.Context) error {
	defer p.update(func(s *Status) { s.Stopped = true })
	defer p.watchEnds(ctx)()
	for {
		err := p.session(ctx)
		p.update(func(s *Status) { s.Current = false })
		switch {
		case isFatal(err):
			return fmt.Errorf("audit shard=%d: %w", p.cfg.Shard, err)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errFenced):
			p.standby(ctx)
			p.mine = nil
		default:
			p.failed(err)
			_ = sleep.For(ctx, p.backoff())
		}
	}
}

func isFatal(err error) bool {
	return errors.Is(err, ErrLog) || errors.Is(err, ErrTables) || errors.Is(err, stream.ErrLogReplaced)
}

// session recovers and then projects until something fails.
func (p *Projector) session(ctx context.Context) error {
	f, there, err := p.recover(ctx)
	if err != nil {
		return err
	}
	log, err := p.cfg.Read(ctx, there.Seq+1)
	if err != nil {
		return fmt.Errorf("read log seq=%d: %w", there.Seq+1, err)
	}
	defer log.Close()
	a := newAhead(&p.cfg, log, there.Position)
	defer p.readAhead(ctx, a)()
	ctx, stop := p.searching(ctx, f)
	defer stop()
	if err := p.project(ctx, f, there, a); ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

// readAhead runs a until the returned function is called.
func (p *Projector) readAhead(ctx context.Context, a *ahead) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { a.run(ctx) })
	p.setAhead(a)
	return func() {
		cancel()
		running.Wait()
		p.setAhead(nil)
	}
}

// recover takes the fence and reads what is there.
func (p *Projector) recover(ctx context.Context) (*fence, *state, error) {
	f, err := newFence(ctx, &p.cfg, &p.open)
	if err != nil {
		return nil, nil, err
	}
	if err := p.unlessTaken(ctx, f); err != nil {
		return nil, nil, err
	}
	if err := f.acquire(ctx); err != nil {
		return nil, nil, err
	}
	p.mine = []string{f.holder}
	there, err := readState(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	p.update(func(s *Status) {
		s.Position, s.Current, s.Standby = there.Position, true, false
		s.Recoveries++
	})
	p.log.Info("recovered", "seq", there.Seq, "next", there.Next, "uncertain", !there.certain())
	return f, there, nil
}

// project stores what a has, a chunk at a time.
func (p *Projector) project(ctx context.Context, f *fence, there *state, a *ahead) error {
	certain := false // what recovery found is compared at least once
	var c *chunk
	for {
		var err error
		if c, err = a.take(ctx, c); err != nil {
			return err
		}
		started := time.Now()
		p.update(func(s *Status) { s.inserting = c.written() })
		if err := store(ctx, f, c, there, certain); err != nil {
			return err
		}
		there.advance(c.end())
		certain = there.certain()
		p.stored(c, time.Since(started))
		a.gather(ctx, started.Add(p.interval(c)))
	}
}

// manyRows is how many rows in one insert are a stream of events, and no
// trickle.
const manyRows = 1000

// interval is the least time from the start of the insert of c to the next.
func (p *Projector) interval(c *chunk) time.Duration {
	if len(c.rows) < manyRows {
		return p.cfg.MinInterval
	}
	return 2 * p.cfg.MinInterval
}

func (p *Projector) stored(c *chunk, elapsed time.Duration) {
	p.failures = 0
	p.update(func(s *Status) {
		s.Position, s.Failures, s.Err = c.end(), 0, nil
		s.inserting = time.Time{}
		s.Inserts, s.Rows, s.LastRows = s.Inserts+1, s.Rows+uint64(len(c.rows)), uint64(len(c.rows))
	})
	s := p.Status()
	p.log.Info("batch recorded", "seq", c.end().Seq, "first", c.first(), "last", c.last(), "count", len(c.rows),
		"elapsed", elapsed, "lag", time.Since(c.written()), "behind", s.Behind().Records)
}

func (p *Projector) failed(err error) {
	p.failures++
	p.update(func(s *Status) { s.Failures, s.Err = p.failures, err })
	p.log.Warn("audit interrupted, recovering", "attempt", p.failures, "err", err)
}

func (p *Projector) backoff() time.Duration {
	d := p.cfg.BackoffMin << min(p.failures-1, 20)
	if d <= 0 || d > p.cfg.BackoffMax {
		return p.cfg.BackoffMax
	}
	return d
}

// standbyLook is how often one that stands by looks whether it is wanted.
const standbyLook = time.Second

// standby returns once the fence was given up, or the projector that has it does
// nothing any more: its position has stood still for a while, it has not kept the
// fence, and none of its queries is running. Where there is nothing to project
// the two may change places; that costs a row in fences and nothing else. Who
// cannot look has seen nothing stand still, and waits as if it had moved.
func (p *Projector) standby(ctx context.Context) {
	p.update(func(s *Status) { s.Standby = true })
	p.log.Info("another projector has taken over, standing by")
	last, since := sight{at: p.Position()}, time.Now()
	for ctx.Err() == nil {
		now, idle, err := p.observe(ctx)
		switch {
		case errors.Is(err, errVacant), isFatal(err), ctx.Err() != nil:
			return
		case err != nil:
			since = time.Now()
			p.log.Warn("cannot see the projector that has taken over", "err", err)
		case idle && now == last && time.Since(since) >= p.cfg.Standby:
			return
		case now != last:
			last, since = now, time.Now()
		}
		p.update(func(s *Status) {
			s.Err = err
			if err == nil {
				s.Position = now.at
			}
		})
		_ = sleep.For(ctx, min(p.cfg.Standby, standbyLook))
	}
}

// sight is what is seen of the projector that has the fence. Whenever it is
// another, that one is there.
type sight struct {
	at    Position
	epoch uint64 // of the fence
}

// observe says what the projector that has the fence does, and whether it is
// idle; errVacant where nobody has it.
func (p *Projector) observe(ctx context.Context) (now sight, idle bool, err error) {
	f, err := newFence(ctx, &p.cfg, &p.open)
	if err != nil {
		return now, false, err
	}
	holder, epoch, err := f.last(ctx)
	switch {
	case err != nil:
		return now, false, err
	case holder == nobody:
		return now, false, errVacant
	}
	running, err := f.others(ctx)
	if err != nil {
		return now, false, err
	}
	at, err := position(ctx, f)
	return sight{at: at, epoch: epoch}, running == 0, err
}
