package main

import (
	"context"

	"github.com/krakendio/bloomfilter/v2"
	"github.com/krakendio/bloomfilter/v2/rotate"
)

// planned is how often a filter may refuse what was not revoked, as the server
// that comes with it has it.
const planned = 1e-7

// bloom is KrakenD's filter: three of them that rotate, so that what was added
// is forgotten some day.
type bloom struct {
	filter *rotate.Bloomfilter
}

// openBloom is a filter for n revocations.
func openBloom(ctx context.Context, n int) *bloom {
	return &bloom{rotate.New(ctx, rotate.Config{
		Config: bloomfilter.Config{N: uint(n), P: planned, HashName: bloomfilter.HASHER_OPTIMAL},
		TTL:    86400, // s: never within a run
	})}
}

func (b *bloom) revoke(_ context.Context, first, last int) error {
	for i := first; i < last; i++ {
		b.filter.Add([]byte(nameOf(i)))
	}
	return nil
}

func (b *bloom) check(_ context.Context, p *probe) (bool, error) {
	return b.filter.Check([]byte(p.name)), nil
}

func (b *bloom) decide(_ context.Context, p *probe) (bool, error) {
	name := make([]byte, 0, 128)
	for _, half := range names(&p.claims) {
		name = append(append(name[:0], half[0]...), half[1]...)
		if b.filter.Check(name) {
			return true, nil
		}
	}
	return false, nil
}

func (b *bloom) memory(context.Context) (float64, error) { return heap(), nil }

func (b *bloom) close() { b.filter.Close() }
