package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
)

// The kinds of export, which are types of request.
const (
	Access      = "access"
	Portability = "portability"
)

// ErrGone says that there is no export that can be had: it was never made, is
// too old, or the person was forgotten.
var ErrGone = errors.New("no such export")

// ErrBehind says that the archive of a shard has not got what an order wants. Made
// again it comes to it, unless the archive stands still. Exports of other shards may
// be made.
var ErrBehind = errors.New("the archive is behind its log")

// Keyring knows people's keys: *seal.Keyring.
type Keyring interface {
	// Lookup never makes a key; Erased is set where the person was forgotten.
	Lookup(ctx context.Context, p seal.Person) (seal.SubjectKey, error)
	// Open wraps seal.ErrDestroyed where the person was forgotten, and
	// seal.ErrSealed where the bytes are not what was sealed.
	Open(ctx context.Context, r seal.OpenRequest) ([]byte, error)
}

// Archive is the audit store, as far as exports need it.
type Archive interface {
	// End is the index behind the last record that is on the log of the shard now.
	End(ctx context.Context, shard uint16) (uint64, error)
	// CatchUp returns once all below end is in the archive, and says below which index
	// all is. It waits some seconds at most.
	CatchUp(ctx context.Context, shard uint16, end uint64) (recorded uint64, err error)
	// Select is up to Limit records that s wants, in the order of the index;
	// fewer mean that there are no more.
	Select(ctx context.Context, s Selection) ([]Part, error)
}

// Selection says which records of a tenant are meant: those from index From to
// before End that have the relation to the person. ReadingOf may yield records
// that are none.
type Selection struct {
	Tenant    string
	Shard     uint16
	Person    events.Ref
	Relation  Relation
	From, End uint64
	Limit     int // above 0
}

// Part is a record with its sealed personal part.
type Part struct {
	Index  uint64
	Record *events.Record
	Sealed []byte // nil where it is not there any more
}

// Store keeps the parts of exports: *stream.Exports.
type Store interface {
	// Put is durable on return, and takes the place of what was there.
	Put(ctx context.Context, p stream.ExportPlace, part string, body []byte) error
	// Get wraps stream.ErrNotFound where nothing is there.
	Get(ctx context.Context, p stream.ExportPlace, part string) ([]byte, error)
	Drop(ctx context.Context, p stream.ExportPlace) error
	DropAll(ctx context.Context, tenant string, subject events.Ref) error
}

// Config is what an Office needs.
type Config struct {
	// Archive, Keyring and Store are required.
	Archive Archive
	Keyring Keyring
	Store   Store

	// Statement is what only the controller can say, as plain text: who they
	// are, purposes and legal bases, transfers, how long data is kept, where to
	// complain (GDPR article 15(1) and (2)). Default none: the page says so.
	Statement string

	// LinkTTL is how long a link can be used. Default 168 h; at most
	// stream.ExportsKept.
	LinkTTL time.Duration

	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// MaxStatementBytes bounds Config.Statement.
const MaxStatementBytes = 64 << 10

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	var faults []error
	if c.Archive == nil || c.Keyring == nil || c.Store == nil {
		faults = append(faults, errors.New("archive, keyring and store are required"))
	}
	if c.LinkTTL < 0 || c.LinkTTL > stream.ExportsKept {
		faults = append(faults, fmt.Errorf("link ttl %s: want more than 0, and at most %s", c.LinkTTL, stream.ExportsKept))
	}
	if len(c.Statement) > MaxStatementBytes {
		faults = append(faults, fmt.Errorf("statement of %d bytes: want at most %d", len(c.Statement), MaxStatementBytes))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// Office makes exports and hands them out. It may be used from any goroutine.
type Office struct{ cfg Config }

// New is an office over cfg.
func New(cfg Config) (*Office, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.LinkTTL == 0 {
		cfg.LinkTTL = 7 * 24 * time.Hour
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Office{cfg}, nil
}

// Forget removes every export of a person whose key was destroyed.
func (o *Office) Forget(ctx context.Context, tenant string, person events.Ref) error {
	return o.cfg.Store.DropAll(ctx, tenant, person)
}

// Drop removes one export.
func (o *Office) Drop(ctx context.Context, p stream.ExportPlace) error {
	return o.cfg.Store.Drop(ctx, p)
}

// gone turns what says that a person was forgotten into ErrGone.
func gone(err error) error {
	if errors.Is(err, seal.ErrDestroyed) || errors.Is(err, seal.ErrNotFound) || errors.Is(err, stream.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}
