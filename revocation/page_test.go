package revocation

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
)

func drawRows(t *rapid.T, depth uint8, prefix uint64) []row {
	number := rapid.Custom(func(t *rapid.T) uint64 {
		return rapid.Uint64().Draw(t, "bits") >> rapid.IntRange(0, 63).Draw(t, "shift")
	})
	when := rapid.SampledFrom([]int64{1, 1_700_000_000, 1_700_000_001, 1_700_086_400, seconds(events.MaxTimestamp), endless})
	rows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) row {
		r := row{hash: hash{rapid.Uint64().Draw(t, "hi"), rapid.Uint64().Draw(t, "lo")}, index: number.Draw(t, "index"), kind: uint32(number.Draw(t, "kind"))}
		if rapid.Bool().Draw(t, "few hashes") {
			r.hash = hash{r.hash.hi >> 60 << 58, r.hash.lo >> 63}
		}
		r.hash.hi = prefix | r.hash.hi>>depth
		r.cutoff, r.expires, r.starts = when.Draw(t, "cutoff"), when.Draw(t, "expires"), when.Draw(t, "starts")
		if r.starts == endless || rapid.Bool().Draw(t, "at once") {
			r.starts = 0
		}
		return r
	}), 0, 200).Draw(t, "rows")
	slices.SortFunc(rows, func(a, b row) int { return a.compare(&b) })
	return rows
}

func TestPageHoldsItsRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		depth := uint8(rapid.IntRange(0, maxDepth).Draw(t, "depth"))
		prefix := firstOf(rapid.Uint64().Draw(t, "prefix"), depth)
		rows := drawRows(t, depth, prefix)
		p := newPage(rows, depth)
		if d := cmp.Diff(rows, p.rows(nil, prefix), cmp.AllowUnexported(row{}, hash{}), equal); d != "" {
			t.Fatal(d)
		}
		for i := range rows {
			at, there := p.find(rows[i].hash, p.shape().guess(rows[i].hash))
			want := slices.IndexFunc(rows, func(r row) bool { return r.hash == rows[i].hash })
			if !there || at != want {
				t.Fatalf("row %d: found %t at %d, want %d", i, there, at, want)
			}
			loaded := row{hash: rows[i].hash}
			if p.load(i, &loaded); loaded != rows[i] {
				t.Fatalf("row %d: %+v, want %+v", i, loaded, rows[i])
			}
		}
		absent := hash{prefix | rapid.Uint64().Draw(t, "absent")>>depth, rapid.Uint64().Draw(t, "absent")}
		if _, there := p.find(absent, p.shape().guess(absent)); there != slices.ContainsFunc(rows, func(r row) bool { return r.hash == absent }) {
			t.Fatalf("absent: found %t", there)
		}
	})
}

// TestTimelineKnowsWhatItWasTold, in whatever order, pruned or not.
func TestTimelineKnowsWhatItWasTold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var line timeline
		line.init()
		told := map[uint64]int64{}
		for range rapid.IntRange(0, 3000).Draw(t, "places") {
			index := rapid.Uint64Range(0, 5000).Draw(t, "index")
			if told[index] == 0 {
				told[index] = rapid.Int64Range(1, 5).Draw(t, "second")
				line.set(index, told[index])
			}
		}
		if rapid.Bool().Draw(t, "pruned") {
			line.beginPrune()
			for index := range told {
				if index%2 == 0 {
					delete(told, index)
				} else {
					line.need(index)
				}
			}
			line.set(6001, 3)
			line.set(2, 4)
			told[6001], told[2] = 3, 4
			line.endPrune()
		}
		for index, want := range told {
			if got := line.at(index); got != want {
				t.Fatalf("place %d: %d, want %d", index, got, want)
			}
		}
	})
}

// TestTimelinesAreNotLongerThanNeeded: what is gone is forgotten.
func TestTimelinesAreNotLongerThanNeeded(t *testing.T) {
	t.Parallel()
	s := setOf()
	for n := range uint64(5000) {
		c := someone
		c.TokenID = events.EventRef("", "", string(rune(n))).String()
		e := revoke(n, feedKey("acme", 1), events.ScopeToken, c, 0)
		if n%100 == 0 {
			e.Expires = 0
		}
		s.Apply(e)
	}
	s.Sweep(t0.Add(time.Hour))
	if s.Len() != 50 || s.points() > 100 {
		t.Errorf("%d revocations, %d points", s.Len(), s.points())
	}
	for _, e := range s.Entries() {
		if want := ms(time.Duration(e.Index) * time.Second); e.At != want {
			t.Errorf("place %d: %d, want %d", e.Index, e.At, want)
		}
	}
}
