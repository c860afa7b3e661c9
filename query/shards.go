package query

import (
	"math"
	"time"

	"github.com/rescindhq/rescind/events"
)

// shard is the one that a tenant is in.
func (s *Server) shard(tenant string) uint16 { return events.ShardOf(tenant, s.cfg.Shards) }

// where is a question to the stores: about a tenant, or allTenants, in a shard.
type where struct {
	tenant string
	shard  uint16
}

// where is what to ask about tenants: each in its shard, all of them in every
// one.
func (s *Server) where(tenants []string) (out []where) {
	for _, t := range tenants {
		if t != allTenants {
			out = append(out, where{t, s.shard(t)})
			continue
		}
		for k := range s.cfg.Shards {
			out = append(out, where{t, uint16(k)})
		}
	}
	return out
}

// places is where a list of several shards, each the newest first, goes on: below
// an index in each.
type places []uint64

// places is what a cursor says, or the beginning of every shard where there is
// none.
func (s *Server) places(query any, cursor string) (places, error) {
	at, err := parseCursors(query, cursor, s.cfg.Shards)
	if err != nil {
		return nil, err
	}
	if at == nil {
		at = make([]uint64, s.cfg.Shards)
		for k := range at {
			at[k] = math.MaxUint64
		}
	}
	return at, nil
}

// before is what to ask a shard for; nil where it is to begin.
func (p places) before(shard uint16) *uint64 {
	if p[shard] == math.MaxUint64 {
		return nil
	}
	at := p[shard]
	return &at
}

// passed notes that what has this index was answered.
func (p places) passed(shard uint16, index uint64) { p[shard] = index }

// newest is up to limit of what lists hold, always taken from the head of the
// list whose head is the newest: so each list is answered in its own order,
// whatever the clocks of their writers say, and what is left of it is all that
// is below the last that was taken.
func newest[T any](lists [][]T, limit int, at func(T) time.Time) (out []T) {
	for len(out) < limit {
		var next *[]T
		for k := range lists {
			l := &lists[k]
			if len(*l) > 0 && (next == nil || at((*l)[0]).After(at((*next)[0]))) {
				next = l
			}
		}
		if next == nil {
			break
		}
		out, *next = append(out, (*next)[0]), (*next)[1:]
	}
	return out
}
