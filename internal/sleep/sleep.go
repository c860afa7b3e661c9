package sleep

import (
	"context"
	"math/rand/v2"
	"time"
)

// For waits for d.
func For(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Backoff waits before another attempt: 10 ms, twice as long after each further
// failure up to a second, and half of it by chance.
func Backoff(ctx context.Context, failures int) error {
	d := min(10*time.Millisecond<<min(failures, 10), time.Second)
	return For(ctx, d/2+rand.N(d/2))
}
