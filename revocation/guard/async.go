package guard

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

// Publisher is where reports go: *stream.Publisher. Queue may block. Flush waits
// for the outcome of what was queued; its error is a *stream.NotAccepted of what
// was not published since the last.
type Publisher interface {
	Queue(ctx context.Context, ev events.Event) error
	Flush(ctx context.Context) error
}

// Async is a Reporter between requests and a Publisher that may block.
type Async struct {
	to      Publisher
	log     *slog.Logger
	waiting chan events.Event
	dropped atomic.Uint64
	why     atomic.Pointer[error] // of the last that was dropped, but for want of room
}

// NewAsync is an Async in which up to size reports wait. Run passes them on.
func NewAsync(to Publisher, size int, log *slog.Logger) *Async {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Async{to: to, log: log, waiting: make(chan events.Event, max(size, 1))}
}

// Report implements Reporter. Where no place is free the report is dropped and
// counted.
func (a *Async) Report(ev events.Event) {
	select {
	case a.waiting <- ev:
	default:
		a.dropped.Add(1)
	}
}

// Dropped is how many reports were not passed on, or not published. What the
// publisher could not publish is known some seconds after.
func (a *Async) Dropped() uint64 { return a.dropped.Load() }

const (
	drainWait   = 5 * time.Second
	flushAll    = 5 * time.Second
	complainAll = 10 * time.Second
)

// Run passes reports on until ctx is done, then those that wait, for up to 5 s,
// and returns nil.
func (a *Async) Run(ctx context.Context) error {
	living, stop := outlive(ctx, drainWait)
	defer stop()
	a.run(ctx, living)
	return nil
}

// run passes reports on until ctx is done, then those that wait, until living is.
func (a *Async) run(ctx, living context.Context) {
	var flushing sync.WaitGroup
	flushing.Go(func() { a.flush(ctx) })
	complain := time.NewTicker(complainAll)
	defer complain.Stop()
	told := uint64(0)
	for ctx.Err() == nil {
		select {
		case ev := <-a.waiting:
			a.pass(living, ev)
		case <-complain.C:
			told = a.complain(told)
		case <-ctx.Done():
		}
	}
	a.drain(living)
	flushing.Wait()
	a.complain(told)
}

// outlive is ctx that ends a while later: what is in hand when ctx ends is
// passed on like what waits behind it.
func outlive(ctx context.Context, while time.Duration) (context.Context, func()) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(while, cancel) })
	return out, func() {
		stop()
		cancel()
	}
}

func (a *Async) drain(ctx context.Context) {
	for {
		select {
		case ev := <-a.waiting:
			a.pass(ctx, ev)
		default:
			return
		}
	}
}

func (a *Async) pass(ctx context.Context, ev events.Event) {
	if err := a.to.Queue(ctx, ev); err != nil {
		a.drop(1, err)
	}
}

// flush asks now and then what became of what was queued: until it is asked, the
// publisher keeps what has failed.
func (a *Async) flush(ctx context.Context) {
	due := time.NewTicker(flushAll)
	defer due.Stop()
	for {
		select {
		case <-due.C:
			a.settle(a.to.Flush(ctx))
		case <-ctx.Done():
			return
		}
	}
}

// settle counts what a Flush says was not published.
func (a *Async) settle(err error) {
	var failed *stream.NotAccepted
	if errors.As(err, &failed) {
		a.drop(len(failed.Events), failed)
	}
}

func (a *Async) drop(n int, why error) {
	a.dropped.Add(uint64(n))
	a.why.Store(&why)
}

// complain says how many were dropped since as many were told, and why the last.
func (a *Async) complain(told uint64) uint64 {
	n := a.Dropped()
	if n == told {
		return told
	}
	why := errFull
	if last := a.why.Swap(nil); last != nil {
		why = *last
	}
	a.log.Warn("reports of tokens dropped", "count", n-told, "err", why)
	return n
}

var errFull = errors.New("more reports waited than have room")
