package feed

import (
	"slices"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

// view is what decisions are made from. It is never changed: each step of the
// feed makes a new one. The set in it is shared and grows.
type view struct {
	set      *revocation.Set
	head     revocation.Head    // the last delta applied
	sum      events.Ref         // its Sum
	position uint64             // up to which the keys were asked for, in the first shard
	others   []revocation.Place // and in those behind it
	heard    time.Time          // when head arrived, by our clock
	late     time.Duration      // how far head was signed from then, beyond what clocks may differ by
	doubt    revocation.Cause   // why it vouches for nothing; "" where it does
}

// age is how long ago the view was certainly current. A clock that was set and
// a machine that slept both count: the longer of the two.
func (v *view) age(now time.Time) time.Duration {
	return v.late + max(0, now.Sub(v.heard), now.Round(0).Sub(v.heard.Round(0)))
}

func (v *view) positionOf(tenant string) uint64 {
	if k := events.ShardOf(tenant, 1+len(v.others)); k > 0 {
		return v.others[k-1].Position
	}
	return v.position
}

// heardAt is v as of having received head at now.
func (v view) heardAt(head revocation.Head, sum events.Ref, now time.Time, skew time.Duration) view {
	v.head, v.sum, v.heard = head, sum, now
	v.late = max(0, now.Sub(head.Signed()).Abs()-skew) // signed ahead of our time by as much it could be as old, and nobody could tell
	return v
}

// doubted is v as of vouching for nothing because of cause.
func (v view) doubted(cause revocation.Cause) *view {
	v.doubt = cause
	return &v
}

// show makes v the view, and has it reported where it says something new.
func (f *Feed) show(v *view) {
	if before := f.view.Swap(v); v.reportsAs(before) {
		return
	}
	select {
	case f.moved <- struct{}{}:
	default: // there is one already, and what is reported is the view of then
	}
}

// reportsAs reports whether a receipt of v says what one of o did, but for
// times.
func (v *view) reportsAs(o *view) bool {
	return o != nil && v.position == o.position && v.doubt == o.doubt && v.head.Epoch == o.head.Epoch && v.head.Feed == o.head.Feed &&
		slices.Equal(v.others, o.others)
}

// Decide answers for a token: revoked where the view says so, active where the
// view vouches for it, else unknown. It does not allocate.
func (f *Feed) Decide(c revocation.Claims) revocation.Decision {
	v := f.view.Load()
	if v == nil {
		return revocation.Decision{State: revocation.Unknown, Cause: revocation.CauseCold}
	}
	now := f.cfg.Now()
	d := v.set.Decide(&c, now)
	d.Age, d.Position = v.age(now), v.positionOf(c.Tenant)
	if d.State != revocation.Active {
		return d
	}
	switch {
	case v.doubt != "":
		d.State, d.Cause = revocation.Unknown, v.doubt
	case d.Age > f.cfg.StaleAfter:
		d.State, d.Cause = revocation.Unknown, revocation.CauseStale
	}
	return d
}

// Status is how far the feed is.
type Status struct {
	Head     revocation.Head
	Position uint64           // log index that decisions are made at, in the first shard
	Entries  int              // revocations held
	Age      time.Duration    // of the view
	Doubt    revocation.Cause // why nothing is called active; "" where it is
	Missing  int              // feed keys that entries need and that are not to be had
}

// Status is how far the feed is now.
func (f *Feed) Status() Status {
	v := f.view.Load()
	if v == nil {
		return Status{Doubt: revocation.CauseCold}
	}
	s := Status{Head: v.head, Position: v.position, Entries: v.set.Len(), Age: v.age(f.cfg.Now()), Doubt: v.doubt, Missing: len(v.set.Missing())}
	if s.Doubt == "" && s.Age > f.cfg.StaleAfter {
		s.Doubt = revocation.CauseStale
	}
	return s
}

// Position is the log index that decisions are made at, in the first shard. It
// steps back only where the log was replaced.
func (f *Feed) Position() uint64 {
	if v := f.view.Load(); v != nil {
		return v.position
	}
	return 0
}

// PositionOf is Position in the shard of a tenant.
func (f *Feed) PositionOf(tenant string) uint64 {
	if v := f.view.Load(); v != nil {
		return v.positionOf(tenant)
	}
	return 0
}

// Ready is closed when the view was complete for the first time.
func (f *Feed) Ready() <-chan struct{} { return f.ready }
