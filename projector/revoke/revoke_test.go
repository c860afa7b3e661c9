package revoke

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a server with a log.
type desk struct {
	server *natsd.Server
	js     jetstream.JetStream // as the projector
	log    *feedtest.Log
	keys   *feedtest.Keys
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	s := natsdtest.Start(t)
	return &desk{server: s, js: natsdtest.JetStream(t, s, natsd.Projector), log: feedtest.OpenLog(t, s), keys: feedtest.NewKeys()}
}

// revoker is a writer with short times that is not running.
func (d *desk) revoker(t *testing.T, change ...func(*Config)) *Revoker {
	t.Helper()
	cfg := Config{Conn: natsdtest.Connect(t, d.server, natsd.Projector), Key: feedtest.Signer(), Keys: d.keys,
		Heartbeat: 50 * time.Millisecond, SnapshotEvery: 100 * time.Millisecond, StandbyFor: 200 * time.Millisecond}
	for _, c := range change {
		c(&cfg)
	}
	return New(cfg)
}

// history is every delta of ours in the stream, in order.
func (d *desk) history(t *testing.T) (out []*revocation.Delta, messages [][]byte) {
	t.Helper()
	s, err := d.js.Stream(t.Context(), stream.RevocationsStream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := max(info.State.FirstSeq, 1); seq <= info.State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		delta, err := revocation.OpenDelta(feedtest.Public(), m.Data)
		if err != nil {
			continue // not ours
		}
		if delta.Seq != seq {
			t.Errorf("delta at %d says it is at %d", seq, delta.Seq)
		}
		out, messages = append(out, delta), append(messages, m.Data)
	}
	return out, messages
}

