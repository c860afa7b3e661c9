package erasure

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/erasure/ledger"
)

// Bases lists the lawful bases of GDPR article 6(1), in their order.
func Bases() []string {
	return []string{"consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"}
}

// Renewal is a person's statement that there is a new lawful relationship with
// somebody who was forgotten.
type Renewal struct {
	Tenant, Issuer, Subject string
	Basis                   string // one of Bases
	Reason, Ticket          string
	Actor                   string
}

// Renewed is what it came to.
type Renewed struct {
	Generation uint32    // of the person's data key
	Position   uint64    // log index, in the shard of the tenant, of the record of it
	KnownBy    time.Time // from when every process knows
}

// typeRenewal is the type of request that a renewal is on the log: nobody can
// ask for it but through Renew.
const typeRenewal = "renewal"

// KnownAgain is the outcome of a renewal.
const KnownAgain Outcome = "renewed"

// The attributes of what is logged of a renewal.
const (
	attrBasis      = "basis"      // of request.received
	attrGeneration = "generation" // of request.completed: of the person's new data key
)

// Renew lets somebody who was forgotten be known again. It is on the log as a
// request of its own: with who, why and on what basis before it is done, and as
// completed after. Neither names the person: they cannot be named. Stopped in between it has
// only to be asked again: what had made the key, on the same basis, is completed.
func (w *Workflow) Renew(ctx context.Context, in Renewal) (Renewed, error) {
	r, err := w.renewal(ctx, in)
	if err != nil {
		return Renewed{}, fmt.Errorf("renew: %w", err)
	}
	key, err := w.cfg.Keyring.RenewFor(ctx, in.person(), nameOf(&r))
	if err != nil {
		return Renewed{}, err
	}
	known := w.cfg.Now().UTC()
	id, err := newID()
	if err != nil {
		return Renewed{}, err
	}
	ev := w.event(events.RequestCompleted, id, in.Tenant, events.Data{Actor: in.Actor, Reason: in.Reason, Attributes: map[string]string{
		attrRequest: r.ID, attrOutcome: string(KnownAgain), attrGeneration: strconv.FormatUint(uint64(key.Generation), 10),
	}})
	if err := w.publish(ctx, ev); err != nil {
		return Renewed{}, fmt.Errorf("renew: %w", err)
	}
	now, err := w.await(ctx, ev, r.ID)
	if err != nil {
		return Renewed{}, err
	}
	return Renewed{key.Generation, now.Last().Position, known}, nil
}

func (in *Renewal) person() seal.Person {
	return seal.Person{Tenant: in.Tenant, Issuer: in.Issuer, Subject: in.Subject}
}

// nameOf is what the keyring knows a request by, that a key was made for.
func nameOf(r *Request) events.Ref { return events.Ref(ledger.DigestOf(r.ID)) }

// renewal is the request that a renewal is: one that was begun for the person, and stopped
// before it was completed, or a new one.
func (w *Workflow) renewal(ctx context.Context, in Renewal) (Request, error) {
	key, err := w.cfg.Keyring.Lookup(ctx, in.person())
	if err != nil {
		return Request{}, err
	}
	if err := w.cfg.Lane.Sync(ctx); err != nil {
		return Request{}, err
	}
	begun, err := w.begun(ctx, in)
	switch {
	case err != nil:
		return Request{}, err
	case begun == nil && !key.Erased:
		return Request{}, seal.ErrLiving
	case w.erasing(in.Tenant):
		return Request{}, seal.ErrErasing
	case begun != nil:
		return *begun, nil
	default:
		return w.receiveRenewal(ctx, in)
	}
}

// begun is the open request that made the key of a person, on the same basis; nil where
// there is none.
func (w *Workflow) begun(ctx context.Context, in Renewal) (*Request, error) {
	by, err := w.cfg.Keyring.RenewedFor(ctx, in.person())
	if err != nil || by.IsZero() {
		return nil, err
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, r := range w.book.order {
		if r.Tenant == in.Tenant && r.Type == typeRenewal && r.State == Received && nameOf(r) == by && r.origin.Record.Attributes[attrBasis] == in.Basis {
			c := r.clone()
			return &c, nil
		}
	}
	return nil, nil
}

// erasing reports whether an erasure of the tenant is under way: it could be theirs,
// and would take the new key.
func (w *Workflow) erasing(tenant string) bool {
	return slices.ContainsFunc(w.pending(), func(r Request) bool { return r.Tenant == tenant && r.Type == Erasure })
}

func (w *Workflow) receiveRenewal(ctx context.Context, in Renewal) (Request, error) {
	id, err := newID()
	if err != nil {
		return Request{}, err
	}
	ev := w.event(events.RequestReceived, id, in.Tenant, events.Data{
		Issuer: in.Issuer, Subject: in.Subject, Actor: in.Actor, Reason: in.Reason, Ticket: in.Ticket,
		Attributes: map[string]string{attrRequest: id, attrType: typeRenewal, attrRegulation: Other, attrBasis: in.Basis},
	})
	if err := w.publish(ctx, ev); err != nil {
		return Request{}, err
	}
	return w.await(ctx, ev, id)
}
