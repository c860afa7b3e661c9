package main

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// denylist is what is compared: it tells tokens that were revoked from others.
// revoke, check and decide may be called from many goroutines at once, says
// each of those that are here.
type denylist interface {
	// revoke returns once tokens from first to before last are refused.
	revoke(ctx context.Context, first, last int) error
	// check reports whether a token was revoked by its own identifier.
	check(ctx context.Context, p *probe) (bool, error)
	// decide reports whether a token was revoked under any of eight scopes.
	decide(ctx context.Context, p *probe) (bool, error)
	// memory is what the process that keeps it has in use.
	memory(ctx context.Context) (bytes float64, err error)
	close()
}

// peer makes denylists of one kind.
type peer struct {
	name  string
	calls int // checks in a run, so few that most runs are not interrupted
	open  func(ctx context.Context, n int) (denylist, error)
}

// heap is what this process has allocated and still needs.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

const (
	// chunk is how many revocations are handed over at once.
	chunk = 1000
	// atOnce is how many goroutines add or check where several do.
	atOnce = 4
)

// fill revokes the first n tokens, one chunk after the other by each writer.
func fill(ctx context.Context, d denylist, n, writers int) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range writers {
		g.Go(func() error {
			for {
				first := int(next.Add(chunk)) - chunk
				if first >= n {
					return nil
				}
				if err := d.revoke(ctx, first, min(first+chunk, n)); err != nil {
					return fmt.Errorf("revoke from %d: %w", first, err)
				}
			}
		})
	}
	return g.Wait()
}

// wrong counts the probes whose check does not say want. So many readers check
// all of them, each from another place on.
func wrong(ctx context.Context, d denylist, probes []probe, want bool, readers int) (int, error) {
	var count atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for r := range readers {
		g.Go(func() error {
			for i := range probes {
				got, err := d.check(ctx, &probes[(i+r*len(probes)/readers)%len(probes)])
				if err != nil {
					return err
				}
				if got != want {
					count.Add(1)
				}
			}
			return nil
		})
	}
	err := g.Wait()
	return int(count.Load()), err
}
