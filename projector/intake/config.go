package intake

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/faults"
	"github.com/rescindhq/rescind/projector/controls"
)

// Source is where messages come from. Ack of a message may come much later, in
// any order, or never: then it is delivered again.
type Source interface {
	// Next waits for a message of a lane and returns those that are there, as
	// many as fit into maxBytes (one always does). One goroutine calls it for a
	// lane. An error that is not that of ctx means that this source has ended.
	Next(ctx context.Context, lane events.Lane, maxBytes int) ([]stream.IntakeMessage, error)

	// Created identifies the stream that the sequences are of.
	Created() time.Time

	// Last is the highest sequence that the stream had given when this source
	// was opened.
	Last() uint64

	// Oldest is when the oldest of the messages was stored that are there and
	// were not taken; zero where there is none. Any goroutine may call it.
	Oldest() time.Time

	// Close ends it. What was taken and not acknowledged is delivered at once
	// to whoever opens the next one.
	Close()
}

// Log is what is appended to, and read when a writer starts. Every method sees
// each Append that has returned.
type Log interface {
	Tip
	History
}

// Tip is the end of the log.
type Tip interface {
	// Append writes data behind expectLast and returns once it is durable. An
	// error that wraps stream.ErrFenced means that it was not written; after
	// any other it may have been, and may still be.
	Append(ctx context.Context, lane events.Lane, data []byte, expectLast uint64) (uint64, error)

	// Last is the last message, with Seq 0 where there is none.
	Last(ctx context.Context) (stream.LogMessage, error)
}

// History is what was appended.
type History interface {
	// Get is one message. Sequences begin at 1 and have no holes.
	Get(ctx context.Context, seq uint64) (stream.LogMessage, error)

	// LastOf is the last message of a lane, with Seq 0 where there is none.
	LastOf(ctx context.Context, lane events.Lane) (stream.LogMessage, error)

	// Read yields messages in order, from a sequence, of all lanes or some.
	Read(ctx context.Context, from uint64, lanes ...events.Lane) (*stream.Reader, error)
}

// Quarantine keeps what was refused. Put is durable on return, may be called
// from several goroutines, and does nothing the second time.
type Quarantine interface {
	Put(ctx context.Context, q stream.Quarantined) error
}

// Keyring is where keys come from: see seal.Keyring for the contract.
type Keyring interface {
	Tenant(ctx context.Context, tenant string) (*seal.Tenant, error)
	TenantKey(ctx context.Context, tenant string) (seal.SubjectKey, error)
	Subjects(ctx context.Context, people []seal.Person) ([]seal.SubjectKey, error)
	FindIntakeKeys(ctx context.Context, ids ...string) (map[string]envelope.PrivateKey, error)
}

// Config is what an intake needs.
type Config struct {
	// Open, Log, Quarantine and Keyring are required. Open opens the source: it
	// is called whenever this intake begins to write, by one goroutine.
	Open       func(ctx context.Context) (Source, error)
	Log        Log
	Quarantine Quarantine
	Keyring    Keyring

	// Elect waits until this intake is the one to write, and returns a term that
	// ends when it is not any more: because another may be, or because resign
	// was called. It is courtesy between intakes and saves them from fencing
	// each other: the log alone decides who has written. nil is for one that has
	// no others beside it: it always writes.
	Elect func(ctx context.Context) (term context.Context, resign func(), err error)

	// Controls is what events are held to. Its zero value is the default.
	Controls controls.Config

	// Policy is what the deployment asks of every event. Environment is
	// required: every record names it.
	Policy events.Policy

	// Plaintext takes personal data that was not encrypted to the intake. Such
	// data is in clear on the disk of NATS, and stays in its deleted blocks: only
	// for development.
	Plaintext bool

	// Shard is the number of this log. Default 0.
	Shard uint16

	// MaxLifetime is the longest that a token may live: how long a revocation
	// must last where the event does not say when its tokens expire. A token
	// that lives longer could be accepted again, so this wants to be the longest
	// of any issuer. Default 24 h; 1 min to 8784 h.
	MaxLifetime time.Duration

	// Skew is how far the clocks of verifiers may be behind: how much longer a
	// revocation lasts than its tokens. Default 1 min; up to 1 h.
	Skew time.Duration

	// DedupIDs is how many events duplicates are compared with: the latest that
	// were logged, about 32 bytes each. Default 5,000,000; 1,000 to 100,000,000.
	DedupIDs int

	// DedupWindow is how old, by the clock of the log, an event may be that an
	// intake which starts reads back to compare with; it reads the last 100,000
	// however old they are, as a clock may jump. It bounds how long a start
	// takes, about 10 s a million. Default 2 h; 1 min to 168 h.
	DedupWindow time.Duration

	// Grace is how long Run may take to finish what it has in hand when it is
	// told to stop. Default 10 s; 1 ms to 5 min.
	Grace time.Duration

	// Now is the clock, called from several goroutines. Default time.Now.
	Now func() time.Time

	// Logger is told about each batch and what went wrong, never about a person.
	// Default: nothing is logged.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.MaxLifetime = cmp.Or(c.MaxLifetime, 24*time.Hour)
	c.Skew = cmp.Or(c.Skew, time.Minute)
	c.DedupWindow = cmp.Or(c.DedupWindow, 2*time.Hour)
	c.DedupIDs = cmp.Or(c.DedupIDs, 5_000_000)
	c.Grace = cmp.Or(c.Grace, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var f faults.List
	f.Check(c.Open != nil, "open is missing")
	f.Check(c.Log != nil, "log is missing")
	f.Check(c.Quarantine != nil, "quarantine is missing")
	f.Check(c.Keyring != nil, "keyring is missing")
	f.Check(c.Policy.Environment != "", "policy: environment is missing")
	f.Between("max lifetime", c.MaxLifetime, time.Minute, 8784*time.Hour)
	f.Between("skew", c.Skew, 0, time.Hour)
	f.Between("dedup window", c.DedupWindow, time.Minute, 168*time.Hour)
	f.Check(c.DedupIDs >= 1000 && c.DedupIDs <= 100_000_000, "dedup ids %d: want 1000 to 100000000", c.DedupIDs)
	f.Between("grace", c.Grace, time.Millisecond, 5*time.Minute)
	f.Add(c.Controls.Validate())
	return f.Of("intake")
}
