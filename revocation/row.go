package revocation

import (
	"cmp"
	"encoding/binary"
	"math"

	"github.com/rescindhq/rescind/events"
)

// hash is an events.Ref as two numbers, in the order of its bytes.
type hash struct{ hi, lo uint64 }

func hashOf(r *events.Ref) hash {
	return hash{binary.BigEndian.Uint64(r[:8]), binary.BigEndian.Uint64(r[8:])}
}

func (h hash) ref() (r events.Ref) {
	binary.BigEndian.PutUint64(r[:8], h.hi)
	binary.BigEndian.PutUint64(r[8:], h.lo)
	return r
}

func (h hash) compare(o hash) int { return cmp.Or(cmp.Compare(h.hi, o.hi), cmp.Compare(h.lo, o.lo)) }

// row is everything that is known of one revocation, but when it was received,
// which the log's timeline knows. Times are seconds since 1970.
type row struct {
	hash    hash
	index   uint64
	cutoff  int64 // endless: whatever iat says
	starts  int64 // 0: at once
	expires int64 // endless: never
	kind    uint32
}

// endless stands for a bound that there is not, so that a maximum over bounds
// needs no special case.
const endless = math.MaxInt64

func bound(t events.Timestamp) int64 {
	if t == 0 {
		return endless
	}
	return seconds(t)
}

func stamp(s int64) events.Timestamp {
	if s == endless {
		return 0
	}
	return events.Timestamp(s) * second
}

// compare is the order of rows in a page. Of one hash the row that decides is
// the first that has effect: the latest cut-off, then the place in the log.
func (r *row) compare(o *row) int {
	return cmp.Or(cmp.Compare(r.hash.hi, o.hash.hi), cmp.Compare(r.hash.lo, o.hash.lo),
		cmp.Compare(o.cutoff, r.cutoff), cmp.Compare(r.index, o.index))
}
