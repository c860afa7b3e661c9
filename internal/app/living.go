package app

import (
	"context"
	"slices"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/store"
)

// living counts the tokens that an erasure refuses, in the audit store.
type living struct {
	store    *store.Store
	lifetime time.Duration // of tokens whose expiry nobody told
}

// Living implements erasure.Tokens. It is exact where the store has the erasure's
// revocation, and with that all that is before it on the log.
func (l living) Living(ctx context.Context, r erasure.Living) (n uint64, exact bool, err error) {
	recorded, err := l.recorded(ctx, r)
	if err != nil {
		return 0, false, err
	}
	hits, err := l.store.Hits(ctx, query.HitSearch{
		Tenant: r.Tenant, Shard: r.Shard, Scope: events.ScopeSubject, Ref: r.Person, Cutoff: events.TimestampOf(r.At), Now: r.At, MaxLifetime: l.lifetime,
	})
	return hits.Tokens, recorded && !hits.AtLeast, err
}

// recorded reports whether the store has the revocation that an erasure made of what
// was issued up to r.At.
func (l living) recorded(ctx context.Context, r erasure.Living) (bool, error) {
	rows, err := l.store.Search(ctx, query.Search{
		Tenant: r.Tenant, Shard: r.Shard, SubjectRef: r.Person, Types: []events.Type{events.SubjectRevoked}, Descending: true, Limit: query.MaxLimit,
	})
	return slices.ContainsFunc(rows, func(row query.Row) bool {
		v := row.Record.Revocation
		return row.Record.Source == erasure.Source && v != nil && v.IssuedBefore == events.TimestampOf(r.At)
	}), err
}
