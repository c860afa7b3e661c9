package bench

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/sleep"
)

const (
	// singles and concurrents are how many events a run of those takes at most:
	// a few seconds.
	singles     = 3_000
	concurrents = 20_000
	// publishers publish at once in concurrent.
	publishers = 100
	// lones is how often a lone event is timed at most.
	lones = 40
)

// single is the rate of one publisher that waits for each event to be durable.
func (b *ingest) single(ctx context.Context) error {
	return b.direct(ctx, "ingest/single", min(b.cfg.Events, singles), 1, "JetStream publish of the same bytes, one at a time")
}

// concurrent is the rate of a hundred goroutines that do the same. They share
// one SDK publisher and its connection, as the goroutines of one application
// do; those of the floor share one connection too.
func (b *ingest) concurrent(ctx context.Context) error {
	return b.direct(ctx, "ingest/concurrent", min(b.cfg.Events, concurrents), publishers, "JetStream publish of the same bytes by as many goroutines over one connection, a message an event")
}

func (b *ingest) direct(ctx context.Context, name string, n, width int, floorName string) error {
	var ours, floor []float64
	for range b.cfg.Runs {
		evs := b.next(n).Batch(n)
		bare, err := b.bareDirect(ctx, evs, width)
		if err != nil {
			return fmt.Errorf("bare publish: %w", err)
		}
		rate, err := b.acknowledged(ctx, evs, width)
		if err != nil {
			return err
		}
		ours, floor = append(ours, rate), append(floor, bare)
	}
	b.add(compare(name, "events/s", ours, floorName, floor))
	return nil
}

// acknowledged is the rate at which evs become durable, published one by one by
// as many goroutines as width. What was acknowledged must have a row, after.
func (b *ingest) acknowledged(ctx context.Context, evs []events.Event, width int) (float64, error) {
	pub, err := b.sdk(0)
	if err != nil {
		return 0, err
	}
	from, err := b.mark(ctx)
	if err != nil {
		return 0, err
	}
	rate, err := shared(ctx, len(evs), width, func(ctx context.Context, i int) error { return pub.Publish(ctx, evs[i]) })
	if err != nil {
		return 0, err
	}
	if err := pub.Close(ctx); err != nil {
		return 0, err
	}
	return rate, b.untilRows(ctx, from, uint64(len(evs)))
}

// bareDirect is the rate of the same bytes through JetStream alone.
func (r *rig) bareDirect(ctx context.Context, evs []events.Event, width int) (float64, error) {
	msgs, err := r.captured(ctx, 1, func(pub *stream.Publisher) error {
		for i := range evs {
			if err := pub.Publish(ctx, evs[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	defer r.emptyBare(ctx)
	return r.bareRate(ctx, msgs, width)
}

func (r *rig) bareRate(ctx context.Context, msgs []*nats.Msg, width int) (float64, error) {
	return shared(ctx, len(msgs), width, func(ctx context.Context, i int) error {
		_, err := r.bare.PublishMsg(ctx, msgs[i])
		return err
	})
}

// shared is the rate at which width goroutines do n things.
func shared(ctx context.Context, n, width int, do func(ctx context.Context, i int) error) (float64, error) {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range width {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := do(ctx, i); err != nil {
					return err
				}
			}
		})
	}
	err := g.Wait()
	return float64(n) / time.Since(began).Seconds(), err
}

// lone is the time from the acknowledgement of a lone event until its row can
// be queried.
func (b *ingest) lone(ctx context.Context) error {
	pub, err := b.sdk(0)
	if err != nil {
		return err
	}
	var ours, floor []float64
	gen := b.next(lones)
	for range min(lones, 1+b.cfg.Events/200) {
		ev := gen.Next()
		bare, err := b.bareRow(ctx, ev)
		if err != nil {
			return fmt.Errorf("bare row: %w", err)
		}
		if err := pub.Publish(ctx, ev); err != nil {
			return err
		}
		began := time.Now()
		floor = append(floor, bare)
		if err := b.untilRow(ctx, ev.ID, time.Duration(slices.Min(floor)*float64(time.Millisecond))); err != nil {
			return err
		}
		ours = append(ours, milliseconds(time.Since(began)))
		if err := sleep.For(ctx, settled); err != nil {
			return err
		}
	}
	b.add(compare("ingest/lone", "ms", ours, "insert of the same columns in one row, and its query", floor).withP99(ours))
	return pub.Close(ctx)
}

// settled is a pause long enough for the next event to be alone.
const settled = 250 * time.Millisecond
