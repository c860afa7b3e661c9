package query

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// thing is what a list of several shards holds.
type thing struct {
	Shard uint16
	Index uint64
	At    int64
}

// Page by page, each thing of every shard is answered once and in the order of
// its shard, whatever the clocks say; and by time, where the clocks agree with
// the order.
func TestPagesOfSeveralShards(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := &Server{cfg: Config{Shards: rapid.IntRange(1, 4).Draw(t, "shards")}}
		steady := rapid.Bool().Draw(t, "steady clocks")
		all := make([][]thing, s.cfg.Shards) // the newest first
		for k := range all {
			at := int64(0)
			for i := range rapid.IntRange(0, 12).Draw(t, "things") {
				if at += rapid.Int64Range(0, 5).Draw(t, "later"); !steady {
					at = rapid.Int64Range(0, 20).Draw(t, "at")
				}
				all[k] = append(all[k], thing{uint16(k), uint64(2 * i), at})
			}
			slices.Reverse(all[k])
		}
		got := pageThrough(t, s, all)
		perShard := make([][]thing, s.cfg.Shards)
		for _, x := range got {
			perShard[x.Shard] = append(perShard[x.Shard], x)
		}
		if d := gocmp.Diff(all, perShard); d != "" {
			t.Fatal(d)
		}
		if steady && !slices.IsSortedFunc(got, func(a, b thing) int { return cmp.Compare(b.At, a.At) }) {
			t.Fatalf("not by time: %v", got)
		}
	})
}

func pageThrough(t *rapid.T, s *Server, all [][]thing) (got []thing) {
	limit := rapid.IntRange(1, 5).Draw(t, "limit")
	for cursor := ""; ; {
		from, err := s.places("query", cursor)
		if err != nil {
			t.Fatal(err)
		}
		lists := make([][]thing, len(all))
		for k := range all {
			before := uint64(math.MaxUint64)
			if at := from.before(uint16(k)); at != nil {
				before = *at
			}
			for _, x := range all[k] {
				if x.Index < before && len(lists[k]) < limit {
					lists[k] = append(lists[k], x)
				}
			}
		}
		page := newest(lists, limit, func(x thing) time.Time { return time.UnixMicro(x.At) })
		for _, x := range page {
			from.passed(x.Shard, x.Index)
		}
		if got = append(got, page...); len(page) < limit {
			return got
		}
		if cursor, err = newCursor("query", from...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCursorOfAnotherNumberOfShardsIsNone(t *testing.T) {
	t.Parallel()
	one, err := newCursor("query", 7)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseCursors("query", one, 3); err != errCursor {
		t.Errorf("got %v", err)
	}
}
