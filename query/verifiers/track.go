package verifiers

import (
	"slices"
	"sort"
	"time"

	"github.com/rescindhq/rescind/revocation"
)

// track is when a verifier was first seen at which position of one shard.
type track struct {
	at    revocation.Reached // the last one
	moves []move             // of the epoch of at; positions and times grow
}

type move struct {
	position uint64
	seen     int64 // µs
}

// reach notes that the verifier was seen at p, and returns by how much the
// track has grown. Of more than limit moves the oldest go.
func (t *track) reach(p revocation.Reached, seen time.Time, limit int) int {
	before := len(t.moves)
	if p.Epoch != t.at.Epoch {
		t.moves = nil
	}
	at := seen.UnixMicro()
	for n := len(t.moves); n > 0 && t.moves[n-1].position >= p.Position; n-- { // it went back, but never behind p
		at, t.moves = t.moves[n-1].seen, t.moves[:n-1]
	}
	t.at = p
	if n := len(t.moves); n >= limit {
		t.moves = slices.Clone(t.moves[n-limit*3/4:]) // not to hold on to what it was
	}
	t.moves = append(t.moves, move{p.Position, at})
	return len(t.moves) - before
}

// when is the time at which position was first seen to be reached. It is not
// known where the track begins at it or behind it.
func (t *track) when(position uint64) (time.Time, bool) {
	n := sort.Search(len(t.moves), func(i int) bool { return t.moves[i].position >= position })
	if n == 0 || n == len(t.moves) {
		return time.Time{}, false
	}
	return time.UnixMicro(t.moves[n].seen), true
}
