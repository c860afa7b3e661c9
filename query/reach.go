package query

import (
	"context"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/leak"
)

// ReachStore answers what a revocation reaches: tokens that live, before it is
// made, and tokens that were accepted all the same, after. Concurrency, bounds
// and errors are those of EventStore.
type ReachStore interface {
	// Hits counts the live tokens that a revocation would reach.
	Hits(ctx context.Context, s HitSearch) (Hits, error)

	// Reach counts subjects, and tokens that name none, up to limit: it stops
	// there, so that it is quick where a revocation reaches many.
	Reach(ctx context.Context, s HitSearch, limit uint64) (uint64, error)

	// Refused counts those of the live tokens that a revocation would reach which
	// others reach already, as far as the events below end tell.
	Refused(ctx context.Context, s HitSearch, end uint64) (uint64, error)

	// Leaks returns what was accepted although it was revoked, in the order of
	// the index, and how much that is in all.
	Leaks(ctx context.Context, s LeakSearch) (LeakPage, error)
}

// HitSearch says which live tokens are meant: those that a revocation of this
// scope would reach. The reference of token, session, grant or subject is that
// of the scope; where it is zero nothing matches.
type HitSearch struct {
	Tenant      string // required
	Shard       uint16
	Scope       events.Scope
	Ref         events.Ref
	Issuer      string
	Client      string
	KeyID       string
	Cutoff      events.Timestamp // 0: whatever iat says
	Now         time.Time        // what expires by then does not count
	MaxLifetime time.Duration    // of tokens whose expiry nobody told
}

// Hits is how many live tokens match, and of how many of each.
type Hits struct {
	Tokens, Subjects, Sessions, Clients uint64

	Reach    uint64 // subjects, and tokens that name none
	AtLeast  bool   // more match than were counted
	Position uint64 // everything below this index was looked at
}

// LeakSearch says which leaks are wanted.
type LeakSearch struct {
	Revoked leak.Revoked
	Bound   time.Duration // above it, what is accepted is late
	After   *uint64       // continue above this index
	Limit   int           // as in Search
}

// LeakPage is some leaks of a revocation, and how many there are of each kind.
type LeakPage struct {
	Rows                  []Row
	Ignored, Late, Within uint64
	Position              uint64 // everything below this index was looked at
}
