package rebuild_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/revocation"
)

const shards = 3

// tenants is one of each shard.
func tenants() []string {
	out := make([]string, shards)
	for i := 0; slices.Contains(out, ""); i++ {
		name := fmt.Sprint("tenant-", i)
		out[events.ShardOf(name, shards)] = name
	}
	return out
}

// TestShardsAreRebuilt spoils tables and feed of three shards, and rebuilds
// both while events of each come in.
func TestShardsAreRebuilt(t *testing.T) {
	t.Parallel()
	b := startOf(t, shards)
	for k, tenant := range tenants() {
		b.publishOf(tenant, uint64(k), 100+k)
		b.revokeOf(tenant, "t-1")
	}
	b.clean()
	b.exec("ALTER TABLE events UPDATE outcome = 'failure' WHERE shard = 2 AND `index` = 6")
	b.exec("ALTER TABLE events DELETE WHERE shard = 1 AND `index` = 5")
	b.exec("INSERT INTO events SELECT * REPLACE (toUInt16(9) AS shard) FROM (SELECT * FROM events WHERE shard = 0 AND `index` = 4)")
	if all, err := b.verify(t.Context(), b.db); err != nil || all.Clean() {
		t.Fatalf("tampering was not found: %v", err)
	}

	stop, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
				b.publishOf(tenants()[n%shards], uint64(100+n), 5)
				devtest.Drained(t, b.Stack) // or the logs outgrow the rebuild
			}
		}
	}()
	built, err := b.tables(t.Context(), nil)
	close(stop)
	batches := <-done
	if err != nil {
		t.Fatal(err)
	}
	objects, err := b.js(natsd.Projector).ObjectStore(t.Context(), stream.SnapshotBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objects.PutBytes(t.Context(), revocation.SnapshotObject, make([]byte, 200)); err != nil {
		t.Fatal(err)
	}
	if err := b.feed(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	records, rows := uint64(0), uint64(0)
	for k, r := range b.clean() {
		records, rows = records+r.Log.Records, rows+r.ClickHouse.Events
		if r.ClickHouse.Events < uint64(100+k) {
			t.Errorf("shard %d has %d rows", k, r.ClickHouse.Events)
		}
	}
	if want := uint64(303 + 5*batches); rows != records || rows < want || built.Records < 306 || built.Records > records {
		t.Errorf("%d published, %d records, %d rows, %+v", want, records, rows, built)
	}
	view := b.follow()
	for _, tenant := range tenants() {
		b.seesOf(tenant, view, "t-1", revocation.Revoked)
		b.seesOf(tenant, view, "t-2", revocation.Active)
		b.revokeOf(tenant, "t-2")
		b.seesOf(tenant, view, "t-2", revocation.Revoked)
	}
	b.clean()
}
