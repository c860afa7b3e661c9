package revocation

import (
	"cmp"
	"slices"

	"github.com/rescindhq/rescind/events"
)

// logged is a row with what the set knows of it elsewhere.
type logged struct {
	row          // its kind is a number among the kinds beside it
	at    int64  // s
	shard uint16 // of its tenant
}

// entries appends what r says as entries: the revocation, then its lift.
func (r *logged) entries(out []Entry, k *kind) []Entry {
	if k.known {
		out = append(out, Entry{Hash: r.hash.ref(), Index: r.index, Scope: scopes[k.scope], IssuedBefore: stamp(r.cutoff),
			Starts: stamp(r.starts), Expires: stamp(r.expires), At: stamp(r.at), Reason: k.reason, Key: k.key})
	}
	if k.lifted {
		out = append(out, Entry{Hash: r.hash.ref(), Index: r.index, Lift: true, Expires: stamp(r.expires), Key: k.key})
	}
	return out
}

// inOrder is the whole set, by shard and in the order of the log, with the
// kinds that its rows have. Revocations that are applied meanwhile are in it or
// not.
func (s *Set) inOrder() ([]logged, []kind) {
	c := collector{set: s, numbers: make(map[kind]uint32), rows: make([]logged, 0, s.Len())}
	s.walkRows(c.add)
	slices.SortFunc(c.rows, func(a, b logged) int {
		return cmp.Or(cmp.Compare(a.shard, b.shard), cmp.Compare(a.index, b.index), a.hash.compare(b.hash))
	})
	return c.rows, c.kinds
}

// collector makes rows independent of the set.
type collector struct {
	set     *Set
	rows    []logged
	kinds   []kind
	numbers map[kind]uint32
	last    uint32 // number of a kind in the set, plus one
	number  uint32 // and ours
}

func (c *collector) add(rows []row) {
	c.last = 0 // numbers may have been given again
	for _, r := range rows {
		r.kind = c.kind(r.kind)
		k := &c.kinds[r.kind]
		out := logged{row: r, shard: events.ShardOf(k.key.Tenant, len(c.set.times))}
		if k.known {
			out.at = c.set.times[out.shard].at(r.index)
		}
		c.rows = append(c.rows, out)
	}
}

// kind is our number of what is a kind in the set.
func (c *collector) kind(n uint32) uint32 {
	if c.last == n+1 {
		return c.number
	}
	k := *c.set.kinds.get(n)
	ours, there := c.numbers[k]
	if !there {
		ours = uint32(len(c.kinds))
		c.numbers[k], c.kinds = ours, append(c.kinds, k)
	}
	c.last, c.number = n+1, ours
	return ours
}

// Entries is the whole set as entries: by shard, then in the order of the log,
// and each revocation before its lift.
func (s *Set) Entries() []Entry {
	rows, kinds := s.inOrder()
	out := make([]Entry, 0, len(rows))
	for i := range rows {
		out = rows[i].entries(out, &kinds[rows[i].kind])
	}
	return out
}
