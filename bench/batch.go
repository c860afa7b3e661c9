package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/workload"
)

// sdkBatch is how many events the SDK puts into a message.
const sdkBatch = 500

// ahead is how many events are made before the clock starts: all of them, as a
// rule. More would fill the memory, so they are made while it runs.
const ahead = 250_000

// chunkEvents is how many are made at once then.
const chunkEvents = 5_000

// floorEvents bounds what the bare pipe is measured with: it keeps no state, so
// more of the same would be as fast.
const floorEvents = 100_000

// batch is the rate of the SDK from the first publish until every row can be
// queried.
func (b *ingest) batch(ctx context.Context) error {
	var ours, floor, store, bareStore []float64
	for run := range b.cfg.Runs {
		var rate, bare, wire float64
		spent, err := b.spending(ctx, func() (err error) {
			rate, err = b.pipeline(ctx, b.next(b.cfg.Events), b.cfg.Events)
			return err
		})
		if err != nil {
			return err
		}
		n := min(b.cfg.Events, floorEvents)
		bareSpent, err := b.spending(ctx, func() (err error) {
			bare, wire, err = b.barePipe(ctx, b.next(n).Batch(n))
			return err
		})
		if err != nil {
			return fmt.Errorf("bare pipe: %w", err)
		}
		b.cfg.Progress(fmt.Sprintf("batch run %d: %.0f events/s, bare pipe %.0f, %.0f bytes an event on the wire", run+1, rate, bare, wire))
		ours, floor = append(ours, rate), append(floor, bare)
		store, bareStore = append(store, each(spent, b.cfg.Events)), append(bareStore, each(bareSpent, n))
	}
	b.max = median(ours)
	b.add(compare("ingest/batch", "events/s", ours, "the SDK's messages published and consumed, the same columns inserted, at once", floor))
	b.add(compare("ingest/batch/clickhouse", "µs/event", store, "ClickHouse's processor time in the same bare pipe", bareStore))
	return nil
}

// source yields n events in chunks, which can be forgotten one by one: from
// memory, or made as it goes.
func source(ctx context.Context, gen *workload.Generator, n int) <-chan []events.Event {
	if n > ahead {
		chunks := make(chan []events.Event, 4)
		go generate(ctx, gen, n, chunks)
		return chunks
	}
	chunks := make(chan []events.Event, ahead/chunkEvents)
	generate(ctx, gen, n, chunks)
	return chunks
}

func generate(ctx context.Context, gen *workload.Generator, n int, to chan<- []events.Event) {
	defer close(to)
	for made := 0; made < n; made += chunkEvents {
		select {
		case to <- gen.Batch(min(chunkEvents, n-made)):
		case <-ctx.Done():
			return
		}
	}
}

// pipeline is the rate of n events through the whole of Rescind.
func (b *ingest) pipeline(ctx context.Context, gen *workload.Generator, n int) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from, err := b.mark(ctx)
	if err != nil {
		return 0, err
	}
	chunks := source(ctx, gen, n)
	var queued atomic.Int64
	defer b.narrate(ctx, func(ctx context.Context) (string, error) {
		at, err := b.recorded(ctx)
		return fmt.Sprintf("%d of %d events published, %d records in ClickHouse", queued.Load(), n, at-from.position), err
	})()
	began, spent := time.Now(), processorTime()
	if err := b.publish(ctx, chunks, &queued); err != nil {
		return 0, err
	}
	if err := b.untilRows(ctx, from, uint64(n)); err != nil {
		return 0, err
	}
	elapsed, spent := time.Since(began), processorTime()-spent
	b.cfg.Progress(fmt.Sprintf("%d events in %s, %.1f µs of this process's processor time an event", n, elapsed.Round(time.Millisecond), float64(spent.Microseconds())/float64(n)))
	return float64(n) / elapsed.Seconds(), nil
}

// publish sends what comes in batches of the SDK, until all of it is durable.
func (b *ingest) publish(ctx context.Context, chunks <-chan []events.Event, queued *atomic.Int64) error {
	pub, err := b.sdk(sdkBatch)
	if err != nil {
		return err
	}
	for chunk := range chunks {
		for i := range chunk {
			if err := pub.Queue(ctx, chunk[i]); err != nil {
				return err
			}
		}
		queued.Add(int64(len(chunk)))
	}
	return pub.Close(ctx)
}

// sdk is a publisher as issuers and verifiers have it.
func (r *rig) sdk(batch int) (*stream.Publisher, error) {
	return stream.NewPublisher(stream.PublisherConfig{Environment: dev.Environment, Conn: r.publisher, BatchEvents: batch})
}

// narrateEvery is how often a long run says where it is.
const narrateEvery = 10 * time.Second

// narrate tells people what line returns now and then, until stop.
func (b *ingest) narrate(ctx context.Context, line func(context.Context) (string, error)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(narrateEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if s, err := line(ctx); err == nil { // only for people: the run has errors of its own
					b.cfg.Progress(s)
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}
