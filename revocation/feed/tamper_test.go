package feed

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/projector/revoke"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// line is a feed on a real server whose live messages pass through the test.
type line struct {
	server *natsd.Server
	log    *feedtest.Log
	feed   *Feed
	stop   func() // the writer

	mu   sync.Mutex
	pass func(*nats.Msg) []*nats.Msg
}

func startLine(t *testing.T) *line {
	t.Helper()
	l := &line{server: natsdtest.Start(t), pass: func(m *nats.Msg) []*nats.Msg { return []*nats.Msg{m} }}
	l.log = feedtest.OpenLog(t, l.server)
	l.write(t)
	conn := natsdtest.Connect(t, l.server, natsd.Verifier)
	l.feed = New(Config{Conn: conn, PublicKey: feedtest.Public(), QuietAfter: 500 * time.Millisecond, StaleAfter: 2 * time.Second})
	fromServer, live := make(chan *nats.Msg, liveBuffer), make(chan *nats.Msg)
	if _, err := conn.ChanSubscribe(stream.LiveRevocations, fromServer); err != nil {
		t.Fatal(err)
	}
	feedtest.Go(t, func(ctx context.Context) error { return l.between(ctx, fromServer, live) })
	feedtest.Go(t, func(ctx context.Context) error { return l.feed.loop(ctx, live) })
	return l
}

func (l *line) write(t *testing.T) {
	t.Helper()
	r := revoke.New(revoke.Config{Conn: natsdtest.Connect(t, l.server, natsd.Projector), Key: feedtest.Signer(), Keys: feedtest.NewKeys(),
		Heartbeat: 50 * time.Millisecond, SnapshotEvery: 100 * time.Millisecond})
	l.stop = feedtest.Go(t, r.Run)
}

