package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// An archive is waited for no longer than it has patience for, however far it has to go;
// where it went on meanwhile, and where it stood still or did not answer, the error says so.
func TestArchiveIsWaitedForWithPatience(t *testing.T) {
	t.Parallel()
	const patience = 10 * time.Second
	for name, c := range map[string]struct {
		end, stops uint64 // where it records no more
		hangs      bool   // there, instead of answering
		want       error
		last       uint64
		took       time.Duration
	}{
		"there":                   {end: 0, stops: 100},
		"soon there":              {end: 3, stops: 100, last: 3, took: 9 * time.Second},
		"far behind":              {end: 100, stops: 100, want: errBehind, last: 3, took: patience},
		"stands still in between": {end: 100, stops: 2, want: errBehind, last: 2, took: patience},
		"hangs in between":        {end: 100, stops: 2, hangs: true, want: errBehind, last: 1, took: patience},
		"stands still":            {end: 100, want: errStill, took: patience},
		"does not answer":         {end: 100, hangs: true, want: errStill, took: patience},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				recorded := func(ctx context.Context) (uint64, error) {
					at := min(uint64(time.Since(began)/(3*time.Second)), c.stops)
					if c.hangs && at == c.stops {
						<-ctx.Done()
						return 0, ctx.Err()
					}
					return at, nil
				}
				last, err := await(t.Context(), c.end, recorded, 50*time.Millisecond, patience)
				if took := time.Since(began); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || last != c.last || took != c.took {
					t.Errorf("to %d in %s: %v", last, took, err)
				}
			})
		})
	}
}
