package revoke

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// hands is a clock that a test sets, by how far it is ahead.
type hands struct{ ahead atomic.Int64 }

func (h *hands) set(ahead time.Duration) { h.ahead.Store(int64(ahead)) }
func (h *hands) now() time.Time          { return time.Now().Add(time.Duration(h.ahead.Load())) }

// sweeping is a revoker that goes by h, and drops and stores often.
func (d *desk) sweeping(t *testing.T, h *hands) *Revoker {
	t.Helper()
	return d.revoker(t, func(c *Config) {
		c.Now, c.RefreshEvery, c.ClockSkew, c.SweepEvery = h.now, c.SnapshotEvery, 100*time.Millisecond, 20*time.Millisecond
	})
}

// soon is a record whose entry leaves in some seconds.
func (d *desk) soon(n int) *events.Record {
	r := d.log.Revocation(events.ScopeToken, feedtest.Claims(n))
	r.Revocation.Expires = events.TimestampOf(time.Now().Add(3 * time.Second))
	return r
}

// lasting is a record whose entry leaves in an hour.
func (d *desk) lasting(n int) *events.Record {
	return d.log.Revocation(events.ScopeToken, feedtest.Claims(n))
}

// awaitKept returns when a snapshot up to an index holds no more than records
// revoke, and checks that it is no less.
func (d *desk) awaitKept(t *testing.T, last uint64, records []*events.Record) {
	t.Helper()
	feedtest.Eventually(t, "a snapshot of what lasts", func() bool {
		s := d.snapshot(t)
		return s.Position >= last && s.Len() <= len(records)
	})
	d.checkSnapshot(t, records)
}

// A clock that is set a day ahead, while it is the writer's, at a restart, at
// one that has but the log, and where one that stands by takes over: what has
// not expired stays in the set, in deltas and in snapshots, what has leaves, and
// nothing is signed ahead.
func TestClockAheadLosesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h := &hands{}
	var told, kept []*events.Record
	revoke := func(r *events.Record, lasts bool) (last uint64) {
		if told = append(told, r); lasts {
			kept = append(kept, r)
		}
		return d.log.Append(t, r)
	}
	r := d.sweeping(t, h)
	stop := feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	d.awaitPosition(t, revoke(d.lasting(1), true))

	h.set(24 * time.Hour)
	feedtest.Eventually(t, "the clock is seen to be ahead", func() bool { s := r.Stats(); return s.ClockOff && s.ClockAhead > 23*time.Hour })
	revoke(d.soon(2), false)
	d.awaitKept(t, revoke(d.lasting(3), true), kept)
	stop()
	last := revoke(d.lasting(4), true)
	stop = feedtest.Go(t, d.sweeping(t, h).Run)
	d.awaitKept(t, last, kept)
	stop()
	d.check(t, told)
	d.checkSigned(t, time.Now().Add(r.cfg.ClockSkew))

	if err := (&bucket{d.js}).Put(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	first, second := d.sweeping(t, h), d.sweeping(t, &hands{})
	stop = feedtest.Go(t, first.Run)
	feedtest.Eventually(t, "a snapshot from the log", func() bool { return first.Stats().Snapshots > 0 })
	feedtest.Go(t, second.Run)
	d.awaitKept(t, revoke(d.lasting(5), true), kept)
	stop()
	d.awaitKept(t, revoke(d.lasting(6), true), kept)
	d.check(t, told)
}

// checkSigned checks that no delta, snapshot or answer says a later time.
func (d *desk) checkSigned(t *testing.T, by time.Time) {
	t.Helper()
	deltas, _ := d.history(t)
	for _, delta := range deltas {
		if delta.Signed().After(by) {
			t.Errorf("seq %d says %s, and it is %s", delta.Seq, delta.Signed(), by)
		}
	}
	if s := d.snapshot(t); s.Signed().After(by) {
		t.Errorf("the snapshot says %s, and it is %s", s.Signed(), by)
	}
}

// A clock that is behind is said, drops nothing, and says itself what it signs:
// verifiers see that it is old.
func TestClockBehindIsSaid(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h := &hands{}
	h.set(-time.Hour)
	r := d.sweeping(t, h)
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "the clock is seen to be behind", func() bool {
		s := r.Stats()
		return s.ClockOff && s.ClockAhead < -59*time.Minute && s.Deltas > 0 // what is on the log before the first is in the snapshot alone
	})
	one := d.lasting(1)
	d.awaitPosition(t, d.log.Append(t, one))
	d.check(t, []*events.Record{one})
	d.checkSigned(t, time.Now().Add(-59*time.Minute))
	h.set(0)
	feedtest.Eventually(t, "clocks that agree", func() bool { s := r.Stats(); return !s.ClockOff })
}

// oneClock is a server that goes by the clock of a test as well.
type oneClock struct {
	deltas
	h *hands
}

func (o oneClock) Time(context.Context) (time.Time, error) { return o.h.now(), nil }

// Where our clock and the server's are a day ahead nothing says so, and what is
// revoked leaves. Once the time goes back it is there again, in the set, in
// snapshots, and at verifiers that went by it.
func TestBothClocksAheadIsMended(t *testing.T) {
	t.Parallel()
	for name, restarted := range map[string]bool{"at work": false, "restarted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			h := &hands{}
			start := func() (stop func()) {
				r := d.sweeping(t, h)
				r.deltas = oneClock{&deltaStream{js: d.js}, h}
				stop = feedtest.Go(t, r.Run)
				feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
				return stop
			}
			stop := start()
			never, lifted := d.lasting(3), d.lasting(4)
			never.Revocation.Expires = 0
			lift := d.log.Lift(lifted)
			all := []*events.Record{d.lasting(1), d.lasting(2), never, lifted, lift}
			last := d.log.Append(t, all...)
			d.awaitPosition(t, last)

			h.set(24 * time.Hour)
			d.awaitKept(t, last, []*events.Record{never})
			if restarted {
				stop()
			}
			h.set(0)
			if restarted {
				start()
			}
			feedtest.Eventually(t, "a snapshot of everything", func() bool { return d.snapshot(t).Len() == 4 })
			d.checkSnapshot(t, all)
			feedtest.Eventually(t, "everything at a verifier", func() bool { return d.follower(t).Len() == 4 })
			if diff := cmp.Diff(d.snapshotSet(t).Entries(), d.follower(t).Entries(), cmpopts.IgnoreUnexported(revocation.KeyID{})); diff != "" {
				t.Errorf("in the snapshot, and at a verifier: %s", diff)
			}
		})
	}
}

// follower is the set of a verifier that heard every delta and whose clock is
// always the signer's.
func (d *desk) follower(t *testing.T) *revocation.Set {
	t.Helper()
	set := revocation.NewSet(1)
	deltas, messages := d.history(t)
	for i, delta := range deltas {
		if i > 0 && delta.PrevSum != revocation.Sum(messages[i-1]) {
			t.Fatalf("seq %d does not follow seq %d", delta.Seq, deltas[i-1].Seq)
		}
		set.Apply(delta.Entries...)
		set.Sweep(delta.Signed())
	}
	return set
}

func (d *desk) snapshotSet(t *testing.T) *revocation.Set {
	t.Helper()
	return d.snapshot(t).Set(time.Now())
}
