package main

import (
	"context"
	"fmt"
)

// mistakes are what may go wrong with a list of n revocations.
var mistakes = []struct {
	figure string
	count  func(ctx context.Context, d denylist, of *tokens, n int) (int, error)
}{
	{"revoked, added by four at once, and let through ever after", lost},
	{"revoked, and let through while four check at once", overlooked},
	{"not revoked, and refused", refusedAmong(1)},
	{"not revoked, and refused, with twice as many revoked as planned for", refusedAmong(2)},
}

// compareErrors counts the mistakes of every peer, each in a list of its own.
// One that is exact must make none.
func compareErrors(ctx context.Context, cfg revocationConfig, of *tokens, peers []peer) ([]line, error) {
	var out []line
	for _, m := range mistakes {
		cfg.progress("%s", m.figure)
		l := newLine(m.figure, fmt.Sprintf("of %d", cfg.crowd))
		for _, p := range peers {
			d, err := p.open(ctx, cfg.crowd)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			n, err := m.count(ctx, d, of, cfg.crowd)
			d.close()
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", p.name, m.figure, err)
			}
			if n > 0 && p.name != nameBloom {
				return nil, fmt.Errorf("%s: %s: %d of %d: it ought to be exact", p.name, m.figure, n, cfg.crowd)
			}
			l.Sides[p.name] = one(float64(n), cfg.crowd)
		}
		out = append(out, l)
	}
	return out, nil
}

// lost counts revocations that are not there after several goroutines added
// them; one goroutine checks.
func lost(ctx context.Context, d denylist, of *tokens, n int) (int, error) {
	if err := fill(ctx, d, n, atOnce); err != nil {
		return 0, err
	}
	return wrong(ctx, d, of.probes(0, n, n), true, 1)
}

// overlooked counts checks that several goroutines make at once of revocations
// that one goroutine added: each of them a quarter of these.
func overlooked(ctx context.Context, d denylist, of *tokens, n int) (int, error) {
	if err := fill(ctx, d, n, 1); err != nil {
		return 0, err
	}
	return wrong(ctx, d, of.probes(0, n, n/atOnce+1), true, atOnce)
}

// refusedAmong counts tokens that are refused and were not revoked, after one
// goroutine added so many times as planned for.
func refusedAmong(times int) func(context.Context, denylist, *tokens, int) (int, error) {
	return func(ctx context.Context, d denylist, of *tokens, n int) (int, error) {
		if err := fill(ctx, d, times*n, 1); err != nil {
			return 0, err
		}
		return wrong(ctx, d, of.probes(times*n, (times+1)*n, n), false, 1)
	}
}
