package verify_test

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/secrets"
	"github.com/rescindhq/rescind/internal/verify"
	"github.com/rescindhq/rescind/revocation"
)

// TestTamperedFeed deletes and adds messages of a feed that is at work.
func TestTamperedFeed(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.history(20)
	finds(t, b.verify(verify.Config{}))
	operator, projector := natsdtest.JetStream(t, b.NATS, natsd.Operator), natsdtest.JetStream(t, b.NATS, natsd.Projector)
	in, err := operator.Stream(t.Context(), stream.RevocationsStream)
	if err != nil {
		t.Fatal(err)
	}
	last := in.CachedInfo().State.LastSeq // a heartbeat: all was projected before
	b.eventually("a delta behind it", func() bool {
		now, err := in.Info(t.Context())
		return err == nil && now.State.LastSeq > last
	})
	if err := in.DeleteMsg(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if _, err := projector.Publish(t.Context(), stream.RevocationsSubject, []byte("no delta")); err != nil {
		t.Fatal(err)
	}
	places(t, b.verify(verify.Config{}), "deltas missing", "deltas extra")
	objects, err := projector.ObjectStore(t.Context(), stream.SnapshotBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objects.PutBytes(t.Context(), revocation.SnapshotObject, []byte("no snapshot, and long enough to have held the signature of one")); err != nil {
		t.Fatal(err)
	}
	places(t, b.verify(verify.Config{}), "deltas missing", "deltas extra", "snapshot changed")
}

// TestFeedWithoutItsBeginning: deltas that others went before, and no snapshot,
// are no feed that a verifier could start from.
func TestFeedWithoutItsBeginning(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.history(20)
	finds(t, b.verify(verify.Config{}))
	in, err := natsdtest.JetStream(t, b.NATS, natsd.Operator).Stream(t.Context(), stream.RevocationsStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Purge(t.Context(), jetstream.WithPurgeSequence(in.CachedInfo().State.LastSeq)); err != nil {
		t.Fatal(err)
	}
	objects, err := natsdtest.JetStream(t, b.NATS, natsd.Operator).Stream(t.Context(), "OBJ_"+stream.SnapshotBucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := objects.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	places(t, b.verify(verify.Config{}), "snapshot missing")
}

// places fails the test unless the report has exactly these places and kinds,
// each at an index within the log.
func places(t *testing.T, r *verify.Report, want ...string) {
	t.Helper()
	var got []string
	for _, d := range r.Differences {
		got = append(got, fmt.Sprintf("%s %s", d.Place, d.Kind))
		if d.Index >= r.Log.Records {
			t.Errorf("index %d of %d", d.Index, r.Log.Records)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || r.Clean {
		t.Errorf("found %q, want %q: %v", got, want, r.Differences)
	}
}

// copied is the logs of a deployment on a server of its own, and what its feed
// should say.
type copied struct {
	t       testing.TB
	server  *natsd.Server
	key     ed25519.PrivateKey
	head    revocation.Head
	entries []revocation.Entry
	indices []uint64 // of entries
	shards  []uint16 // of entries
}

func (b *bench) copy(logs ...[]*jetstream.RawStreamMsg) *copied {
	b.t.Helper()
	c := &copied{t: b.t, server: elsewhere(b.t, logs...), key: feedKey(b.t, b.Keys)}
	operator := natsdtest.JetStream(b.t, c.server, natsd.Operator)
	created := func(name string) uint64 {
		s, err := operator.Stream(b.t.Context(), name)
		if err != nil {
			b.t.Fatal(err)
		}
		return uint64(s.CachedInfo().Created.UnixNano())
	}
	c.head = revocation.Head{Epoch: created(stream.LogStream), Feed: created(stream.RevocationsStream), Seq: 1, Time: time.Now().UnixMicro()}
	for k := 1; k < len(logs); k++ {
		c.head.Others = append(c.head.Others, revocation.Place{Epoch: created(stream.LogStreamOf(uint16(k)))})
	}
	for k, log := range logs {
		for i, m := range log {
			if m.Subject == stream.LogSubjectOf(uint16(k), events.Control) {
				c.add(uint16(k), m, uint64(i+1))
			}
		}
	}
	return c
}

func feedKey(t testing.TB, keys *secrets.Folder) ed25519.PrivateKey {
	t.Helper()
	pem, err := os.ReadFile(keys.Feed())
	if err != nil {
		t.Fatal(err)
	}
	key, err := secrets.ParseFeedKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (c *copied) add(shard uint16, m *jetstream.RawStreamMsg, seq uint64) {
	batch, err := events.UnmarshalBatch(m.Data)
	if err != nil {
		c.t.Fatal(err)
	}
	c.head.Reach(shard, batch.Header.Last(), seq)
	for i := range batch.Items {
		r, err := events.UnmarshalRecord(batch.Items[i].Record)
		if err != nil {
			c.t.Fatal(err)
		}
		e, ok, err := revocation.EntryOf(r, batch.Header.First+uint64(i))
		if err != nil {
			c.t.Fatal(err)
		}
		if ok {
			c.entries, c.indices, c.shards = append(c.entries, e), append(c.indices, batch.Header.First+uint64(i)), append(c.shards, shard)
		}
	}
}

// tell publishes the first delta, with these entries.
func (c *copied) tell(head revocation.Head, entries []revocation.Entry) []byte {
	c.t.Helper()
	d := revocation.Delta{Head: head, Entries: entries}
	data, err := d.Sign(c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	c.publish(data)
	return data
}

func (c *copied) publish(data []byte) {
	c.t.Helper()
	if _, err := natsdtest.JetStream(c.t, c.server, natsd.Projector).Publish(c.t.Context(), stream.RevocationsSubject, data); err != nil {
		c.t.Fatal(err)
	}
}

// testTamperedSet has the feed's own key say something else than the log.
func testTamperedSet(t *testing.T, b *bench) {
	log := b.messages()
	model := b.copy(log)
	lift := slices.IndexFunc(model.entries, func(e revocation.Entry) bool { return e.Lift })
	cut := slices.IndexFunc(model.entries, func(e revocation.Entry) bool { return e.IssuedBefore != 0 })
	lifted := slices.IndexFunc(model.entries, func(e revocation.Entry) bool { return !e.Lift && e.Index == model.entries[lift].Index })
	if lift < 0 || cut < 0 || lifted < 0 || cut == lifted {
		t.Fatalf("lift %d, cut-off %d, lifted %d of %d", lift, cut, lifted, len(model.entries))
	}
	at := model.indices
	with := func(change func(*revocation.Entry)) func(*copied) []revocation.Entry {
		return func(c *copied) []revocation.Entry { change(&c.entries[cut]); return c.entries }
	}
	for _, c := range []struct {
		name    string
		entries func(*copied) []revocation.Entry
		want    []string
	}{
		{"as it is", func(c *copied) []revocation.Entry { return c.entries }, nil},
		{"in another order, and twice", func(c *copied) []revocation.Entry {
			slices.Reverse(c.entries)
			return append(c.entries, c.entries...)
		}, nil},
		{"a revocation missing", func(c *copied) []revocation.Entry { return slices.Delete(c.entries, cut, cut+1) }, []string{fmt.Sprintf("revocations missing %d", at[cut])}},
		{"a lift missing", func(c *copied) []revocation.Entry { return slices.Delete(c.entries, lift, lift+1) }, []string{fmt.Sprintf("revocations missing %d", at[lifted])}},
		{"a lift too many", func(c *copied) []revocation.Entry {
			e := c.entries[cut]
			return append(c.entries, revocation.Entry{Hash: e.Hash, Index: e.Index, Lift: true, Expires: e.Expires, Key: e.Key})
		}, []string{fmt.Sprintf("revocations extra %d", at[cut])}},
		{"a revocation too many", func(c *copied) []revocation.Entry {
			e := c.entries[cut]
			e.Index += 1000
			return append(c.entries, e)
		}, []string{fmt.Sprintf("revocations extra %d", at[cut]+1000)}},
		{"another place", with(func(e *revocation.Entry) { e.Index += 1000 }), []string{fmt.Sprintf("revocations missing %d", at[cut]), fmt.Sprintf("revocations extra %d", at[cut]+1000)}},
		{"another hash", with(func(e *revocation.Entry) { e.Hash[0] ^= 1 }), []string{fmt.Sprintf("revocations extra %d", at[cut]), fmt.Sprintf("revocations missing %d", at[cut])}},
		{"an earlier cut-off", with(func(e *revocation.Entry) { e.IssuedBefore-- }), []string{fmt.Sprintf("revocations changed %d issued_before", at[cut])}},
		{"a later start", with(func(e *revocation.Entry) { e.Starts += 1000 }), []string{fmt.Sprintf("revocations changed %d starts", at[cut])}},
		{"a longer life", with(func(e *revocation.Entry) { e.Expires++ }), []string{fmt.Sprintf("revocations changed %d expires", at[cut])}},
		{"another reason", with(func(e *revocation.Entry) { e.Reason = "x" }), []string{fmt.Sprintf("revocations changed %d reason", at[cut])}},
		{"another scope", with(func(e *revocation.Entry) { e.Scope = events.ScopeToken }), []string{fmt.Sprintf("revocations changed %d scope", at[cut])}},
		{"another tenant", with(func(e *revocation.Entry) { e.Key.Tenant = "globex" }), []string{fmt.Sprintf("revocations changed %d tenant", at[cut])}},
		{"another key", with(func(e *revocation.Entry) { e.Key.Generation++ }), []string{fmt.Sprintf("revocations changed %d feed_key", at[cut])}},
		{"another time", with(func(e *revocation.Entry) { e.At-- }), []string{fmt.Sprintf("revocations changed %d at", at[cut])}},
	} {
		t.Run(c.name, func(t *testing.T) {
			copied := b.of(t).copy(log)
			copied.tell(copied.head, c.entries(copied))
			conn := natsdtest.Connect(t, copied.server, natsd.Auditor)
			finds(t, b.verify(verify.Config{NATS: conn}), c.want...)
			ahead := func() time.Time { return time.Now().AddDate(10, 0, 0) } // it excuses nothing
			finds(t, b.verify(verify.Config{NATS: conn, Now: ahead}), c.want...)
		})
	}
}

// testTamperedHeads has the feed's own key sign deltas that do not fit.
func testTamperedHeads(t *testing.T, b *bench) {
	log := b.messages()
	check := func(name string, say func(*copied), want ...string) {
		t.Run(name, func(t *testing.T) {
			c := b.of(t).copy(log)
			say(c)
			finds(t, b.verify(verify.Config{NATS: natsdtest.Connect(t, c.server, natsd.Auditor)}), want...)
		})
	}
	last := b.copy(log).head.Position
	second := func(c *copied, change func(*revocation.Delta)) {
		first := c.tell(c.head, c.entries)
		d := revocation.Delta{Head: c.head, Prev: 1, PrevSum: revocation.Sum(first)}
		d.Seq = 2
		change(&d)
		data, err := d.Sign(c.key)
		if err != nil {
			t.Fatal(err)
		}
		c.publish(data)
	}
	check("as they are", func(c *copied) { second(c, func(*revocation.Delta) {}) })
	check("another sum", func(c *copied) { second(c, func(d *revocation.Delta) { d.PrevSum[0] ^= 1 }) }, fmt.Sprintf("deltas changed %d", last))
	check("no sum", func(c *copied) { second(c, func(d *revocation.Delta) { d.PrevSum = events.Ref{} }) }, fmt.Sprintf("deltas changed %d", last))
	check("another sequence", func(c *copied) { second(c, func(d *revocation.Delta) { d.Seq = 9 }) }, fmt.Sprintf("deltas reordered %d", last))
	check("another log", func(c *copied) { second(c, func(d *revocation.Delta) { d.Epoch++ }) }, fmt.Sprintf("deltas changed %d", last))
	check("a position that goes back", func(c *copied) { second(c, func(d *revocation.Delta) { d.Position-- }) },
		fmt.Sprintf("deltas changed %d", last-1), fmt.Sprintf("deltas reordered %d", last-1))
	check("ahead of the log", func(c *copied) {
		second(c, func(d *revocation.Delta) { d.LogSeq, d.Position = 1_000, 10_000 })
	}, "deltas extra 10000")
}
