package leak

import "math"

// Glance is what little is asked of some indices of a shard before anything is
// looked for in them.
type Glance struct {
	Accepted  uint64 // tokens accepted
	Oldest    int64  // µs, the earliest time at which a verifier says so; 0 where there is none
	Until     int64  // µs, when the last revocation expires; Never, or 0 where there is none
	Forgetful uint64 // revocations of persons who were forgotten by them
}

// Never is the Until of a revocation that does not expire.
const Never = math.MaxInt64

// before is what is known of all indices of a shard below those at hand.
type before struct {
	known     bool
	until     int64 // as in Glance
	forgetful bool
}

func (b *before) add(g *Glance) {
	b.known = true
	b.until = max(b.until, g.Until)
	b.forgetful = b.forgetful || g.Forgetful > 0
}

// Idle reports whether nothing that g tells of can be a leak, where the last
// revocation up to the end of it expires at until: nothing was accepted, or all
// of it by verifiers whose clocks say that every revocation was over.
func (g *Glance) Idle(until int64) bool { return g.Accepted == 0 || g.Oldest >= until }