// check reads back everything and holds it to what the log says: an unbroken
// chain, positions that grow, and in it each entry of the log once.
func (d *desk) check(t *testing.T, want []*events.Record) {
	t.Helper()
	deltas, messages := d.history(t)
	var got []revocation.Entry
	for i, delta := range deltas {
		got = append(got, delta.Entries...)
		if i == 0 {
			continue
		}
		before := deltas[i-1]
		if delta.Prev != before.Seq || delta.PrevSum != revocation.Sum(messages[i-1]) {
			t.Errorf("seq %d does not follow seq %d", delta.Seq, before.Seq)
		}
		if delta.Position < before.Position || delta.LogSeq < before.LogSeq || !delta.SameHistory(&before.Head) {
			t.Errorf("seq %d steps back: %+v after %+v", delta.Seq, delta.Head, before.Head)
		}
	}
	if diff := cmp.Diff(entriesOf(t, want), got, cmpopts.IgnoreUnexported(revocation.KeyID{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("entries of the log, and in deltas: %s", diff)
	}
}

func entriesOf(t *testing.T, records []*events.Record) (out []revocation.Entry) {
	t.Helper()
	for _, r := range records {
		e, ok, err := revocation.EntryOf(r)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			out = append(out, e)
		}
	}
	return out
}

// awaitPosition returns when a delta reaches the given index of the log.
func (d *desk) awaitPosition(t *testing.T, index uint64) {
	t.Helper()
	feedtest.Eventually(t, "position in the feed", func() bool {
		seq, m, err := lastMessage(t.Context(), d.js, stream.RevocationsStream, stream.RevocationsSubject)
		if err != nil || seq == 0 {
			return false
		}
		delta, err := revocation.OpenDelta(feedtest.Public(), m)
		return err == nil && delta.Position >= index
	})
}

func (d *desk) snapshot(t *testing.T) *revocation.Snapshot {
	t.Helper()
	m, err := (&bucket{d.js}).Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := revocation.OpenSnapshot(feedtest.Public(), m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// records is n batches of revocations with lifts between them.
func (d *desk) records(t *testing.T, batches, each int) (all []*events.Record, last uint64) {
	t.Helper()
	for b := range batches {
		var batch []*events.Record
		for n := range each {
			batch = append(batch, d.log.Revocation(events.ScopeToken, feedtest.Claims(b*each+n)))
		}
		batch = append(batch, d.log.Other(), d.log.Lift(batch[0]))
		last = d.log.Append(t, batch...)
		all = append(all, batch...)
	}
	return all, last
}

func TestLogBecomesDeltas(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	before, _ := d.records(t, 3, 5) // told by the first snapshot
	r := d.revoker(t)
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	feedtest.Eventually(t, "a snapshot", func() bool { return r.Stats().Snapshots > 0 })
	after, last := d.records(t, 3, 600) // more than fits one delta
	d.awaitPosition(t, last)
	d.check(t, after)
	if s := r.Stats(); !s.Active || s.Position != last || s.Defects != 0 || s.Entries != uint64(len(entriesOf(t, after))) || s.Takeovers != 1 {
		t.Errorf("got %+v", s)
	}
	feedtest.Eventually(t, "a snapshot of everything", func() bool { return d.snapshot(t).Position == last })
	d.checkSnapshot(t, append(before, after...))
}

// checkSnapshot holds the snapshot to what the records amount to.
func (d *desk) checkSnapshot(t *testing.T, records []*events.Record) {
	t.Helper()
	want := revocation.NewSet()
	want.Apply(entriesOf(t, records)...)
	if diff := cmp.Diff(want.Entries(), slices.Collect(d.snapshot(t).Entries()), cmpopts.IgnoreUnexported(revocation.KeyID{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("entries of the log, and in the snapshot: %s", diff)
	}
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "ten heartbeats", func() bool { return r.Stats().Deltas >= 10 })
	d.check(t, nil)
	deltas, _ := d.history(t)
	for i, delta := range deltas[1:] {
		if gap := delta.Signed().Sub(deltas[i].Signed()); gap < 10*time.Millisecond {
			t.Errorf("%s between two heartbeats", gap)
		}
	}
}

func TestRestartContinues(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	start := func() (stop func()) {
		r := d.revoker(t)
		stop = feedtest.Go(t, r.Run)
		feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
		return stop
	}
	stop := start()
	var all []*events.Record
	for range 4 {
		during, last := d.records(t, 2, 3)
		d.awaitPosition(t, last)
		stop()
		between, last := d.records(t, 2, 3)
		stop = start()
		d.awaitPosition(t, last)
		all = append(append(all, during...), between...)
	}
	stop()
	d.check(t, all)
	d.checkSnapshot(t, all)
}

// faulty is a stream whose every n-th publish fails before or after it is
// stored.
type faulty struct {
	deltas
	count   atomic.Int64
	every   int64
	applied bool
}

var errInjected = errors.New("injected")

func (f *faulty) Publish(ctx context.Context, data []byte, expectLast uint64) error {
	if f.count.Add(1)%f.every != 0 {
		return f.deltas.Publish(ctx, data, expectLast)
	}
	if f.applied {
		if err := f.deltas.Publish(ctx, data, expectLast); err != nil {
			return err
		}
	}
	return errInjected
}

func TestPublishThatFails(t *testing.T) {
	t.Parallel()
	for name, applied := range map[string]bool{"failed": false, "failed but applied": true} {
		for _, every := range []int64{3, 4, 7} {
			t.Run(fmt.Sprint(name, " ", every), func(t *testing.T) {
				t.Parallel()
				d := newDesk(t)
				r := d.revoker(t)
				f := &faulty{deltas: &deltaStream{js: d.js}, every: every, applied: applied}
				r.deltas = f
				feedtest.Go(t, r.Run)
				feedtest.Eventually(t, "a fault", func() bool { return f.count.Load() > every })
				all, last := d.records(t, 6, 4)
				d.awaitPosition(t, last)
				d.check(t, all)
				if r.Stats().Takeovers < 2 {
					t.Error("no fault was injected")
				}
			})
		}
	}
}

// store is an object store that fails or hangs.
type store struct {
	objects
	get, put func(context.Context) error
}

func (s *store) Get(ctx context.Context) ([]byte, error) {
	if err := s.get(ctx); err != nil {
		return nil, err
	}
	return s.objects.Get(ctx)
}

func (s *store) Put(ctx context.Context, data []byte) error {
	if err := s.put(ctx); err != nil {
		return err
	}
	return s.objects.Put(ctx, data)
}

func fine(context.Context) error      { return nil }
func fails(context.Context) error     { return errInjected }
func hangs(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestObjectStoreThatFailsDelaysNoDelta(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(context.Context) error{"fails": fails, "hangs": hangs} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			r := d.revoker(t)
			r.objects = &store{objects: &bucket{d.js}, get: fails, put: put}
			stop := feedtest.Go(t, r.Run)
			feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
			all, last := d.records(t, 3, 3)
			d.awaitPosition(t, last)
			d.check(t, all)
			if r.Stats().Snapshots != 0 {
				t.Error("a snapshot was stored")
			}
			stop()
		})
	}
}

func TestFailedSnapshotIsTriedAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var tries atomic.Int64
	r := d.revoker(t)
	r.objects = &store{objects: &bucket{d.js}, get: fine, put: func(ctx context.Context) error {
		if tries.Add(1) < 4 {
			return errInjected
		}
		return nil
	}}
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "a snapshot", func() bool { return r.Stats().Snapshots > 0 })
}

