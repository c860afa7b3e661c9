package erasure

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/lane"
)

// Source is the CloudEvents source of the events that this package publishes.
const Source = "rescind:requests"

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
	exportEnd map[named]uint64 // of Run, by request that is due: how much of the log it has

	reporting sync.Mutex // held while a finding about a stranger is opened

	trying sync.Mutex              // for tried
	tried  map[string]events.Event // of Run: published, but not seen on the log yet

	fenced sync.Map // where the intake ended behind the fence, a stream.IntakeState by request
	ends   sync.Map // where the log did after that, an index by request
	behind sync.Map // shards that were waited for in this round, with what was recorded

	mu    sync.RWMutex // for the rest
	book  *book
	holds *hold.Book
	seen  map[events.Ref]sighting // of what is on the log as the worker's
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
		tried: make(map[string]events.Event), answers: make(map[named]answer), book: newBook(), holds: hold.NewBook(), seen: make(map[events.Ref]sighting),
	}
	cfg.Lane.Handle(w.apply)
	return w, nil
}

func (w *Workflow) apply(e lane.Entry) {
	w.mu.Lock()
	w.see(e.Record)
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

// see keeps what isLogged needs of a record that may be the worker's, before it
// changes its request.
func (w *Workflow) see(record *events.Record) {
	if record.Source != Source || !recorded(record.Type) {
		return
	}
	n := sighting{kind: record.Type, request: record.Attributes[attrRequest]}
	r := w.book.find(n.request, func(tenant string) bool { return tenant == record.Tenant })
	n.revoked = r != nil && revokes(r, record)
	w.seen[record.Ref()] = n
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
