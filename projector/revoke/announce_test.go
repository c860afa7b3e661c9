package revoke

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// held is a stream whose writer is stopped between announcing a revocation and
// storing its delta, and then goes on as judged, until it is let go.
type held struct {
	faulty
	at   chan struct{} // receives when a delta with entries is about to be stored
	on   chan verdict  // what becomes of it
	free chan struct{} // closed when no more are to be stopped
	let  func()        // closes free
}

func (h *held) Publish(ctx context.Context, data []byte, expectLast uint64) error {
	if d, err := revocation.OpenDelta(feedtest.Public(), data); err != nil || len(d.Entries) == 0 {
		return h.deltas.Publish(ctx, data, expectLast)
	}
	v := passes
	select {
	case h.at <- struct{}{}:
		select {
		case v = <-h.on:
		case <-h.free:
		}
	case <-h.free:
	}
	if v == killBefore {
		<-ctx.Done()
		return errInjected
	}
	h.judge = func(int64) verdict { return v }
	return h.faulty.Publish(context.WithoutCancel(ctx), data, expectLast)
}

// hold runs r with its deltas held.
func hold(t *testing.T, d *desk, r *Revoker) (h *held, stop func()) {
	t.Helper()
	h = &held{faulty: faulty{deltas: &deltaStream{js: d.js}}, at: make(chan struct{}), on: make(chan verdict), free: make(chan struct{})}
	h.let = sync.OnceFunc(func() { close(h.free) })
	r.deltas = h
	stop = feedtest.Go(t, r.Run)
	t.Cleanup(h.let)
	return h, stop
}

// verifier follows the feed as an application does, from where it is complete.
func (d *desk) verifier(t *testing.T, change ...func(*feed.Config)) *feed.Feed {
	t.Helper()
	cfg := feed.Config{Conn: natsdtest.Connect(t, d.server, natsd.Verifier), PublicKey: feedtest.Public()}
	for _, c := range change {
		c(&cfg)
	}
	f := feed.New(cfg)
	feedtest.Go(t, f.Run)
	<-f.Ready()
	return f
}

func awaitState(t *testing.T, f *feed.Feed, n int, want revocation.State) {
	t.Helper()
	feedtest.Eventually(t, fmt.Sprintf("token %d %s", n, want), func() bool { return f.Decide(feedtest.Claims(n)).State == want })
}

// TestBetweenAnnouncedAndStored has a revocation refused before its delta is
// stored, whatever becomes of the delta then: the chain brings it once, and the
// verifier vouches for its view again.
func TestBetweenAnnouncedAndStored(t *testing.T) {
	t.Parallel()
	for _, v := range []verdict{passes, failed, applied, late} {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			h, _ := hold(t, d, d.revoker(t))
			f := d.verifier(t)
			record := d.log.Revocation(events.ScopeToken, feedtest.Claims(1))
			index := d.log.Append(t, record)
			<-h.at
			awaitState(t, f, 1, revocation.Revoked)
			if f.Position() >= index {
				t.Error("the position moved before the delta was stored")
			}
			d.check(t, nil)
			h.on <- v
			h.let()
			d.awaitPosition(t, index)
			d.check(t, []*events.Record{record})
			feedtest.Eventually(t, "the position", func() bool { return f.Position() >= index })
			awaitState(t, f, 2, revocation.Active)
			awaitState(t, f, 1, revocation.Revoked)
		})
	}
}

// TestKilledBetweenAnnouncedAndStored ends the writer for good there: the next
// one tells the chain what only those know who were listening.
func TestKilledBetweenAnnouncedAndStored(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h, stop := hold(t, d, d.revoker(t))
	f := d.verifier(t)
	record := d.log.Revocation(events.ScopeToken, feedtest.Claims(1))
	index := d.log.Append(t, record)
	<-h.at
	awaitState(t, f, 1, revocation.Revoked)
	h.on <- killBefore
	stop()
	d.check(t, nil)
	feedtest.Go(t, d.revoker(t).Run)
	later := d.verifier(t) // was not listening
	d.awaitPosition(t, index)
	d.check(t, []*events.Record{record})
	for _, f := range []*feed.Feed{f, later} {
		feedtest.Eventually(t, "the position", func() bool { return f.Position() >= index })
		awaitState(t, f, 1, revocation.Revoked)
		awaitState(t, f, 2, revocation.Active)
	}
}

// TestOvertakenWriterAnnouncesOnlyWhatIsTrue lets another writer take over
// between the two. What the first one announced is in the log, its delta is
// fenced, and no verifier sees a break in the chain.
func TestOvertakenWriterAnnouncesOnlyWhatIsTrue(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	one, two := d.revoker(t), d.revoker(t)
	h, _ := hold(t, d, one)
	var loads atomic.Int64
	f := d.verifier(t, func(c *feed.Config) {
		c.OnApply = func(a feed.Applied) {
			if a.Snapshot {
				loads.Add(1)
			}
		}
	})
	revoked := d.log.Revocation(events.ScopeToken, feedtest.Claims(1))
	d.log.Append(t, revoked)
	<-h.at
	awaitState(t, f, 1, revocation.Revoked)
	feedtest.Go(t, two.Run)
	index := d.log.Append(t, d.log.Lift(revoked))
	d.awaitPosition(t, index)
	awaitState(t, f, 1, revocation.Active)
	h.on <- passes // and is fenced
	feedtest.Eventually(t, "the first one stands by", func() bool { return !one.Stats().Active })
	h.let()
	_, last := d.records(t, 2, 3)
	feedtest.Eventually(t, "the position", func() bool { return f.Position() >= last })
	if d := f.Decide(feedtest.Claims(99)); d.State != revocation.Active {
		t.Errorf("got %+v", d)
	}
	if n := loads.Load(); n != 1 {
		t.Errorf("%d snapshots were loaded: the chain broke", n)
	}
}

// mute is a stream on which nobody hears announcements.
type mute struct{ deltas }

func (mute) Announce([]byte) error { return errInjected }

func TestAnnouncementThatFailsDelaysNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	r.deltas = mute{&deltaStream{js: d.js}}
	feedtest.Go(t, r.Run)
	f := d.verifier(t)
	all, last := d.records(t, 3, 4)
	d.awaitPosition(t, last)
	d.check(t, all)
	feedtest.Eventually(t, "the position", func() bool { return f.Position() >= last })
	if n := r.Stats().Takeovers; n != 1 {
		t.Errorf("%d terms", n)
	}
}

// TestWhatIsAnnounced hears everything: each revocation once and before its
// delta, no lift, and nothing of a delta that holds more than is announced.
func TestWhatIsAnnounced(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	conn := natsdtest.Connect(t, d.server, natsd.Verifier)
	heard := make(chan *nats.Msg, 1000)
	if _, err := conn.ChanSubscribe(stream.LiveAnnouncements, heard); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	r := d.revoker(t)
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	var want []revocation.Entry
	for _, each := range []int{3, revocation.MaxAnnounced, 1} {
		all, last := d.records(t, 1, each)
		d.awaitPosition(t, last)
		if each < revocation.MaxAnnounced {
			want = append(want, slices.DeleteFunc(d.entriesOf(t, all), func(e revocation.Entry) bool { return e.Lift })...)
		}
	}
	var got []revocation.Entry
	for len(got) < len(want) {
		a, err := revocation.OpenAnnouncement(feedtest.Public(), (<-heard).Data)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, a.Entries...)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(revocation.KeyID{})); diff != "" {
		t.Error(diff)
	}
}