func TestSnapshotThatIsChangedIsNotNeeded(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	stop := feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	all, last := d.records(t, 3, 3)
	d.awaitPosition(t, last)
	stop()
	b := &bucket{d.js}
	good, err := b.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(good)
	bad[len(bad)/2] ^= 1
	other, err := revocation.NewSet().Snapshot(revocation.Head{Epoch: 1, LogSeq: 1}, events.Ref{}, feedtest.Signer()) // of another log
	if err != nil {
		t.Fatal(err)
	}
	ahead, err := revocation.NewSet().Snapshot(revocation.Head{Epoch: d.snapshot(t).Epoch, LogSeq: 1 << 40}, events.Ref{}, feedtest.Signer())
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string][]byte{"changed": bad, "empty": {}, "another log": other, "ahead": ahead} {
		if err := b.Put(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		r := d.revoker(t)
		stop := feedtest.Go(t, r.Run)
		feedtest.Eventually(t, name+": a snapshot", func() bool { return r.Stats().Snapshots > 0 })
		stop()
		d.checkSnapshot(t, all)
	}
	d.check(t, all)
}

func TestTwoWritersDoNotInterleave(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	one, two := d.revoker(t), d.revoker(t)
	feedtest.Go(t, one.Run)
	stop := feedtest.Go(t, two.Run)
	feedtest.Eventually(t, "one of the two active", func() bool { return only(map[*Revoker]bool{one: true, two: true}) != nil })
	all, last := d.records(t, 5, 4)
	d.awaitPosition(t, last)
	stop()
	more, last := d.records(t, 5, 4)
	d.awaitPosition(t, last) // by the one that is left
	d.check(t, append(all, more...))
}

func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	writers, stops := map[*Revoker]bool{}, map[*Revoker]func(){}
	for range 3 {
		r := d.revoker(t, func(c *Config) { c.StandbyFor = time.Second })
		writers[r], stops[r] = true, feedtest.Go(t, r.Run)
	}
	for len(writers) > 0 {
		var active *Revoker
		var before uint64
		feedtest.Eventually(t, "heartbeats of one alone", func() bool {
			if now := only(writers); now == nil || now != active {
				active, before = now, 0
			} else if before == 0 {
				before = active.Stats().Deltas
			}
			return active != nil && before > 0 && active.Stats().Deltas > before+2
		})
		stops[active]()
		delete(writers, active)
	}
	d.check(t, nil)
}

// only is the one writer that is active.
func only(writers map[*Revoker]bool) (active *Revoker) {
	for r := range writers {
		if s := r.Stats(); s.Active && s.Deltas > 0 {
			if active != nil {
				return nil
			}
			active = r
		}
	}
	return active
}

func TestForeignMessagesLoseNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	var all []*events.Record
	for _, junk := range []string{"", "junk", strings.Repeat("x", 10_000)} {
		if _, err := d.js.Publish(t.Context(), stream.RevocationsSubject, []byte(junk)); err != nil {
			t.Fatal(err)
		}
		more, last := d.records(t, 1, 3)
		all = append(all, more...)
		d.awaitPosition(t, last)
	}
	feedtest.Eventually(t, "a snapshot of everything", func() bool { return d.snapshot(t).Position == uint64(len(all)) })
	d.checkSnapshot(t, all)
}

func TestFeedIsRebuiltFromTheLogAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	stop := feedtest.Go(t, r.Run)
	all, last := d.records(t, 3, 3)
	d.awaitPosition(t, last)
	stop()
	admin := natsdtest.JetStream(t, d.server, natsd.Operator)
	for _, name := range []string{stream.RevocationsStream, "OBJ_" + stream.SnapshotBucket} {
		if err := admin.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Ensure(t.Context(), admin, stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	again := d.revoker(t)
	feedtest.Go(t, again.Run)
	feedtest.Eventually(t, "a snapshot", func() bool { return again.Stats().Snapshots > 0 })
	d.checkSnapshot(t, all)
	more, last := d.records(t, 1, 3)
	d.awaitPosition(t, last)
	d.check(t, more)
}

func TestLogThatIsBehindItsFeedStopsTheLine(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	stop := feedtest.Go(t, r.Run)
	_, last := d.records(t, 1, 1)
	d.awaitPosition(t, last)
	stop()
	deltas, messages := d.history(t)
	end := deltas[len(deltas)-1]
	ahead := revocation.Delta{Head: end.Head, Prev: end.Seq, PrevSum: revocation.Sum(messages[len(messages)-1])}
	ahead.Seq, ahead.LogSeq = ahead.Seq+1, 1000
	m, err := ahead.Sign(feedtest.Signer())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.js.Publish(t.Context(), stream.RevocationsSubject, m); err != nil {
		t.Fatal(err)
	}
	if err := d.revoker(t).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "rolled back") {
		t.Errorf("got %v", err)
	}
}

