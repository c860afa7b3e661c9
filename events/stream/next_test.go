package stream_test

import (
	"testing"
)

// TestQuarantineListsPages lists more entries than one request is answered
// with, whole and in order, from any place on.
func TestQuarantineListsPages(t *testing.T) {
	t.Parallel()
	const entries = 1203
	w := start(t)
	q := w.quarantine(t)
	for n := range entries {
		if err := q.Put(t.Context(), refused(n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		after       uint64
		limit, want int
	}{{0, 5000, entries}, {0, 1000, 1000}, {1, 501, 501}, {entries - 3, 1000, 3}, {entries, 10, 0}} {
		got, err := q.List(t.Context(), c.after, c.limit)
		if err != nil || len(got) != c.want {
			t.Fatalf("after %d, at most %d: %d entries, %v, want %d", c.after, c.limit, len(got), err, c.want)
		}
		for i, v := range got {
			if v.Seq != c.after+1+uint64(i) {
				t.Fatalf("after %d: entry %d has seq %d", c.after, i, v.Seq)
			}
		}
	}
}
