package revoke

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

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
	if s := r.Stats(); !s.Active || s.Position != last || s.Defects != 0 || s.Entries != uint64(len(d.entriesOf(t, after))) || s.Takeovers != 1 {
		t.Errorf("got %+v", s)
	}
	if diff := cmp.Diff(map[string]uint64{events.OtherReason: 1797, string(events.KeyCompromise): 3}, r.Stats().Reasons); diff != "" {
		t.Errorf("revocations by reason: %s", diff)
	}
	feedtest.Eventually(t, "a snapshot of everything", func() bool { return d.snapshot(t).Position == last })
	d.checkSnapshot(t, append(before, after...))
}

// Where nothing is revoked there is a delta at each heartbeat, and one at the
// start: however slow the machine is, it is no more than have passed.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	began := time.Now()
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "ten heartbeats", func() bool { return r.Stats().Deltas >= 10 })
	n := r.Stats().Deltas
	if most := 1 + uint64(time.Since(began)/r.cfg.Heartbeat); n > most {
		t.Errorf("%d deltas, where %d heartbeats have passed at the most", n, most-1)
	}
	d.check(t, nil)
}

func TestRestartContinues(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	start := func() (r *Revoker, stop func()) {
		r = d.revoker(t)
		stop = feedtest.Go(t, r.Run)
		feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
		return r, stop
	}
	_, stop := start()
	var all []*events.Record
	for range 4 {
		during, last := d.records(t, 2, 3)
		d.awaitPosition(t, last)
		stop()
		var r *Revoker
		between, last := d.records(t, 2, 3)
		r, stop = start()
		d.awaitPosition(t, last)
		feedtest.Eventually(t, "the writer's own word", func() bool { return r.Stats().Position == last }) // else it is stopped before it knows
		all = append(append(all, during...), between...)
	}
	stop()
	d.check(t, all)
	d.checkSnapshot(t, all)
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

// counting is a keyring that tells each reading and ends it when it is let.
type counting struct {
	keys      *feedtest.Keys
	read, end chan struct{}
}

func (c counting) Keys(ctx context.Context) ([]events.FeedKey, error) {
	c.read <- struct{}{}
	<-c.end
	return c.keys.Keys(ctx)
}

// TestRequestsForKeysShareAReading: verifiers of a new tenant all ask at once,
// and a reading takes a while.
func TestRequestsForKeysShareAReading(t *testing.T) {
	t.Parallel()
	const verifiers = 50
	d := newDesk(t)
	c := counting{d.keys, make(chan struct{}, verifiers+1), make(chan struct{})}
	r := d.revoker(t, func(cfg *Config) { cfg.Keys = c })
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	conn := natsdtest.Connect(t, d.server, natsd.Verifier)
	inbox := conn.NewInbox()
	replies, err := conn.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	for range verifiers {
		if err := conn.PublishRequest(stream.FeedKeysSubject, inbox, nil); err != nil {
			t.Fatal(err)
		}
	}
	<-c.read
	all, last := d.records(t, 1, 1)
	d.awaitPosition(t, last) // the requests have arrived as well
	close(c.end)
	for range verifiers {
		if _, err := replies.NextMsg(20 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if more := len(c.read); more > 2 {
		t.Errorf("%d more readings for %d requests", more, verifiers)
	}
	d.check(t, all)
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
		"sweep": {Key: key, Keys: feedtest.NewKeys(), SweepEvery: 1},
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
