package query

import (
	"context"
	"errors"
	"time"

	"github.com/rescindhq/rescind/events"
)

// ErrNotFound is returned where nothing is there, or nothing that the caller's
// tenant may see: the two cannot be told apart from outside.
var ErrNotFound = errors.New("not found")

// Search says which events of one tenant are wanted, or of all. A member at its
// zero value restricts nothing, but for Tenant and Shard.
// Identifiers of persons are not searched for: the caller turns them into
// references first.
type Search struct {
	Tenant     string // required, but where AllTenants is set: then empty
	AllTenants bool   `json:",omitzero"` // for a caller that reaches all tenants
	Issuer     string
	SubjectRef events.Ref
	TokenRef   events.Ref
	SessionRef events.Ref
	ID         string     `json:",omitzero"` // of the event; not indexed: bound it in time
	Source     string     `json:",omitzero"` // of the event; neither is it
	Lifts      events.Ref `json:",omitzero"` // the event that is lifted
	Client     string
	KeyID      string
	Types      []events.Type // any of these
	Outcome    string
	From       time.Time // the publisher's time, at or after
	To         time.Time // the publisher's time, before
	Shard      uint16
	After      *uint64 // continue behind this index: above it, or below it where Descending
	Descending bool    // newest index first
	Limit      int     // rows in an answer of Search; 0 means DefaultLimit, more than MaxLimit is cut to it
}

// The bounds of [Search.Limit] and [FindingSearch.Limit].
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Row is one record with its place: the index in the log of its shard.
type Row struct {
	Shard     uint16
	Index     uint64
	Record    events.Record
	Duplicate *Duplicate // where it was found to repeat an earlier event
}

// Duplicate says what a row repeats: an event with the same tenant, source and
// id that the intake no longer remembered.
type Duplicate struct {
	Of      uint64 // index of the first one
	Content string // same, different or unknown: of what the publisher said in both
}

// EventStore answers from the long-lived record of what happened. It never
// sees a tenant's rows through a search for another tenant; a search that names
// none, and does not say that it means all, is an error. An answer may lag
// behind the log by what the audit projector has not written yet, but has no
// hole below the highest index it holds. All methods may be called from any
// goroutine, change nothing, and are bounded in time and rows by the store.
//
// Errors: ErrNotFound where said; the context's own; anything else means that
// the store could not answer, and may be tried again.
type EventStore interface {
	// Search returns matching rows in the order of their index, at most
	// Limit. Fewer rows than the limit mean that there are no more now.
	Search(ctx context.Context, s Search) ([]Row, error)

	// Count is how many rows match, whatever After and Limit say.
	Count(ctx context.Context, s Search) (uint64, error)

	// Issuers is up to limit issuers that the tenant's events in a shard name,
	// in no order. It reads more than the other methods: ask it only where an
	// identifier came without its issuer. Rows and errors are those of Search.
	Issuers(ctx context.Context, tenant string, shard uint16, limit int) ([]string, error)

	// Event returns one row of a shard. Tenant "" stands for any, for a
	// caller that reaches all tenants. It returns ErrNotFound where the index
	// is not there or is another tenant's.
	Event(ctx context.Context, tenant string, shard uint16, index uint64) (Row, error)

	// Sealed returns the sealed personal parts of the tenant's events at
	// these indices of a shard, at most MaxLimit of them. People are the
	// subjects of these events. An index without a part, or of another tenant
	// or subject, is not in the map.
	Sealed(ctx context.Context, tenant string, shard uint16, indices []uint64, people []events.Ref) (map[uint64][]byte, error)
}

// FindingState says where a finding stands.
type FindingState string

// The states, each named by the last event of the finding.
const (
	FindingOpen         FindingState = "open"
	FindingAcknowledged FindingState = "acknowledged"
	FindingClosed       FindingState = "closed"
)

// FindingSearch says which findings are wanted. Members at their zero value
// restrict nothing, but for Tenant and Shard.
type FindingSearch struct {
	Tenant     string // as in Search
	AllTenants bool   // as in Search
	Shard      uint16
	State      FindingState
	Control    string  // id of a control
	ID         string  // one finding
	Before     *uint64 // continue below this Finding.Index
	Limit      int     // as in Search
}

// Finding is a breach of a control, folded from its finding.* events: what the
// opening said, and the state after the last of them.
type Finding struct {
	ID         string
	Tenant     string
	Shard      uint16
	Index      uint64 // of the last finding.opened event
	State      FindingState
	Control    string            // attributes.control
	Severity   string            // attributes.severity
	Title      string            // attributes.title
	Clauses    []string          // attributes.clauses, which joins them by "; "
	Attributes map[string]string // all attributes of the opening
	Opened     time.Time         // the opening's time
	Changed    time.Time         // time of the last event
	Actor      string            // who acknowledged or closed it; "" while open
	Reason     string            // why, as they said
}

// FindingStore answers what the controls have found.
type FindingStore interface {
	// Findings returns matching findings, the last opened first, at most
	// Limit. Concurrency, bounds and errors are those of EventStore.
	Findings(ctx context.Context, s FindingSearch) ([]Finding, error)
}
