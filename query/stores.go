package query

import (
	"context"
	"net/http"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/export"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/receipt"
	"github.com/rescindhq/rescind/query/verifiers"
	"github.com/rescindhq/rescind/revocation"
)

// Publisher puts events into the intake: *stream.Publisher. It may be called
// from any goroutine.
type Publisher interface {
	// Publish returns nil once every event is durable. A *stream.NotAccepted
	// names those that are not; they may be published again under the same ids.
	Publish(ctx context.Context, evs ...events.Event) error
}

// Lane is the control lane as it is followed: *lane.Follower.
type Lane interface {
	// Handle registers fn, which then sees every control record in order. It
	// is called before the lane runs.
	Handle(fn func(lane.Entry))
	// Wait returns the log index of an event once fn has seen it.
	Wait(ctx context.Context, ref events.Ref) (uint64, error)
}

// Keyring turns identifiers into references, and opens what is sealed:
// *seal.Keyring. They are used so that no key
// is made for a person or a tenant.
type Keyring interface {
	// Lookup wraps seal.ErrNotFound where the person was never seen; Erased is
	// set where they were forgotten.
	Lookup(ctx context.Context, p seal.Person) (seal.SubjectKey, error)
	// TenantKey seals what names no person, of a tenant that LookupTenant finds.
	TenantKey(ctx context.Context, tenant string) (seal.SubjectKey, error)
	// LookupTenant wraps seal.ErrNotFound where the tenant was never seen.
	LookupTenant(ctx context.Context, tenant string) (*seal.Tenant, error)
	// Open wraps seal.ErrDestroyed where the person was forgotten, and
	// seal.ErrSealed where the bytes are not what was sealed.
	Open(ctx context.Context, r seal.OpenRequest) ([]byte, error)
}

// EnvelopeKeys is the keys that publishers encrypt to.
type EnvelopeKeys interface {
	// Published is the public halves of those that have not ended.
	Published(ctx context.Context) (envelope.Set, error)
	// FindIntakeKeys is those of these ids that are there. Beside an error one
	// that is missing may be there.
	FindIntakeKeys(ctx context.Context, ids ...string) (map[string]envelope.PrivateKey, error)
}

// Decider decides about tokens from this process's view of the revocation
// set: *feed.Feed. It does not block.
type Decider interface {
	Decide(c revocation.Claims) revocation.Decision
}

// Receipts knows where revocations are enforced: *verifiers.Registry. It may be
// called from any goroutine.
type Receipts interface {
	// Enforced and List answer from memory; false before that is filled.
	Enforced(of verifiers.Revoked) (verifiers.Enforcement, bool)
	List() ([]verifiers.Verifier, bool)
	// Wait returns when every fresh verifier has applied the revocation, or ctx
	// has ended, and says which it was.
	Wait(ctx context.Context, of verifiers.Revoked) (verifiers.Enforcement, bool)
}

// Requests is the workflow of data subjects' requests: *erasure.Workflow. Its
// errors are those of package erasure.
type Requests interface {
	// Receive says whether the request joined the one that is returned.
	Receive(ctx context.Context, in erasure.Input) (r erasure.Request, joined bool, err error)
	// AskFor is Receive of what was sent from elsewhere, under an id of the
	// sender's; FindAsk and Withdraw find it by that.
	AskFor(ctx context.Context, in erasure.Input, a erasure.Ask) (erasure.Request, erasure.Asked, error)
	FindAsk(ctx context.Context, tenant, by, id string) (erasure.Request, erasure.Asked, error)
	Withdraw(ctx context.Context, tenant, by, id string) (erasure.Request, erasure.Asked, error)
	Act(ctx context.Context, a erasure.Act) (erasure.Request, error)
	Lift(ctx context.Context, a erasure.Act) (erasure.Request, error)
	// OpenHeld opens what a hold keeps of somebody who was forgotten, and says
	// which. Sealed is the part as it is archived. The error wraps
	// seal.ErrDestroyed where none does.
	OpenHeld(ctx context.Context, shard uint16, index uint64, record *events.Record, sealed []byte) (plain []byte, by string, err error)
	PlaceHold(ctx context.Context, in erasure.HoldInput) (hold.Hold, error)
	ReleaseHold(ctx context.Context, a erasure.HoldRelease) (hold.Hold, error)
	GetHold(id string, reaches func(tenant string) bool) (hold.Hold, error)
	ListHolds(reaches func(tenant string) bool, active bool) []hold.Hold
	// Settle records what a person says of a recipient, and Attempts what came of
	// trying to tell those who were not told yet.
	Settle(ctx context.Context, s erasure.Settlement) (erasure.Request, error)
	Attempts(ctx context.Context, r *erasure.Request) (map[string]erasure.Tried, error)
	Renew(ctx context.Context, in erasure.Renewal) (erasure.Renewed, error)
	// Restrictions is which of people are not to be opened, and by what
	// request, as the log says when it is called.
	Restrictions(ctx context.Context, tenant string, people []events.Ref) (map[events.Ref]string, error)
	// Export is where the export is that a request was answered with.
	Export(id string, reaches func(tenant string) bool) (stream.ExportPlace, error)
	Get(id string, reaches func(tenant string) bool) (erasure.Request, error)
	List(f erasure.Filter) []erasure.Request
	// Receipt is the receipt of an erasure, as it was signed.
	Receipt(ctx context.Context, id string, reaches func(tenant string) bool) (receipt.JWS, error)
	// ReceiptKeys is what receipts are verified with.
	ReceiptKeys(ctx context.Context) ([]receipt.Key, error)
}

// Exports hands out what was made of requests for access and portability:
// *export.Office. Its errors are those of package export.
type Exports interface {
	// Whose says who an export is about, where there is one.
	Whose(ctx context.Context, place stream.ExportPlace) (issuer, subject string, err error)
	// Issue makes a link, for a public key of age or, where to is empty, a
	// passphrase. The one before it leads nowhere from then on.
	Issue(ctx context.Context, place stream.ExportPlace, to string) (export.Link, error)
	// Open is what a link's secret leads to.
	Open(ctx context.Context, place stream.ExportPlace, secret string) (*export.Download, error)
}

// QuarantineStore keeps what was refused: *stream.Quarantine.
type QuarantineStore interface {
	// Put is durable on return. The same event refused again is kept once.
	Put(ctx context.Context, q stream.Quarantined) error
	// List is up to limit entries behind sequence after, the oldest first.
	List(ctx context.Context, after uint64, limit int) ([]stream.Quarantined, error)
	// Get wraps stream.ErrNotFound where there is no such entry.
	Get(ctx context.Context, seq uint64) (stream.Quarantined, error)
	// Replayed is the last replay of an entry, one of Count 0 where there was
	// none.
	Replayed(ctx context.Context, q stream.Quarantined) (stream.Replay, error)
	// Replay publishes the payload on the entry's subject, durably, and notes
	// it. It may be repeated.
	Replay(ctx context.Context, q stream.Quarantined, payload stream.Payload, actor string, now time.Time) (stream.Replay, error)
}

// Feed passes the revocation feed on: *feedhttp.Server. An error of the first
// two means that nothing was sent.
type Feed interface {
	// Stream sends events behind the Last-Event-ID of r, until r or until ends.
	Stream(w http.ResponseWriter, r *http.Request, until time.Time) error
	// Snapshot answers GET and HEAD.
	Snapshot(w http.ResponseWriter, r *http.Request) error
	// Keys is a page of feed keys and its signature.
	Keys(ctx context.Context, r revocation.KeysRequest) (body, signature []byte, err error)
}
