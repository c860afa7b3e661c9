package erasure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/lane"
)

// The bounds of what others may ask to be told.
const (
	MaxCallbacks = 3  // URLs of one ask
	MaxAsks      = 16 // asks of one request that are told
)

var (
	// ErrTaken says that an id was used for another request before.
	ErrTaken = errors.New("another request was sent under this id")

	// ErrManyAsks says that a request was asked for as often as others may be told
	// of it.
	ErrManyAsks = errors.New("too many have asked for this to be told of it")
)

// Ask is a request as whoever sent it knows it, under an id of theirs.
type Ask struct {
	By        string   // who sent it, as they were authenticated
	ID        string   // theirs; nothing of it is kept but what a key of the tenant makes of it
	Said      string   // all that it says, always in the same form
	Callbacks []string // where its changes are told, at most MaxCallbacks
}

// Asked is what is known of an ask.
type Asked struct {
	Ref       events.Ref // of By and ID
	At        time.Time  // when it was recorded
	Due       time.Time  // by when it was to be answered then
	Callbacks int
	Withdrawn bool

	WithdrawnAt time.Time

	said     events.Ref
	position uint64
	ended    uint64   // where it was withdrawn
	done     []uint64 // of each callback: the position of the last step that it needs no more
}

// askKey finds a request by an ask.
type askKey struct {
	tenant string
	ref    events.Ref
}

// askOf is the ask that a request.received says it came by, zero where it came by
// none.
func askOf(e lane.Entry) Asked {
	a := e.Record.Attributes
	ref, err := events.ParseRef(a[attrAsk])
	said, errSaid := events.ParseRef(a[attrSaid])
	if err != nil || errSaid != nil {
		return Asked{}
	}
	n, _ := strconv.Atoi(a[attrCallbacks])
	n = min(max(n, 0), MaxCallbacks)
	return Asked{Ref: ref, At: time.UnixMicro(e.Record.Received).UTC(), Callbacks: n, said: said, position: e.Index, done: make([]uint64, n)}
}

// ask adds a to r. One ask too many is recorded all the same, and not told.
func (b *book) ask(r *Request, a Asked) {
	if a.Ref.IsZero() {
		r.direct++
		return
	}
	a.Due = r.Due
	if len(r.Asks) >= MaxAsks {
		a.Callbacks, a.done = 0, nil
	}
	r.Asks = append(r.Asks, a)
	b.asks[askKey{r.Tenant, a.Ref}] = r
	if a.Callbacks > 0 {
		b.called[r] = true
	}
}

// asking is the ask of r under ref, or nil.
func (r *Request) asking(ref events.Ref) *Asked {
	i := slices.IndexFunc(r.Asks, func(a Asked) bool { return a.Ref == ref })
	if i < 0 {
		return nil
	}
	return &r.Asks[i]
}

// last reports whether nobody but whoever asked a wants r.
func (r *Request) last(a *Asked) bool {
	other := func(o Asked) bool { return !o.Withdrawn && o.Ref != a.Ref }
	return r.direct == 0 && !slices.ContainsFunc(r.Asks, other)
}

// withdrawn is the ask that the record takes back, nil where it takes back none.
func (r *Request) withdrawn(record *events.Record) *Asked {
	ref, err := events.ParseRef(record.Attributes[attrWithdraw])
	if err != nil || !withdraws(record) {
		return nil
	}
	return r.asking(ref)
}

// withdraws reports whether the record takes back an ask, and not the request.
func withdraws(record *events.Record) bool {
	return record.Type == events.RequestCancelled && record.Attributes[attrWithdraw] != ""
}

// judgeWithdrawal: whoever asked takes back what they asked. The request is
// cancelled where nobody else wants it.
func (r *Request) judgeWithdrawal(record *events.Record) (State, error) {
	a := r.withdrawn(record)
	switch {
	case a == nil:
		return "", errNotOurs
	case a.Withdrawn || !slices.Contains(from[events.RequestCancelled], r.State):
		return "", &StateError{State: r.State, To: Cancelled}
	case r.last(a):
		return Cancelled, nil
	default:
		return r.State, nil
	}
}

// AskFor records a request that came by an ask. Sent again it is the same request
// and nothing more; the error wraps ErrTaken where it says something else under
// the same id of the same sender. The salt is theirs as it is of who calls Receive, until
// the subject is erased.
func (w *Workflow) AskFor(ctx context.Context, in Input, a Ask) (Request, Asked, error) {
	t, err := w.tenant(ctx, in.Tenant)
	if err != nil {
		return Request{}, Asked{}, err
	}
	ref, said := t.AskRef(a.By, a.ID), t.SaidRef(a.ID, a.Said)
	r, got, err := w.findAsk(in.Tenant, ref)
	if errors.Is(err, ErrNotFound) {
		r, got, err = w.ask(ctx, in, a, ref, said)
	}
	switch {
	case err != nil:
		return Request{}, Asked{}, err
	case got.said != said:
		return Request{}, Asked{}, ErrTaken
	}
	if r.Type == Erasure {
		r.Salt = w.saltOf(ctx, &r)
	}
	return r, got, w.keepTarget(ctx, &r, &got, a)
}

func (w *Workflow) ask(ctx context.Context, in Input, a Ask, ref, said events.Ref) (Request, Asked, error) {
	if err := w.tellable(ctx, in, a); err != nil {
		return Request{}, Asked{}, err
	}
	_, _, err := w.receive(ctx, in, map[string]string{
		attrAsk: ref.String(), attrSaid: said.String(), attrCallbacks: strconv.Itoa(len(a.Callbacks)),
	})
	if err != nil {
		return Request{}, Asked{}, err
	}
	return w.findAsk(in.Tenant, ref)
}

func (w *Workflow) findAsk(tenant string, ref events.Ref) (Request, Asked, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	r := w.book.asks[askKey{tenant, ref}]
	if r == nil {
		return Request{}, Asked{}, ErrNotFound
	}
	c := r.clone()
	return c, *c.asking(ref), nil
}

// tenant is the keys of a tenant of which something was published; of another there
// is nothing to ask for.
func (w *Workflow) tenant(ctx context.Context, name string) (*seal.Tenant, error) {
	t, err := w.cfg.Keyring.LookupTenant(ctx, name)
	if errors.Is(err, seal.ErrNotFound) {
		return nil, fmt.Errorf("find tenant: %w", ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("find tenant: %w", err)
	}
	return t, nil
}

// FindAsk is the request that by asked for under id.
func (w *Workflow) FindAsk(ctx context.Context, tenant, by, id string) (Request, Asked, error) {
	t, err := w.tenant(ctx, tenant)
	if err != nil {
		return Request{}, Asked{}, err
	}
	return w.findAsk(tenant, t.AskRef(by, id))
}

// Withdraw takes back what by asked for under id, while nothing was decided. What
// others asked for too goes on for them. Taken back again it stays so.
func (w *Workflow) Withdraw(ctx context.Context, tenant, by, id string) (Request, Asked, error) {
	r, a, err := w.FindAsk(ctx, tenant, by, id)
	if err != nil || a.Withdrawn {
		return r, a, err
	}
	if _, err := w.act(ctx, &r, Act{To: Cancelled, Actor: by}, map[string]string{attrWithdraw: a.Ref.String()}); err != nil {
		return Request{}, Asked{}, err
	}
	return w.findAsk(tenant, a.Ref)
}
