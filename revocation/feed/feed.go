package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/sleep"
	"github.com/rescindhq/rescind/revocation"
)

// Feed keeps a revocation set current.
type Feed struct {
	cfg   Config
	store store
	view  atomic.Pointer[view]
	ready chan struct{}
	once  sync.Once     // closes ready
	moved chan struct{} // holds one: there is something to report

	listeners listeners

	announced chan *nats.Msg // announcements that wait

	// Of the goroutine of Run.
	keys  []events.FeedKey
	asked []revocation.KeyID // what was missing after the last answer
	askAt time.Time          // not to ask for keys before

	beside sync.WaitGroup // saving a snapshot, reporting
	saving atomic.Bool
}

// New is a Feed. Run says what is wrong with cfg.
func New(cfg Config) *Feed {
	cfg = cfg.withDefaults()
	return &Feed{cfg: cfg, store: store{conn: cfg.Conn}, ready: make(chan struct{}), moved: make(chan struct{}, 1), announced: make(chan *nats.Msg, announcedBuffer)}
}

// liveBuffer is how many live deltas may wait while the feed catches up. What
// does not fit is a gap, and mended as one.
const liveBuffer = 4096

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
	sweepEvery = 10 * time.Second
)

// Run keeps the set current until ctx is done, and then returns nil.
func (f *Feed) Run(ctx context.Context) error {
	if err := f.cfg.Validate(); err != nil {
		return fmt.Errorf("revocation feed: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer f.beside.Wait()
	defer cancel()
	f.restore()
	f.report(ctx)
	live := make(chan *nats.Msg, liveBuffer)
	for subject, messages := range map[string]chan *nats.Msg{stream.LiveRevocations: live, stream.LiveAnnouncements: f.announced} {
		sub, err := f.cfg.Conn.ChanSubscribe(subject, messages)
		if err != nil {
			return fmt.Errorf("revocation feed: subscribe: %w", err)
		}
		defer f.unsubscribe(sub)
	}
	return f.loop(ctx, live)
}

func (f *Feed) unsubscribe(sub *nats.Subscription) {
	if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		f.cfg.Log.Warn("subscription to revocations not ended", "err", err)
	}
}

// loop catches up with what is stored and follows what is live, again and
// again: starting and mending are the same.
func (f *Feed) loop(ctx context.Context, live <-chan *nats.Msg) error {
	for wait := minBackoff; ; {
		err := f.catchUp(ctx)
		for err == nil {
			wait = minBackoff
			f.follow(ctx, live)
			err = f.catchUp(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case f.cfg.Conn.IsClosed():
			return fmt.Errorf("revocation feed: %w", nats.ErrConnectionClosed)
		}
		f.delayed(ctx, err, wait)
		_ = sleep.For(ctx, wait/2+rand.N(wait))
		wait = min(2*wait, maxBackoff)
	}
}

// delayed tells of a failure. That there is nothing yet is none for the moment in
// which a deployment begins.
func (f *Feed) delayed(ctx context.Context, err error, wait time.Duration) {
	level := slog.LevelWarn
	if errors.Is(err, errEmpty) && f.view.Load() == nil && wait < maxBackoff {
		level = slog.LevelInfo
	}
	f.cfg.Log.Log(ctx, level, "revocation feed cannot catch up", "err", err, "elapsed", wait)
}

// errGap means that a delta does not follow the one applied last.
var errGap = errors.New("gap")

// follow applies live deltas until one does not fit or none comes: what is
// stored says why.
func (f *Feed) follow(ctx context.Context, live <-chan *nats.Msg) {
	quiet := time.NewTimer(f.cfg.QuietAfter)
	defer quiet.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	refresh := time.NewTicker(f.cfg.SaveEvery)
	defer refresh.Stop()
	for {
		select {
		case m := <-live:
			moved, fits := f.receive(ctx, m.Data)
			if !fits {
				return
			}
			if moved {
				quiet.Reset(f.cfg.QuietAfter)
			}
		case m := <-f.announced:
			f.hear(m.Data)
		case <-quiet.C:
			return
		case <-sweep.C:
			f.sweep()
		case <-refresh.C:
			f.refresh(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// receive applies one live delta. Where it does not fit, the view vouches for
// nothing until what is stored was looked at.
func (f *Feed) receive(ctx context.Context, data []byte) (moved, fits bool) {
	v := f.view.Load()
	next, err := f.step(ctx, v, data)
	if err != nil {
		f.cfg.Log.Warn("live revocations do not fit", "seq", v.head.Seq, "err", err)
		f.show(v.doubted(revocation.CauseGap))
		return false, false
	}
	f.show(next)
	return next != v, true
}

// refresh forgets keys that are gone and saves what is newer. What fails is
// tried again the next time.
func (f *Feed) refresh(ctx context.Context) {
	if err := f.fetchKeys(ctx, f.view.Load().set); err != nil {
		f.cfg.Log.Warn("feed keys not refreshed", "err", err)
	}
	f.saveBeside(ctx)
}

// step is v with one more delta.
func (f *Feed) step(ctx context.Context, v *view, data []byte) (*view, error) {
	d, err := revocation.OpenDelta(f.cfg.PublicKey, data)
	switch {
	case err != nil:
		return nil, err
	case !d.SameHistory(&v.head):
		return nil, fmt.Errorf("%w: seq=%d is of another history", errGap, d.Seq)
	case d.Seq <= v.head.Seq:
		return v, nil // known
	case d.Prev != v.head.Seq || d.PrevSum != v.sum:
		return nil, fmt.Errorf("%w: seq=%d does not follow %d but %d", errGap, d.Seq, v.head.Seq, d.Prev)
	}
	f.cfg.OnDelta(d, data)
	now := f.cfg.Now()
	f.apply(v, d.Entries, &d.Head)
	next := v.heardAt(d.Head, revocation.Sum(data), now, f.cfg.ClockSkew)
	f.settle(ctx, &next)
	f.cfg.OnApply(Applied{Head: d.Head, Position: next.position, Entries: len(d.Entries), Delay: now.Sub(d.Signed())})
	return &next, nil
}

// apply has decisions see those of entries that live by head, and tells.
func (f *Feed) apply(v *view, entries []revocation.Entry, head *revocation.Head) {
	if entries = living(entries, f.over(head)); len(entries) > 0 {
		v.set.Apply(entries...)
		f.listeners.tell(entries)
	}
}

// settle moves the position of v to its head, once the keys are there.
func (f *Feed) settle(ctx context.Context, v *view) {
	if f.complete(ctx, v.set) {
		v.position, v.others = v.head.Position, v.head.Others
	}
}

// sweep drops what has expired.
func (f *Feed) sweep() {
	v := f.view.Load()
	v.set.Sweep(f.over(&v.head))
}

// over is the time by which what has expired may be dropped: ours, but not
// beyond that at which h was signed. A clock of ours that was ahead for a while
// must not have dropped what is still to be refused when it is right again.
func (f *Feed) over(h *revocation.Head) time.Time {
	now, signed := f.cfg.Now(), h.Signed()
	if signed.Before(now) {
		return signed
	}
	return now
}

func living(entries []revocation.Entry, now time.Time) []revocation.Entry {
	out := entries[:0]
	for _, e := range entries {
		if !e.Expired(now) {
			out = append(out, e)
		}
	}
	return out
}
