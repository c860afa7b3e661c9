package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// An archive that is minutes behind, and records as fast as there is more to record, is
// waited for; one that stands still is given up, wherever it does, and also where it
// does not answer.
func TestArchiveIsWaitedForWhileItGoesOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stops uint64 // where it records no more
		hangs bool   // there, instead of answering
		want  error
		last  uint64
		took  time.Duration
	}{
		"far behind":      {stops: 1000, last: 100, took: 500 * time.Second},
		"stands still":    {stops: 60, want: errStill, last: 60, took: 310 * time.Second},
		"does not answer": {stops: 60, hangs: true, want: errStill, last: 59, took: 305 * time.Second},
		"never recorded":  {want: errStill, took: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				recorded := func(ctx context.Context) (uint64, error) {
					at := min(uint64(time.Since(began)/(5*time.Second)), c.stops)
					if c.hangs && at == c.stops {
						<-ctx.Done()
						return 0, ctx.Err()
					}
					return at, nil
				}
				last, err := await(t.Context(), 100, recorded, 50*time.Millisecond, 10*time.Second)
				if took := time.Since(began); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || last != c.last || took != c.took {
					t.Errorf("to %d in %s: %v", last, took, err)
				}
			})
		})
	}
}
