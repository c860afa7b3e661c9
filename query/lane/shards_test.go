package lane_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

const shards = 3

// sharded is the logs of several shards, and a follower of them that does not
// run yet.
func sharded(t *testing.T) ([]*feedtest.Log, *lane.Follower) {
	t.Helper()
	s := natsdtest.StartIn(t, natsd.Config{Dir: t.TempDir(), Shards: shards})
	logs, err := stream.OpenLogs(t.Context(), natsdtest.JetStream(t, s, natsd.API), shards)
	if err != nil {
		t.Fatal(err)
	}
	cfg := lane.Config{Log: logs[0]}
	for _, l := range logs[1:] {
		cfg.Others = append(cfg.Others, l)
	}
	f, err := lane.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var in []*feedtest.Log
	for k := range uint16(shards) {
		in = append(in, feedtest.OpenLogOf(t, s, k, fmt.Sprint("tenant-", k)))
	}
	return in, f
}

// Handlers see every record of every shard once, in the order of the shard, and
// never two at once; Sync waits for all of them.
func TestEveryShardIsFollowed(t *testing.T) {
	t.Parallel()
	logs, f := sharded(t)
	seen := make([][]uint64, shards)
	var at atomic.Int32
	f.Handle(func(e lane.Entry) {
		if at.Add(1) != 1 {
			t.Error("two handlers at once")
		}
		if e.Record.Tenant != fmt.Sprint("tenant-", e.Shard) {
			t.Errorf("a record of %s in shard %d", e.Record.Tenant, e.Shard)
		}
		seen[e.Shard] = append(seen[e.Shard], e.Index)
		at.Add(-1)
	})
	feedtest.Go(t, f.Run)
	for i := range 20 {
		for _, l := range logs {
			l.Append(t, l.Other(), l.Other())
		}
		if i%5 == 0 {
			if err := f.Sync(within(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := logs[2].Other()
	end := logs[2].Append(t, last)
	if index, err := f.Wait(within(t), last.Ref()); err != nil || index != end {
		t.Errorf("waited for %d: %d, %v", end, index, err)
	}
	if err := f.Sync(within(t)); err != nil {
		t.Fatal(err)
	}
	for k, indices := range seen {
		for i, index := range indices {
			if index != uint64(i) {
				t.Fatalf("shard %d: index %d at place %d", k, index, i)
			}
		}
		if uint64(len(indices)) != logs[k].Next() {
			t.Errorf("shard %d: %d of %d records were handled when Sync returned", k, len(indices), logs[k].Next())
		}
	}
}

// One broken log of several stops Run: the past of its tenants would be wrong.
func TestBatchOfAnotherShardStopsTheFollower(t *testing.T) {
	t.Parallel()
	logs, f := sharded(t)
	item, err := logs[0].Other().Marshal()
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
	logs[1].AppendRaw(t, data)
	if err := f.Run(within(t)); err == nil || !strings.Contains(err.Error(), "shard=1") {
		t.Fatalf("got %v", err)
	}
}
