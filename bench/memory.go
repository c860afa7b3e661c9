package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/workload"
)

// memory is what the projector holds while it is given all it can take.
func (b *ingest) memory(ctx context.Context) error {
	from, err := b.mark(ctx)
	if err != nil {
		return err
	}
	loading, stop := context.WithTimeout(ctx, b.cfg.Duration)
	defer stop()
	chunks, made := endless(loading, b.generator(time.Now().Add(-12*time.Hour), step))
	var queued atomic.Int64
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- b.publish(ctx, chunks, &queued) }()
	samples, sampleErr := b.sample(loading, began, &queued)
	if err := <-ended; err != nil {
		return err
	}
	if sampleErr != nil {
		return sampleErr
	}
	if err := b.untilRows(ctx, from, uint64(made.Load())); err != nil {
		return err
	}
	rate := float64(made.Load()) / time.Since(began).Seconds()
	return b.addMemory(samples, rate)
}

func (b *ingest) addMemory(samples []sample, rate float64) error {
	_, peak, err := b.projector.rss()
	if err != nil {
		return err
	}
	var rss []float64
	for _, s := range samples {
		rss = append(rss, s.mib)
	}
	b.add(alone("memory/rate", "events/s", rate))
	b.add(alone("memory/rss", "MiB", append(rss, peak)...))
	b.add(alone("memory/rss_peak", "MiB", peak))
	b.add(alone("memory/rss_slope", "MiB/min", slope(samples[len(samples)/2:])))
	b.add(alone("memory/heap_peak", "MiB", b.projector.peakHeap()))
	return nil
}

// endless yields events until ctx ends, and counts those that it has yielded.
func endless(ctx context.Context, gen *workload.Generator) (<-chan []events.Event, *atomic.Int64) {
	chunks, made := make(chan []events.Event, 4), new(atomic.Int64)
	go func() {
		defer close(chunks)
		for {
			select {
			case chunks <- gen.Batch(chunkEvents):
				made.Add(chunkEvents)
			case <-ctx.Done():
				return
			}
		}
	}()
	return chunks, made
}

// sample is memory at a time.
type sample struct{ minutes, mib float64 }

const sampleEvery = 250 * time.Millisecond

// sample looks at the projector's memory until ctx ends.
func (b *ingest) sample(ctx context.Context, began time.Time, queued *atomic.Int64) (out []sample, err error) {
	defer b.narrate(ctx, func(context.Context) (string, error) {
		now, peak, err := b.projector.rss()
		return fmt.Sprintf("%.0f s: %d events published, %.0f MiB, peak %.0f", time.Since(began).Seconds(), queued.Load(), now, peak), err
	})()
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		now, _, err := b.projector.rss()
		if err != nil {
			return nil, err
		}
		out = append(out, sample{time.Since(began).Minutes(), now})
		select {
		case <-ctx.Done():
			return out, nil
		case <-tick.C:
		}
	}
}

// slope is the growth by least squares.
func slope(samples []sample) float64 {
	var n, x, y, xx, xy float64
	for _, s := range samples {
		n, x, y, xx, xy = n+1, x+s.minutes, y+s.mib, xx+s.minutes*s.minutes, xy+s.minutes*s.mib
	}
	if d := n*xx - x*x; d > 0 {
		return (n*xy - x*y) / d
	}
	return 0
}
