package verifiers

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/revocation"
)

// seen is one receipt of a naive history, which forgets nothing.
type seen struct {
	at   revocation.Reached
	time time.Time
}

// since is the first receipt from which on, to the last, position was reached in
// the last one's log, and whether there was a receipt before it.
func since(all []seen, position uint64) (at time.Time, known bool) {
	last := all[len(all)-1].at.Epoch
	for n := len(all) - 1; n >= 0 && all[n].at.Epoch == last && all[n].at.Position >= position; n-- {
		at, known = all[n].time, n > 0 && all[n-1].at.Epoch == last
	}
	return at, known
}

func TestTrackIsTheNaiveHistory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(4, 50).Draw(t, "limit")
		var tr track
		var all []seen
		now := time.Unix(1, 0)
		held := 0
		for range rapid.IntRange(1, 200).Draw(t, "receipts") {
			now = now.Add(time.Millisecond)
			p := revocation.Reached{Epoch: rapid.SampledFrom([]uint64{1, 1, 1, 1, 1, 1, 2}).Draw(t, "epoch"), Position: rapid.Uint64Range(0, 30).Draw(t, "position")}
			if n := len(all); n > 0 && rapid.Bool().Draw(t, "grows") {
				p = revocation.Reached{Epoch: all[n-1].at.Epoch, Position: all[n-1].at.Position + p.Position%3}
			}
			all = append(all, seen{p, now})
			held += tr.reach(p, now, limit)
			if held != len(tr.moves) || held > limit {
				t.Fatalf("%d moves, counted %d, of at most %d", len(tr.moves), held, limit)
			}
			position := rapid.Uint64Range(0, p.Position).Draw(t, "asked")
			want, known := since(all, position)
			got, ok := tr.when(position)
			if ok && (!known || !got.Equal(want)) {
				t.Fatalf("position %d: got %s, want %s %v", position, got, want, known)
			}
			if !ok && known && len(tr.moves) < limit*3/4 && len(all) <= limit { // nothing was forgotten yet
				t.Fatalf("position %d: not known, want %s", position, want)
			}
		}
	})
}
