package revoke

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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
	if diff := cmp.Diff(d.entriesOf(t, want), got, cmpopts.IgnoreUnexported(revocation.KeyID{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("entries of the log, and in deltas: %s", diff)
	}
}

func (d *desk) entriesOf(t *testing.T, records []*events.Record) (out []revocation.Entry) {
	t.Helper()
	for _, r := range records {
		e, ok, err := revocation.EntryOf(r, d.log.IndexOf(r))
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
		seq, m, err := message(t.Context(), d.js, stream.RevocationsStream, lastOf{stream.RevocationsSubject})
		if err != nil || seq == 0 {
			return false
		}
		delta, err := revocation.OpenDelta(feedtest.Public(), m)
		return err == nil && delta.Position >= index
	})
}

// snapshot is the newest. It may be replaced while it is read: then the client
// waits for chunks that are gone. It leaves a goroutine behind where its time ends
// while it subscribes (nats.go v1.55), so it has enough of it.
func (d *desk) snapshot(t *testing.T) (s *revocation.Snapshot) {
	t.Helper()
	feedtest.Eventually(t, "a snapshot that can be read", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		m, err := (&bucket{d.js}).Get(ctx)
		if err == nil {
			s, err = revocation.OpenSnapshot(feedtest.Public(), m)
		}
		return err == nil
	})
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
		batch[0].Reason = string(events.KeyCompromise)
		batch = append(batch, d.log.Other(), d.log.Lift(batch[0]))
		last = d.log.Append(t, batch...)
		all = append(all, batch...)
	}
	return all, last
}

// checkSnapshot holds the snapshot to what the records amount to.
func (d *desk) checkSnapshot(t *testing.T, records []*events.Record) {
	t.Helper()
	want := revocation.NewSet(1)
	want.Apply(d.entriesOf(t, records)...)
	if diff := cmp.Diff(want.Entries(), slices.Collect(d.snapshot(t).Entries()), cmpopts.IgnoreUnexported(revocation.KeyID{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("entries of the log, and in the snapshot: %s", diff)
	}
}
