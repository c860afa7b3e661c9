package events

// MaxShards bounds the shards of a deployment: each is a log with a writer, a
// tree and an index of its own.
const MaxShards = 64

// ShardOf is the shard of a tenant where tenants are split over n shards:
// FNV-1a of 32 bits over its name, modulo n, which is what NATS computes for
// {{partition(n,…)}} in a subject mapping. n of 0 or 1 is one shard.
func ShardOf(tenant string, n int) uint16 {
	if n <= 1 {
		return 0
	}
	const offset, prime = 2166136261, 16777619
	sum := uint32(offset)
	for i := range len(tenant) {
		sum = (sum ^ uint32(tenant[i])) * prime
	}
	return uint16(sum % uint32(n))
}
