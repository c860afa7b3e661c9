package events_test

import (
	"fmt"
	"hash/fnv"
	"testing"

	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
)

// The standard library's FNV-1a is an independent implementation.
func TestShardOfIsFNV1a(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tenant := rapid.String().Draw(t, "tenant")
		n := rapid.IntRange(2, events.MaxShards).Draw(t, "n")
		h := fnv.New32a()
		h.Write([]byte(tenant))
		if got, want := events.ShardOf(tenant, n), uint16(h.Sum32()%uint32(n)); got != want {
			t.Fatalf("%q of %d: shard %d, want %d", tenant, n, got, want)
		}
	})
}

func TestOneShardHasEveryTenant(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1} {
		if got := events.ShardOf("acme", n); got != 0 {
			t.Errorf("of %d shards: %d", n, got)
		}
	}
}

func TestTenantsSpreadOverShards(t *testing.T) {
	t.Parallel()
	const n, tenants = 8, 8000
	var count [n]int
	for i := range tenants {
		count[events.ShardOf(fmt.Sprintf("tenant-%d", i), n)]++
	}
	for k, c := range count {
		if c < tenants/n/2 || c > tenants/n*2 {
			t.Errorf("shard %d has %d of %d tenants", k, c, tenants)
		}
	}
}