func TestBatchThatCannotBeReadStopsTheLine(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.log.AppendRaw(t, []byte("no batch"))
	if err := d.revoker(t).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "seq=2") {
		t.Errorf("got %v", err)
	}
}

func TestRevocationThatSaysNothingIsCounted(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	bad, good := d.log.Revocation(events.ScopeToken, feedtest.Claims(1)), d.log.Revocation(events.ScopeToken, feedtest.Claims(2))
	bad.Revocation = nil
	d.awaitPosition(t, d.log.Append(t, bad, good))
	d.check(t, []*events.Record{good})
	if n := r.Stats().Defects; n != 1 {
		t.Errorf("%d defects", n)
	}
}

func TestExpiredEntriesAreLeftOut(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	old, living := d.log.Revocation(events.ScopeToken, feedtest.Claims(1)), d.log.Revocation(events.ScopeToken, feedtest.Claims(2))
	old.Revocation.Expires = events.TimestampOf(time.Now().Add(-time.Second))
	d.log.Append(t, old, living)
	r := d.revoker(t)
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "a snapshot", func() bool { return r.Stats().Snapshots > 0 })
	d.checkSnapshot(t, []*events.Record{living})
}

func TestKeysAreAnswered(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	many := make([]events.FeedKey, 0, revocation.MaxKeysPage+10)
	for n := range cap(many) {
		many = append(many, events.FeedKey{Tenant: "acme", Generation: uint32(n) + 1})
	}
	d.keys.Set(many...)
	r := d.revoker(t)
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	conn := natsdtest.Connect(t, d.server, natsd.Verifier)
	seen := map[uint32]bool{}
	for request, more := (revocation.KeysRequest{}), true; more; {
		page := ask(t, conn, request)
		for _, k := range page.Keys {
			seen[k.Generation] = true
		}
		if more = page.More; more {
			request = page.Next()
		}
	}
	if len(seen) != len(many) {
		t.Errorf("%d of %d keys", len(seen), len(many))
	}
}

func ask(t *testing.T, conn *nats.Conn, request revocation.KeysRequest) *revocation.KeysReply {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := conn.Request(stream.FeedKeysSubject, body, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(reply.Header.Get(revocation.SignatureHeader))
	if err != nil {
		t.Fatal(err)
	}
	page, err := revocation.OpenKeys(feedtest.Public(), reply.Data, signature)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestKeysThatCannotBeToldAreNotAnswered(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.keys.Down(true)
	r := d.revoker(t)
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	conn := natsdtest.Connect(t, d.server, natsd.Verifier)
	if m, err := conn.Request(stream.FeedKeysSubject, nil, 200*time.Millisecond); err == nil {
		t.Errorf("got %q", m.Data)
	}
	d.keys.Down(false)
	if m, err := conn.Request(stream.FeedKeysSubject, []byte("no JSON"), 200*time.Millisecond); err == nil {
		t.Errorf("got %q", m.Data)
	}
	if page := ask(t, conn, revocation.KeysRequest{}); len(page.Keys) != 1 {
		t.Errorf("%d keys", len(page.Keys))
	}
	if before := r.Stats().Deltas; before == 0 {
		t.Error("no deltas")
	}
}

// hanging is a keyring that does not answer.
type hanging struct{ asked chan struct{} }

func (h hanging) Keys(ctx context.Context) ([]events.FeedKey, error) {
	h.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestKeyringThatHangsDelaysNoDelta(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h := hanging{make(chan struct{}, 16)}
	r := d.revoker(t, func(c *Config) { c.Keys = h })
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	if err := natsdtest.Connect(t, d.server, natsd.Verifier).Publish(stream.FeedKeysSubject, nil); err != nil {
		t.Fatal(err)
	}
	<-h.asked
	all, last := d.records(t, 2, 2)
	d.awaitPosition(t, last)
	d.check(t, all)
}

func TestRunStopsAndSaysWhy(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"nothing": {}, "no keys": {Key: key}, "heartbeat": {Key: key, Keys: feedtest.NewKeys(), Heartbeat: time.Minute},
		"snapshots": {Key: key, Keys: feedtest.NewKeys(), SnapshotEvery: time.Hour, RefreshEvery: time.Minute}, "standby": {Key: key, StandbyFor: 1},
	} {
		if err := New(cfg).Run(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	d := newDesk(t)
	conn := natsdtest.Connect(t, d.server, natsd.Projector)
	r := d.revoker(t, func(c *Config) { c.Conn = conn })
	var done sync.WaitGroup
	done.Go(func() {
		if err := r.Run(t.Context()); !errors.Is(err, nats.ErrConnectionClosed) {
			t.Errorf("got %v", err)
		}
	})
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	conn.Close()
	done.Wait()
}