func (l *line) between(ctx context.Context, from <-chan *nats.Msg, to chan<- *nats.Msg) error {
	for {
		select {
		case m := <-from:
			l.mu.Lock()
			pass := l.pass(m)
			l.mu.Unlock()
			for _, m := range pass {
				select {
				case to <- m:
				case <-ctx.Done():
					return nil
				}
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// tamper makes what pass returns for a live message come instead of it.
func (l *line) tamper(pass func(*nats.Msg) []*nats.Msg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pass = pass
}

func (l *line) await(t *testing.T, n int, want revocation.State) {
	t.Helper()
	feedtest.Eventually(t, string(want), func() bool { return l.feed.Decide(feedtest.Claims(n)).State == want })
}

// Each live message that carries a revocation is lost: the next one shows it.
func TestDroppedDeltasAreFetched(t *testing.T) {
	t.Parallel()
	l := startLine(t)
	l.await(t, 99, revocation.Active)
	dropped := make(chan struct{}, 64)
	l.tamper(func(m *nats.Msg) []*nats.Msg {
		if d, err := revocation.OpenDelta(feedtest.Public(), m.Data); err != nil || len(d.Entries) > 0 {
			dropped <- struct{}{}
			return nil
		}
		return []*nats.Msg{m}
	})
	for n := range 10 {
		l.log.Revoke(t, events.ScopeToken, feedtest.Claims(n))
		<-dropped
		l.await(t, n, revocation.Revoked)
		l.await(t, 99, revocation.Active)
	}
}

// While a message is known to be missing and cannot be fetched, nothing is
// active.
func TestGapVouchesForNothing(t *testing.T) {
	t.Parallel()
	l := startLine(t)
	l.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	l.await(t, 1, revocation.Revoked)
	l.await(t, 99, revocation.Active)
	l.stop()
	l.await(t, 99, revocation.Active) // not stale yet
	v := l.feed.view.Load()
	for name, d := range map[string]revocation.Delta{
		"one was missed":    {Head: after(v.head, 2), Prev: v.head.Seq + 1, PrevSum: v.sum},
		"another follows":   {Head: after(v.head, 1), Prev: v.head.Seq, PrevSum: events.Ref{1}},
		"another log":       {Head: revocation.Head{Epoch: v.head.Epoch + 1, Feed: v.head.Feed, Seq: v.head.Seq + 1}, Prev: v.head.Seq, PrevSum: v.sum},
		"another feed":      {Head: revocation.Head{Epoch: v.head.Epoch, Feed: v.head.Feed + 1, Seq: 1}},
		"a sequence before": {Head: revocation.Head{Epoch: v.head.Epoch + 1, Feed: v.head.Feed, Seq: 1}},
	} {
		m, err := d.Sign(feedtest.Signer())
		if err != nil {
			t.Fatal(err)
		}
		f := New(l.feed.cfg)
		f.view.Store(v)
		if _, fits := f.receive(t.Context(), m); fits {
			t.Errorf("%s: fits", name)
		}
		if d := f.Decide(feedtest.Claims(99)); d.State != revocation.Unknown || d.Cause != revocation.CauseGap {
			t.Errorf("%s: got %+v", name, d)
		}
		if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Revoked {
			t.Errorf("%s: what was revoked is %+v", name, d)
		}
	}
}

func after(h revocation.Head, n uint64) revocation.Head {
	h.Seq += n
	return h
}

func forge(t *testing.T, head revocation.Head, prev uint64, sum events.Ref) []byte {
	t.Helper()
	key := feedtest.Key(1)
	e := revocation.Entry{Hash: key.Hash(events.ScopeToken, feedtest.Issuer, "token-1"), Index: 1, Scope: events.ScopeToken,
		Key: revocation.KeyID{Tenant: feedtest.Tenant, Generation: 1}}
	d := revocation.Delta{Head: head, Prev: prev, PrevSum: sum, Entries: []revocation.Entry{e}}
	m, err := d.Sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A message that somebody slipped in ends freshness, is not applied and loses
// nothing.
func TestUnsignedLiveDeltaIsNotApplied(t *testing.T) {
	t.Parallel()
	l := startLine(t)
	l.await(t, 99, revocation.Active)
	v := l.feed.view.Load()
	f := New(l.feed.cfg)
	f.view.Store(v)
	for name, m := range map[string][]byte{
		"of another key": forge(t, after(v.head, 1), v.head.Seq, v.sum), "no signature": forge(t, after(v.head, 1), v.head.Seq, v.sum)[ed25519.SignatureSize:],
		"empty": nil, "noise": bytes.Repeat([]byte{0xa5}, 300),
	} {
		f.view.Store(v)
		if _, fits := f.receive(t.Context(), m); fits {
			t.Errorf("%s: fits", name)
		}
		if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Unknown || d.Cause != revocation.CauseGap {
			t.Errorf("%s: got %+v", name, d)
		}
	}
	l.tamper(func(m *nats.Msg) []*nats.Msg {
		v := l.feed.view.Load()
		return []*nats.Msg{{Data: forge(t, after(v.head, 1), v.head.Seq, v.sum)}, m}
	})
	for n := 10; n < 15; n++ {
		l.log.Revoke(t, events.ScopeToken, feedtest.Claims(n))
		l.await(t, n, revocation.Revoked)
		l.await(t, 1, revocation.Active)
	}
}

// The same, in the stream itself: the writer and every verifier pass it over.
func TestUnsignedStoredDeltaIsPassedOver(t *testing.T) {
	t.Parallel()
	l := startLine(t)
	l.await(t, 99, revocation.Active)
	js := natsdtest.JetStream(t, l.server, natsd.Projector)
	for n := 10; n < 15; n++ {
		v := l.feed.view.Load()
		if _, err := js.Publish(t.Context(), stream.RevocationsSubject, forge(t, after(v.head, 1), v.head.Seq, v.sum)); err != nil {
			t.Fatal(err)
		}
		l.log.Revoke(t, events.ScopeToken, feedtest.Claims(n))
		l.await(t, n, revocation.Revoked)
		l.await(t, 1, revocation.Active)
	}
	late := New(Config{Conn: natsdtest.Connect(t, l.server, natsd.Verifier), PublicKey: feedtest.Public()})
	feedtest.Go(t, late.Run)
	<-late.Ready()
	for n := 10; n < 15; n++ {
		if d := late.Decide(feedtest.Claims(n)); d.State != revocation.Revoked {
			t.Errorf("token %d: got %+v", n, d)
		}
	}
	if d := late.Decide(feedtest.Claims(1)); d.State == revocation.Revoked {
		t.Error("a forged revocation was applied")
	}
}

// The tail is enough where a message that is not ours lies in it.
func TestTailPassesOverWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	l := startLine(t)
	l.await(t, 99, revocation.Active)
	f := New(l.feed.cfg)
	f.view.Store(l.feed.view.Load())
	js := natsdtest.JetStream(t, l.server, natsd.Projector)
	for range 3 {
		if _, err := js.Publish(t.Context(), stream.RevocationsSubject, []byte("junk")); err != nil {
			t.Fatal(err)
		}
	}
	l.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	l.await(t, 1, revocation.Revoked)
	v, err := f.fromHere(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.view.Store(v)
	if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Revoked {
		t.Errorf("got %+v", d)
	}
}

// What is stored ends before the view, or ends in another delta at the same
// place: the stream was put back to an earlier state.
func TestStepBackIsNoticed(t *testing.T) {
	t.Parallel()
	l := startLine(t)
	l.await(t, 99, revocation.Active)
	l.stop()
	feedtest.Eventually(t, "the end of the stream", func() bool {
		return l.feed.sameHistory(t.Context(), l.feed.view.Load()) == nil && l.feed.view.Load().head.Seq == l.stored(t)
	})
	v := *l.feed.view.Load()
	ahead, fork := v, v
	ahead.head.Seq += 100
	fork.sum[0] ^= 1
	for name, v := range map[string]*view{"ahead": &ahead, "fork": &fork} {
		f := New(l.feed.cfg)
		f.view.Store(v)
		if _, err := f.fromHere(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
		if d := f.Decide(feedtest.Claims(99)); d.Cause != revocation.CauseGap {
			t.Errorf("%s: got %+v", name, d)
		}
		if err := f.catchUp(t.Context()); err != nil { // from the snapshot
			t.Errorf("%s: %v", name, err)
		}
		if got := f.view.Load(); !reflect.DeepEqual(got.head, l.feed.view.Load().head) || got.doubt != "" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func (l *line) stored(t *testing.T) uint64 {
	t.Helper()
	m, err := l.feed.store.last(t.Context())
	if err != nil || m == nil {
		t.Fatal(err)
	}
	d, err := revocation.OpenDelta(feedtest.Public(), m)
	if err != nil {
		t.Fatal(err)
	}
	return d.Seq
}

// A view that is ahead of what is stored is found out though live deltas go on
// arriving that look long known.
func TestOldDeltasDoNotCountAsHeard(t *testing.T) {
	t.Parallel()
	l := startLine(t)
	l.await(t, 99, revocation.Active)
	v := *l.feed.view.Load()
	v.head.Seq += 1_000_000
	f := New(l.feed.cfg)
	f.view.Store(&v)
	live := make(chan *nats.Msg, liveBuffer)
	sub, err := l.feed.cfg.Conn.ChanSubscribe(stream.LiveRevocations, live)
	if err != nil {
		t.Fatal(err)
	}
	f.follow(t.Context(), live) // returns when it was quiet for long enough
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	if got := f.view.Load(); got != &v {
		t.Errorf("got %+v", got)
	}
	if err := f.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.Status(); got.Head.Seq >= 1_000_000 || got.Doubt != "" {
		t.Errorf("got %+v", got)
	}
}

func TestDuplicatesAndOldDeltasChangeNothing(t *testing.T) {
	t.Parallel()
	l := startLine(t)
	var seen []*nats.Msg
	l.tamper(func(m *nats.Msg) []*nats.Msg {
		seen = append(seen, m)
		return append([]*nats.Msg{m, m}, seen[max(0, len(seen)-5):]...)
	})
	for n := range 5 {
		l.log.Revoke(t, events.ScopeToken, feedtest.Claims(n))
		l.await(t, n, revocation.Revoked)
		l.await(t, 99, revocation.Active)
	}
}
