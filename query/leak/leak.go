package leak

import (
	"time"

	"github.com/rescindhq/rescind/events"
)

// Kind says how grave it is that a token was accepted.
type Kind string

// The kinds, the gravest first.
const (
	Ignored Kind = "ignored" // by a verifier whose position says that it had applied the revocation
	Late    Kind = "late"    // by one that had not, longer after the revocation than the bound
	Within  Kind = "within"  // by one that had not, within the bound
)

// Lift is the event that took a revocation back.
type Lift struct {
	Index    uint64
	Received int64 // µs, the intake's clock
}

// Revoked is a revocation with its place in the log of its shard.
type Revoked struct {
	Shard  uint16
	Index  uint64
	Record *events.Record // Revocation is not nil
	Lift   *Lift          // nil where it was not lifted
}

// Accepted is a token.verified that says success, with its place in the same
// log.
type Accepted struct {
	Index  uint64
	Record *events.Record
}

// At is when the token was accepted, in µs: when the verifier says, or when the
// intake received the event where that is earlier. So a verifier whose clock is
// ahead accuses nobody who stopped in time; one whose clock is behind hides as
// much as that, but not from its own position.
func (a *Accepted) At() int64 { return min(a.Record.Time, a.Record.Received) }

// From is when r took effect, in µs: when the intake received it, or when it
// starts where that is later.
func (r *Revoked) From() int64 { return max(r.Record.Received, r.Starts()) }

// Starts is before when r has no effect, in µs: 0 where it had one at once. As
// in the set it counts in whole seconds.
func (r *Revoked) Starts() int64 { return int64(r.Record.Revocation.Starts/1000) * 1e6 }

// Expires is from when on r has no effect, in µs, in whole seconds: 0 where it
// has for ever.
func (r *Revoked) Expires() int64 { return int64((r.Record.Revocation.Expires+999)/1000) * 1e6 }

// Judge says what it is that a was accepted although r revokes its token, as
// [Revoked.Covers] says: "" where that is no leak. After is how long after r
// took effect.
func (r *Revoked) Judge(a *Accepted, bound time.Duration) (kind Kind, after time.Duration) {
	after = time.Duration(a.At()-r.From()) * time.Microsecond
	switch {
	case a.Index <= r.Index || !r.living(a):
		return "", 0
	case r.appliedBy(a):
		if r.Lift != nil && a.Record.View >= r.Lift.Index {
			return "", 0
		}
		return Ignored, after
	case after < 0 || r.Lift != nil && a.At() >= r.Lift.Received:
		return "", 0
	case after > bound:
		return Late, after
	default:
		return Within, after
	}
}

// appliedBy reports whether a's verifier says that it had applied r. A position
// of 0 says nothing: it is what a verifier sends that has none.
func (r *Revoked) appliedBy(a *Accepted) bool {
	return a.Record.View > 0 && a.Record.View >= r.Index
}

// living reports whether r had an effect by the verifier's own clock, which is
// the one that its set goes by.
func (r *Revoked) living(a *Accepted) bool {
	expires := r.Expires()
	return a.Record.Time >= r.Starts() && (expires == 0 || a.Record.Time < expires)
}

// Covers reports whether the cut-off of r reaches the token of a: iat in whole
// seconds at or before it, or no iat, as the set decides.
func (r *Revoked) Covers(a *Accepted) bool {
	cutoff, iat := r.Record.Revocation.IssuedBefore, a.Record.IssuedAt
	return cutoff == 0 || iat == 0 || iat/1000 <= cutoff/1000
}
