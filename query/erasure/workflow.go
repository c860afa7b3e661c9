package erasure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/deadline"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/recipient"
)

// Source is the CloudEvents source of the events that this package publishes.
const Source = "rescind:requests"

var (
	// ErrNotFound says that there is no such request within reach.
	ErrNotFound = errors.New("no such request")

	// ErrFourEyes says that an approval needs somebody else.
	ErrFourEyes = errors.New("who received or verified a request cannot approve it")

	// ErrPending says that an event is durable but not on the log yet: what
	// becomes of it will be seen by reading the request again.
	ErrPending = errors.New("recorded, but not on the log yet")
)

// ErrTooLate says that the time in which something could be done is over.
var ErrTooLate = errors.New("too late")

// errNotOurs says that an event is not one that changes a request.
var errNotOurs = errors.New("not an event of the workflow")

// MemberError says which member of what was asked is not acceptable.
type MemberError struct {
	Member string
	Detail string // what would be right
}

func (e *MemberError) Error() string { return e.Member + ": " + e.Detail }

// StateError says that a request's state does not allow what was asked.
type StateError struct {
	State State // as it stands
	To    State // as it was asked to be
}

func (e *StateError) Error() string {
	switch {
	case e.State == e.To:
		return fmt.Sprintf("the request is %s already", e.State)
	case e.To == State(Exported):
		return fmt.Sprintf("a request that is %s has no export: it is made once it was approved, and is there when it is completed: exported", e.State)
	}
	return fmt.Sprintf("a request that is %s cannot become %s", e.State, e.To)
}

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
	// nothing; it wraps seal.ErrPermanent where that is never so.
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
	// CatchUp returns once all that is on the log of the shard when it is called
	// is in the archive.
	CatchUp(ctx context.Context, shard uint16) error
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

// Config is what a Workflow needs.
type Config struct {
	// Lane is where requests are read from. Required. It must not run before
	// New was called.
	Lane Lane
	// Publisher is where events go. Required.
	Publisher Publisher
	// Keyring opens what requests say and destroys keys. Required.
	Keyring Keyring

	// Archive and Held are where holds find what they match, and where it is
	// kept; Intake is what has still to come there. Without them no hold can be
	// placed, and an erasure that a hold concerns waits.
	Archive Archive
	Held    Held
	Intake  Intake

	// Notifying is how recipients are told of erasures. nil tells nobody, and asks
	// nobody to.
	Notifying *Notifying
	// Tokens counts those that an erasure refuses, for its receipt. Default none:
	// the receipt then says until when they were issued, and not how many.
	Tokens Tokens

	// Ledger is where it stands what was erased, that a restored backup may not
	// bring it back. Default none: then the log alone says so.
	Ledger Ledger

	// Telling is how those who asked from elsewhere are told how it stands. Without
	// it nobody can ask to be told. It needs Held.
	Telling *Telling

	// Deadlines are the rules of the controller for what is received from now
	// on. Default deadline.Default: UTC, no holidays. What was received is due
	// when its event says.
	Deadlines *deadline.Rules

	// Exports makes what access and portability ask for. Without it they are
	// recorded and their deadlines kept, and they stay approved.
	Exports Exports

	// Policy is the deployment's, as the intake has it: events that it would
	// refuse are refused before they are published.
	Policy events.Policy

	// Lock is held while requests are carried out, so that one process at a
	// time does. It blocks until it has the lock. Default none: two workers
	// then do the same things twice, to the same end.
	Lock func(ctx context.Context) (release func(), err error)

	// ExportLock is the same for exports, which are made beside the rest.
	ExportLock func(ctx context.Context) (release func(), err error)

	// WaitFor is how long a method waits for its event to be on the log, and a
	// fifth of what the worker waits until it has seen the whole of it. Default
	// 2 s; above 0.
	WaitFor time.Duration

	// Retry is the first pause of the worker after a failure; it doubles up to
	// 60 times that. Default 1 s; above 0.
	Retry time.Duration

	// Watch is how often deadlines are looked at. Default 1 min; above 0.
	Watch time.Duration

	// Now is the clock. Default time.Now.
	Now func() time.Time

	// Logger. Default slog.Default.
	Logger *slog.Logger
}

