package erasure

import (
	"context"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/recipient"
)

// Lane is the control lane as it is followed: *lane.Follower.
type Lane interface {
	// Handle registers fn, which then sees every control record in order.
	Handle(fn func(lane.Entry))
	// Wait returns the index, in its shard, of an event once fn has seen it.
	Wait(ctx context.Context, ref events.Ref) (uint64, error)
	// Sync returns once fn has seen all that is on the logs now.
	Sync(ctx context.Context) error
	// Record reads a record again that fn has seen, by the Seq of its Place.
	Record(ctx context.Context, shard uint16, seq, index uint64) (*events.Record, error)
}

// Publisher puts events into the intake: *stream.Publisher.
type Publisher interface {
	// Publish returns nil once every event is durable. It may be called again
	// with the same ids after an error.
	Publish(ctx context.Context, evs ...events.Event) error
}

// Keyring knows people's keys: *seal.Keyring.
type Keyring interface {
	// Lookup never makes a key; it wraps seal.ErrNotFound where there is none.
	Lookup(ctx context.Context, p seal.Person) (seal.SubjectKey, error)
	// LookupTenant wraps seal.ErrNotFound where the tenant was never seen.
	LookupTenant(ctx context.Context, tenant string) (*seal.Tenant, error)
	// Open wraps seal.ErrDestroyed where the person was forgotten.
	Open(ctx context.Context, r seal.OpenRequest) ([]byte, error)
	// Destroy forgets a person; it can be called again after any error.
	Destroy(ctx context.Context, tenant string, ref events.Ref) (seal.Destroyed, error)
	// Fence is the first step of Destroy. When it returns, nobody seals for the
	// person any more. Between the two only OpenFenced opens what is theirs.
	Fence(ctx context.Context, tenant string, ref events.Ref) error
	OpenFenced(ctx context.Context, r seal.OpenRequest) ([]byte, error)
	// HoldKey makes the key of a hold where there is none; it and OpenHeld wrap
	// seal.ErrDestroyed once DestroyHold was called.
	HoldKey(ctx context.Context, tenant string, hold events.Ref) (seal.SubjectKey, error)
	OpenHeld(ctx context.Context, hold events.Ref, r seal.OpenRequest) ([]byte, error)
	DestroyHold(ctx context.Context, tenant string, hold events.Ref) error
	// KeyMark names a person's key by what it leaves in the keyring; it wraps
	// seal.ErrDestroyed where the key is gone.
	KeyMark(ctx context.Context, tenant string, ref events.Ref) (string, error)
	// Residue is from when copies of the keyring that were made before now open
	// nothing; it wraps seal.ErrPermanent where that is never so, and seal.ErrOverdue
	// where nobody can say.
	Residue(ctx context.Context) (time.Time, error)
	// ReceiptKeys is what receipts are or were signed with, the oldest first. It
	// makes the first.
	ReceiptKeys(ctx context.Context) ([]seal.ReceiptKey, error)
	// RenewFor makes a new key for a person who was forgotten, once for what by
	// names. When it returns, every process knows. RenewedFor is what it was made for,
	// also where RenewFor was stopped in between.
	RenewFor(ctx context.Context, p seal.Person, by events.Ref) (seal.SubjectKey, error)
	RenewedFor(ctx context.Context, p seal.Person) (events.Ref, error)
}

// Archive is the audit store, as far as holds need it.
type Archive interface {
	// End is the index behind the last record that is on the log of the shard now.
	End(ctx context.Context, shard uint16) (uint64, error)
	// CatchUp returns once all below end is in the archive, and says below which index
	// all is, also with an error. It waits some seconds at most: called again with the
	// same end, it comes to it unless the archive stands still.
	CatchUp(ctx context.Context, shard uint16, end uint64) (recorded uint64, err error)
	// Parts is up to Limit personal parts that w wants, in the order of the
	// index; fewer mean that there are no more. What was dropped since is not
	// among them.
	Parts(ctx context.Context, w Wanted) ([]Part, error)
}

// Disclosures is the audit store, as far as recipients need it, beside
// Archive.CatchUp.
type Disclosures interface {
	// Disclosed is where a person's data went, as far as the archive has it.
	Disclosed(ctx context.Context, tenant string, shard uint16, person events.Ref) (recipient.Disclosed, error)
}

// Wanted says which personal parts of a person are meant.
type Wanted struct {
	Tenant string
	Shard  uint16
	Person events.Ref
	Match  hold.Match
	From   uint64 // index to begin with
	Limit  int    // of records looked at; above 0
}

// Part is a record with its sealed personal part.
type Part struct {
	Index  uint64
	Record *events.Record
	Sealed []byte // nil where it is not there any more
}

// Held keeps what holds keep: *stream.Held. What is put is durable on return,
// and once however often it is put.
type Held interface {
	Put(ctx context.Context, p stream.HeldPart, sealed []byte) error
	// Get wraps stream.ErrNotFound where there is none.
	Get(ctx context.Context, p stream.HeldPart) ([]byte, error)
	// List is the indices of what a hold keeps of a person.
	List(ctx context.Context, p stream.HeldPart) (map[uint64]bool, error)
	// Purge removes all that it keeps of them.
	Purge(ctx context.Context, p stream.HeldPart) error
}
