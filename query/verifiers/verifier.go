package verifiers

import (
	"slices"
	"time"

	"github.com/rescindhq/rescind/revocation"
)

// verifier is what is known of one. Its fields are under the registry's mutex.
type verifier struct {
	last   revocation.Receipt // as it said
	heard  time.Time
	offset time.Duration // its clock to ours when it was heard, its way included
	tracks []track       // of each shard: what was believed

	claim       *revocation.Receipt // one that says more than we know yet
	claimed     time.Time           // when it came
	unconfirmed time.Time           // since when what it says is more than we know; zero where it is not

	contested time.Time // until when the process that spoke before may be alive
	kept      bool      // it was not heard itself: what it said was kept
	gone      bool      // it is registered no more
}

// hear notes who speaks. While another process was heard within bound, neither
// is believed: the other may be alive.
func (v *verifier) hear(r revocation.Receipt, now time.Time, bound time.Duration) {
	if was := v.last.Instance; was != "" && was != r.Instance && v.heard.Add(bound).After(v.contested) {
		v.contested = v.heard.Add(bound)
	}
	v.last, v.heard, v.offset = r, now, r.At.Sub(now)
}

// within reports whether places are of the logs that we know, and not behind
// their ends.
func within(places []revocation.Reached, known *revocation.Head) bool {
	if len(places) != known.Shards() {
		return false
	}
	for k, p := range places {
		if of := known.Place(uint16(k)); p.Epoch != of.Epoch || p.Position > of.Position {
			return false
		}
	}
	return true
}

// believe takes what r says as true, as of seen.
func (v *verifier) believe(r *revocation.Receipt, seen time.Time, limit int) (grown int) {
	v.claim, v.unconfirmed = nil, time.Time{}
	if len(v.tracks) != len(r.Places) {
		for i := range v.tracks {
			grown -= len(v.tracks[i].moves)
		}
		v.tracks = make([]track, len(r.Places))
	}
	for k, p := range r.Places {
		grown += v.tracks[k].reach(p, seen, limit)
	}
	return grown
}

// begin lets the tracks begin with what was heard last, as it is not known when
// v moved on from what was kept of it. It returns by how much they shrank.
func (v *verifier) begin() (shrunk int) {
	v.kept = false
	for i := range v.tracks {
		t := &v.tracks[i]
		if n := len(t.moves) - 1; n > 0 {
			t.moves, shrunk = slices.Clone(t.moves[n:]), shrunk+n
		}
	}
	return shrunk
}

// applied reports whether v decides at the revocation or behind it, in the log
// of the epoch.
func (v *verifier) applied(r Revoked, epoch uint64, now time.Time) bool {
	if int(r.Shard) >= len(v.tracks) || v.isContested(now) || len(v.last.Places) == 0 {
		return false
	}
	at := v.tracks[r.Shard].at
	return at.Epoch == epoch && at.Position >= r.Position
}

func (v *verifier) isContested(now time.Time) bool { return now.Before(v.contested) }

func (v *verifier) fresh(now time.Time, bound time.Duration) bool { return now.Sub(v.heard) <= bound }

// name is what v is called where names are listed.
func (v *verifier) name() string {
	if v.last.Name == "" {
		return v.last.ID
	}
	return v.last.Name
}

// places is what is believed of v.
func (v *verifier) places() (out []revocation.Reached) {
	if len(v.last.Places) == 0 {
		return nil
	}
	for i := range v.tracks {
		out = append(out, v.tracks[i].at)
	}
	return out
}