func (c *Config) defaults() {
	if c.WaitFor == 0 {
		c.WaitFor = 2 * time.Second
	}
	if c.Retry == 0 {
		c.Retry = time.Second
	}
	if c.Watch == 0 {
		c.Watch = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Deadlines == nil {
		c.Deadlines = deadline.Default()
	}
	c.Notifying = c.Notifying.withDefaults()
	if c.Lock == nil {
		c.Lock = func(context.Context) (func(), error) { return func() {}, nil }
	}
	if c.ExportLock == nil {
		c.ExportLock = func(context.Context) (func(), error) { return func() {}, nil }
	}
	if c.Telling != nil {
		t := *c.Telling
		t.defaults()
		c.Telling = &t
	}
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c.defaults()
	var faults []error
	for name, missing := range map[string]bool{"lane": c.Lane == nil, "publisher": c.Publisher == nil, "keyring": c.Keyring == nil} {
		if missing {
			faults = append(faults, fmt.Errorf("%s is missing", name))
		}
	}
	if c.WaitFor < 0 || c.Retry < 0 || c.Watch < 0 {
		faults = append(faults, errors.New("wait_for, retry and watch: want more than 0"))
	}
	faults = append(faults, c.Notifying.validate(c.Archive))
	if c.Telling != nil {
		faults = append(faults, c.Telling.validate())
		if c.Held == nil {
			faults = append(faults, errors.New("telling: held is missing"))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("erasure: %w", err)
	}
	return nil
}

// Workflow knows every request and moves them on.
type Workflow struct {
	cfg   Config
	work  chan struct{} // has one element when there may be something to carry out
	asked chan struct{} // has one when there may be something to export
	look  chan struct{} // has one when there may be something to find
	post  chan struct{} // has one when there may be somebody to tell
	news  chan struct{} // has one when there may be something to tell

	countFrom atomic.Int64     // ns since 1970: when tokens may be counted again
	answers   map[named]answer // of Run, by request: made, but not seen on the log yet

	reporting sync.Mutex // held while a finding about a stranger is opened

	trying sync.Mutex              // for tried
	tried  map[string]events.Event // of Run: published, but not seen on the log yet

	fenced sync.Map // where the intake ended behind the fence, a stream.IntakeState by request

	mu    sync.RWMutex // for the rest
	book  *book
	holds *hold.Book
	notes map[events.Ref]note // of what is on the log as the worker's
}

// New is a workflow that follows cfg.Lane.
func New(cfg Config) (*Workflow, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.defaults()
	cfg.Lane = patient{cfg.Lane, syncTimes * cfg.WaitFor}
	w := &Workflow{
		cfg: cfg, work: make(chan struct{}, 1), asked: make(chan struct{}, 1), look: make(chan struct{}, 1), post: make(chan struct{}, 1), news: make(chan struct{}, 1),
		tried: make(map[string]events.Event), answers: make(map[named]answer), book: newBook(), holds: hold.NewBook(), notes: make(map[events.Ref]note),
	}
	cfg.Lane.Handle(w.apply)
	return w, nil
}

func (w *Workflow) apply(e lane.Entry) {
	w.mu.Lock()
	w.note(e.Record)
	r := w.book.apply(e)
	held := w.holds.Apply(e)
	called := r != nil && w.book.called[r]
	w.mu.Unlock()
	if called {
		signal(w.news)
	}
	if held || r != nil && (r.toDo() || r.toldAll()) {
		w.wake()
	}
	if r != nil && r.exports() {
		signal(w.asked)
	}
	if held || r != nil {
		signal(w.look)
	}
	if r != nil && r.State == Partial {
		signal(w.post)
	}
}

// note keeps what isLogged needs of a record that may be the worker's, before it
// changes its request.
func (w *Workflow) note(record *events.Record) {
	if record.Source != Source || !recorded(record.Type) {
		return
	}
	n := note{kind: record.Type, request: record.Attributes[attrRequest]}
	r := w.book.find(n.request, func(tenant string) bool { return tenant == record.Tenant })
	n.revoked = r != nil && revokes(r, record)
	w.notes[record.Ref()] = n
}

// recorded reports whether events of a type are the worker's.
func recorded(t events.Type) bool {
	return t == events.SubjectRevoked || t == events.RequestExecuted || t == events.RequestNotified || t == events.RequestCompleted
}

// canHold reports whether there is what a hold is heeded with.
func (w *Workflow) canHold() bool {
	return w.cfg.Archive != nil && w.cfg.Held != nil && w.cfg.Intake != nil
}

func (w *Workflow) wake() { signal(w.work) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// open reads what the request said about its subject.
func (w *Workflow) open(ctx context.Context, r *Request) (events.Personal, error) {
	o := r.origin.Record
	if o == nil || len(r.origin.Sealed) == 0 {
		return events.Personal{}, fmt.Errorf("open request: %w", seal.ErrDestroyed)
	}
	plain, err := w.cfg.Keyring.Open(ctx, seal.OpenRequest{
		Tenant: o.Tenant, Source: o.Source, ID: o.ID, Ref: o.SubjectRef, Generation: o.DataKey, Sealed: r.origin.Sealed,
		Hash: o.PayloadHash,
	})
	if err != nil {
		return events.Personal{}, fmt.Errorf("open request: %w", err)
	}
	return events.UnmarshalPersonal(plain)
}

// Get is one request.
func (w *Workflow) Get(id string, reaches func(tenant string) bool) (Request, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	r := w.book.find(id, reaches)
	if r == nil {
		return Request{}, ErrNotFound
	}
	return r.clone(), nil
}

// Filter says which requests are wanted. A member at its zero value restricts
// nothing, but for Reaches, which is required.
type Filter struct {
	Reaches func(tenant string) bool
	State   State
	Urgency Urgency
	Shard   uint16  // of the requests
	Before  *uint64 // continue below this Request.Position
	Limit   int     // 0 means all
}

// List is the requests of a shard that f names, the newest first.
func (w *Workflow) List(f Filter) []Request {
	w.mu.RLock()
	defer w.mu.RUnlock()
	var out []Request
	now := w.cfg.Now()
	for _, r := range slices.Backward(w.book.order) {
		if f.matches(r, now) {
			out = append(out, r.clone())
		}
		if f.Limit > 0 && len(out) == f.Limit {
			break
		}
	}
	return out
}

func (f *Filter) matches(r *Request, now time.Time) bool {
	return r.Shard == f.Shard && f.Reaches(r.Tenant) && (f.State == "" || r.State == f.State) &&
		(f.Urgency == "" || r.Urgency(now) == f.Urgency) && (f.Before == nil || r.Position < *f.Before)
}

func (w *Workflow) event(t events.Type, id, tenant string, d events.Data) events.Event {
	return events.Event{
		ID: id, Source: Source, Type: t, Time: w.cfg.Now().UTC().Truncate(time.Microsecond),
		Tenant: tenant, Environment: w.cfg.Policy.Environment, Data: d,
	}
}

func (w *Workflow) publish(ctx context.Context, ev events.Event) error {
	if r := w.cfg.Policy.Validate(&ev, w.cfg.Now()); r != nil {
		return r
	}
	return w.cfg.Publisher.Publish(ctx, ev)
}

// await is the request id with ev folded into it.
func (w *Workflow) await(ctx context.Context, ev events.Event, id string) (Request, error) {
	if _, err := w.logged(ctx, ev); err != nil {
		return Request{}, err
	}
	return w.Get(id, func(tenant string) bool { return tenant == ev.Tenant })
}

func (w *Workflow) logged(ctx context.Context, ev events.Event) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.WaitFor)
	defer cancel()
	index, err := w.cfg.Lane.Wait(ctx, events.EventRef(ev.Tenant, ev.Source, ev.ID))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrPending, err)
	}
	return index, nil
}

func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return id.String(), nil
}
