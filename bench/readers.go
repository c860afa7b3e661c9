package bench

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation"
)

var errWrong = errors.New("the set answers wrongly")

const (
	readersRuns     = 5
	appliedRate     = 50_000 // a second
	appliedTogether = 5 * time.Millisecond
)

// readers is the 99.9th percentile of single decisions while revocations are
// applied, and while none are.
func (b *revoke) readers(ctx context.Context) error {
	n, of := b.cfg.Entries, workload.NewRevocations(time.Now())
	set := of.Set(n)
	claims := make([]revocation.Claims, setProbes)
	for i := range claims {
		claims[i] = of.Claims(i * 7919 % n)
	}
	look := func() float64 { return slowest(set, claims, of.Now, b.cfg.Reading) }
	var quiet, busy, rates []float64
	for range readersRuns {
		quiet = append(quiet, look())
		stop, done := make(chan struct{}), make(chan int)
		entries := of.Entries(n, n+int(2*appliedRate*b.cfg.Reading.Seconds()))
		n += len(entries)
		began := time.Now()
		go func() { done <- apply(set, entries, stop) }()
		busy = append(busy, look())
		close(stop)
		rates = append(rates, float64(<-done)/time.Since(began).Seconds())
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	b.add(compare("set/readers_p99.9", "ns", busy, "the same while nothing is applied", quiet))
	b.add(alone("set/readers_applied", "entries/s", rates...))
	return nil
}

// slowest is the 99.9th percentile of decisions in ns, the clock included.
func slowest(set *revocation.Set, claims []revocation.Claims, now time.Time, reading time.Duration) float64 {
	took := make([]float64, 0, 1<<21)
	for began, i := time.Now(), 0; time.Since(began) < reading && len(took) < cap(took); i++ {
		at := time.Now()
		set.Decide(&claims[i%len(claims)], now)
		took = append(took, float64(time.Since(at)))
	}
	slices.Sort(took)
	return took[len(took)*999/1000]
}

// apply applies what is due, as deltas have it, and returns how much it was.
func apply(set *revocation.Set, entries []revocation.Entry, stop <-chan struct{}) (applied int) {
	tick := time.NewTicker(appliedTogether)
	defer tick.Stop()
	for began := time.Now(); ; {
		select {
		case <-stop:
			return applied
		case <-tick.C:
		}
		due := min(int(time.Since(began).Seconds()*appliedRate), len(entries))
		set.Apply(entries[applied:due]...)
		applied = due
	}
}
