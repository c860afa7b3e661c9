package app

import (
	"context"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
)

// living counts the tokens that an erasure refuses, in the audit store.
type living struct {
	store    query.ReachStore
	lifetime time.Duration // of tokens whose expiry nobody told
}

// Living implements erasure.Tokens.
func (l living) Living(ctx context.Context, r erasure.Living) (n uint64, exact bool, err error) {
	hits, err := l.store.Hits(ctx, query.HitSearch{
		Tenant: r.Tenant, Shard: r.Shard, Scope: events.ScopeSubject, Ref: r.Person, Cutoff: events.TimestampOf(r.At), Now: r.At, MaxLifetime: l.lifetime,
	})
	return hits.Tokens, !hits.AtLeast, err
}
