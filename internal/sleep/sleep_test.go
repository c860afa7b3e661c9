package sleep

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestForLastsSoLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := For(t.Context(), time.Hour); err != nil || time.Since(began) != time.Hour {
			t.Errorf("%s: %v", time.Since(began), err)
		}
	})
}

func TestTheContextWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for _, wait := range []func() error{func() error { return For(ctx, time.Hour) }, func() error { return Backoff(ctx, 9) }} {
			if err := wait(); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Millisecond {
				t.Errorf("%s: %v", time.Since(began), err)
			}
		}
	})
}

func TestBackoffDoublesUpToASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for failures, most := range map[int]time.Duration{0: 10 * time.Millisecond, 3: 80 * time.Millisecond, 7: time.Second, 1000: time.Second} {
			began := time.Now()
			err := Backoff(t.Context(), failures)
			if took := time.Since(began); err != nil || took < most/2 || took > most {
				t.Errorf("after %d failures %s: %v", failures, took, err)
			}
		}
	})
}
