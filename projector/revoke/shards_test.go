package revoke

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// office is a server with the logs of several shards, and a tenant in each.
type office struct {
	desk
	tenants []string
	logs    []*feedtest.Log
}

const shards = 3

func newOffice(t *testing.T) *office {
	t.Helper()
	s := natsdtest.StartIn(t, natsd.Config{Dir: t.TempDir(), Shards: shards})
	o := &office{desk: desk{server: s, js: natsdtest.JetStream(t, s, natsd.Projector), keys: feedtest.NewKeys()}}
	var keys []events.FeedKey
	for i := 0; len(o.logs) < shards; i++ {
		k, tenant := uint16(len(o.logs)), fmt.Sprintf("tenant-%d", i)
		if events.ShardOf(tenant, shards) != k {
			continue
		}
		o.tenants, o.logs = append(o.tenants, tenant), append(o.logs, feedtest.OpenLogOf(t, s, k, tenant))
		keys = append(keys, feedtest.KeyOf(tenant, 1))
	}
	o.keys.Set(keys...)
	return o
}

func (o *office) start(t *testing.T) (stop func(), r *Revoker) {
	t.Helper()
	r = o.revoker(t, func(c *Config) { c.Shards = shards })
	stop = feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "the revoker is at work", func() bool { return r.Stats().Active })
	return stop, r
}

func (o *office) claims(shard, n int) revocation.Claims {
	c := feedtest.Claims(n)
	c.Tenant = o.tenants[shard]
	return c
}

// revoke revokes token n of the tenant of each shard; of the shard k it is the
// record k places on, so that no position stands for another shard's.
func (o *office) revoke(t *testing.T, n int) {
	t.Helper()
	for k, l := range o.logs {
		for range k {
			l.Append(t, l.Other())
		}
		l.Revoke(t, events.ScopeToken, o.claims(k, n))
	}
}

// awaitRevoked returns when f is at the end of every log, and checks what it
// decides about token n of each shard.
func (o *office) awaitRevoked(t *testing.T, f *feed.Feed, n int) {
	t.Helper()
	for k, l := range o.logs {
		end := l.Next() - 1
		feedtest.Eventually(t, "position of the shard", func() bool { return f.PositionOf(o.tenants[k]) >= end })
		if d := f.Decide(o.claims(k, n)); d.State != revocation.Revoked || d.Position != end {
			t.Errorf("shard %d: got %+v, want revoked at %d", k, d, end)
		}
		feedtest.Eventually(t, "another token is active", func() bool { return f.Decide(o.claims(k, n+1000)).State == revocation.Active })
	}
}

func (o *office) feed(t *testing.T) *feed.Feed {
	t.Helper()
	f := feed.New(feed.Config{Conn: natsdtest.Connect(t, o.server, natsd.Verifier), PublicKey: feedtest.Public(), Dir: t.TempDir()})
	feedtest.Go(t, f.Run)
	return f
}

// One feed carries what every shard revokes, over a restart of the revoker and
// what was revoked meanwhile, to verifiers that follow and to one that comes.
func TestOneFeedOfSeveralShards(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	stop, r := o.start(t)
	first := o.feed(t)
	o.revoke(t, 1)
	o.awaitRevoked(t, first, 1)
	feedtest.Eventually(t, "a snapshot of it", func() bool { return r.Stats().Snapshots > 0 && o.snapshot(t).Place(2).Position == o.logs[2].Next()-1 })
	stop()
	o.revoke(t, 2)
	_, again := o.start(t)
	o.awaitRevoked(t, first, 2)
	o.awaitRevoked(t, o.feed(t), 1)
	deltas, messages := o.history(t)
	var last revocation.Head
	entries := 0
	for i, d := range deltas {
		entries += len(d.Entries)
		if i > 0 && (d.PrevSum != revocation.Sum(messages[i-1]) || !d.SameHistory(&last)) {
			t.Errorf("seq %d does not follow", d.Seq)
		}
		for k := range uint16(shards) {
			if d.Place(k).Position < last.Place(k).Position || d.Place(k).LogSeq < last.Place(k).LogSeq {
				t.Errorf("seq %d: shard %d steps back", d.Seq, k)
			}
		}
		last = d.Head
	}
	if entries != 2*shards {
		t.Errorf("%d entries in deltas, want each of %d once", entries, 2*shards)
	}
	if s := again.Stats(); s.Position != o.logs[0].Next()-1 || len(s.Others) != shards-1 || s.Others[1].Position != o.logs[2].Next()-1 {
		t.Errorf("stats: %+v", s)
	}
}

// Without a snapshot and without deltas, all of it comes from the logs.
func TestSeveralShardsAreRebuiltFromTheirLogs(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	stop, _ := o.start(t)
	o.revoke(t, 1)
	o.awaitRevoked(t, o.feed(t), 1)
	stop()
	admin := natsdtest.JetStream(t, o.server, natsd.Operator)
	for _, name := range []string{stream.RevocationsStream, objectStream} {
		s, err := admin.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	o.start(t)
	o.awaitRevoked(t, o.feed(t), 1)
}

// A log behind the first that was rolled back is noticed like the first.
func TestAnyShardRolledBackIsFatal(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	stop, _ := o.start(t)
	o.revoke(t, 1)
	o.awaitRevoked(t, o.feed(t), 1)
	stop()
	deltas, messages := o.history(t)
	last, ahead := deltas[len(deltas)-1], *deltas[len(deltas)-1]
	ahead.Prev, ahead.PrevSum, ahead.Entries = last.Seq, revocation.Sum(messages[len(messages)-1]), nil
	ahead.Seq++
	ahead.Reach(1, 900, 1000)
	data, err := ahead.Sign(feedtest.Signer())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.js.Publish(t.Context(), stream.RevocationsSubject, data); err != nil {
		t.Fatal(err)
	}
	r := o.revoker(t, func(c *Config) { c.Shards = shards })
	if err := r.Run(t.Context()); !errors.Is(err, errFatal) || !strings.Contains(err.Error(), "RESCIND_LOG_1") {
		t.Fatalf("got %v", err)
	}
}

func TestAnotherNumberOfShardsIsRefused(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for _, n := range []int{1, 2, 4} {
		r := o.revoker(t, func(c *Config) { c.Shards = n })
		if err := r.Run(t.Context()); !errors.Is(err, stream.ErrShards) {
			t.Errorf("configured for %d: %v", n, err)
		}
	}
	if deltas, _ := o.history(t); len(deltas) > 0 {
		t.Errorf("%d deltas were published", len(deltas))
	}
}

// A batch of one shard in another's log would move a tenant's revocations: the
// feed does not go on over it.
func TestBatchOfAnotherShardIsFatal(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	record := o.logs[0].Other()
	item, err := record.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	data, err := (&events.Batch{
		Header: events.Header{Version: events.BatchVersion, Epoch: 1, Lane: events.Control, First: 1, Count: 1, Size: 2},
		Items:  []events.Item{{Record: item}},
	}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	o.logs[2].AppendRaw(t, data)
	r := o.revoker(t, func(c *Config) { c.Shards = shards })
	if err := r.Run(t.Context()); !errors.Is(err, errFatal) {
		t.Fatalf("got %v", err)
	}
}
