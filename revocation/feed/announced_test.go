package feed

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// hall is a verifier that follows a real feed whose writer has ended, so that
// only announcements come.
type hall struct {
	feed   *Feed
	log    *feedtest.Log
	server *natsd.Server
	speak  *nats.Conn // as the projector
	head   revocation.Head
}

func newHall(t *testing.T) *hall {
	t.Helper()
	s := natsdtest.Start(t)
	l := &line{server: s, log: feedtest.OpenLog(t, s)}
	l.write(t)
	f := New(Config{Conn: natsdtest.Connect(t, s, natsd.Verifier), PublicKey: feedtest.Public(), QuietAfter: time.Minute, StaleAfter: time.Minute})
	feedtest.Go(t, f.Run)
	l.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	feedtest.Eventually(t, "the chain", func() bool { return f.Decide(feedtest.Claims(1)).State == revocation.Revoked && f.Position() > 0 })
	l.stop()
	js := natsdtest.JetStream(t, s, natsd.Projector)
	feedtest.Eventually(t, "the last heartbeat", func() bool {
		m, err := js.Stream(t.Context(), stream.RevocationsStream)
		return err == nil && m.CachedInfo().State.LastSeq == f.view.Load().head.Seq
	})
	return &hall{feed: f, log: l.log, server: s, speak: natsdtest.Connect(t, s, natsd.Projector), head: f.view.Load().head}
}

// entry is the revocation of token n, this far behind what the view has.
func (h *hall) entry(n int, ahead uint64) revocation.Entry {
	r := h.log.Revocation(events.ScopeToken, feedtest.Claims(n))
	e, _, err := revocation.EntryOf(r, h.head.Position+ahead)
	if err != nil {
		panic(err)
	}
	return e
}

func (h *hall) announce(t *testing.T, head revocation.Head, entries ...revocation.Entry) {
	t.Helper()
	m, err := (&revocation.Delta{Head: head, Entries: entries}).Announce(feedtest.Signer())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.speak.Publish(stream.LiveAnnouncements, m); err != nil {
		t.Fatal(err)
	}
}

// An announcement has the token refused, and that is all: the view is where it
// was, as old as it was, and vouches for what it vouched for.
func TestAnnouncementRefusesAndVouchesForNothing(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	before := h.feed.view.Load()
	next := h.head
	next.Seq, next.Position, next.Time = next.Seq+1, next.Position+1, time.Now().Add(time.Hour).UnixMicro()
	h.announce(t, next, h.entry(2, 1))
	feedtest.Eventually(t, "refused", func() bool { return h.feed.Decide(feedtest.Claims(2)).State == revocation.Revoked })
	if after := h.feed.view.Load(); after != before {
		t.Errorf("the view moved from %+v to %+v", before, after)
	}
	if d := h.feed.Decide(feedtest.Claims(3)); d.State != revocation.Active || d.Position != h.head.Position {
		t.Errorf("another token: %+v", d)
	}
}

// Whoever listens is told of what is announced once decisions see it, and not of
// what changes nothing.
func TestListenersAreToldOfWhatIsAnnounced(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	told := make(chan revocation.State, 10)
	h.feed.Listen(func(entries []revocation.Entry) {
		if len(entries) == 1 && entries[0].Hash == h.entry(2, 1).Hash {
			told <- h.feed.Decide(feedtest.Claims(2)).State
		}
		if len(entries) == 1 && entries[0].Hash == h.entry(3, 0).Hash {
			t.Error("told of what the chain has told")
		}
	})
	h.announce(t, h.head, h.entry(3, 0))
	h.announce(t, h.head, h.entry(2, 1))
	feedtest.Eventually(t, "told", func() bool { return len(told) > 0 })
	if state := <-told; state != revocation.Revoked {
		t.Errorf("told of it, decided %s", state)
	}
}

// What is not ours, of another history, or known to the chain changes nothing,
// and is no gap.
func TestAnnouncementsThatDoNotCount(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	foreign := h.head
	foreign.Epoch++
	h.announce(t, foreign, h.entry(2, 1))
	h.announce(t, h.head, h.entry(3, 0))
	delta, err := (&revocation.Delta{Head: after(h.head, 1), Prev: h.head.Seq, Entries: []revocation.Entry{h.entry(4, 1)}}).Sign(feedtest.Signer())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range [][]byte{nil, []byte("junk"), delta} {
		if err := h.speak.Publish(stream.LiveAnnouncements, m); err != nil {
			t.Fatal(err)
		}
	}
	h.announce(t, h.head, h.entry(5, 1)) // behind all of them
	feedtest.Eventually(t, "the last", func() bool { return h.feed.Decide(feedtest.Claims(5)).State == revocation.Revoked })
	for n := 2; n <= 4; n++ {
		if d := h.feed.Decide(feedtest.Claims(n)); d.State != revocation.Active {
			t.Errorf("token %d: %+v", n, d)
		}
	}
}

// TestAnnouncementDoesNotBringBackWhatWasLifted replays the announcement of a
// revocation to a verifier whose snapshot came after the lift.
func TestAnnouncementDoesNotBringBackWhatWasLifted(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	l := &line{server: s, log: feedtest.OpenLog(t, s)}
	r := l.log.Revocation(events.ScopeToken, feedtest.Claims(1))
	l.log.Append(t, r)
	l.log.Append(t, l.log.Lift(r))
	l.write(t)
	f := New(Config{Conn: natsdtest.Connect(t, s, natsd.Verifier), PublicKey: feedtest.Public()})
	feedtest.Go(t, f.Run)
	feedtest.Eventually(t, "active", func() bool { return f.Decide(feedtest.Claims(1)).State == revocation.Active })
	e, _, err := revocation.EntryOf(r, l.log.IndexOf(r))
	if err != nil {
		t.Fatal(err)
	}
	h := &hall{feed: f, log: l.log, head: f.view.Load().head, speak: natsdtest.Connect(t, s, natsd.Projector)}
	h.announce(t, h.head, e)
	h.announce(t, h.head, h.entry(2, 1))
	feedtest.Eventually(t, "the one behind it", func() bool { return f.Decide(feedtest.Claims(2)).State == revocation.Revoked })
	if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Active {
		t.Errorf("got %+v", d)
	}
}
