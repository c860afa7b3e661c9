package erasure

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
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
// completed after. Neither names the person: they cannot be named. Stopped in
// between, the request stays open, and it has only to be asked again.
func (w *Workflow) Renew(ctx context.Context, in Renewal) (Renewed, error) {
	if err := w.renewable(ctx, in); err != nil {
		return Renewed{}, fmt.Errorf("renew: %w", err)
	}
	r, err := w.receiveRenewal(ctx, in)
	if err != nil {
		return Renewed{}, fmt.Errorf("renew: %w", err)
	}
	key, err := w.cfg.Keyring.Renew(ctx, seal.Person{Tenant: in.Tenant, Issuer: in.Issuer, Subject: in.Subject})
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

// renewable refuses who was not forgotten, and anybody while an erasure of the
// tenant is under way: it could be theirs, and would take the new key.
func (w *Workflow) renewable(ctx context.Context, in Renewal) error {
	key, err := w.cfg.Keyring.Lookup(ctx, seal.Person{Tenant: in.Tenant, Issuer: in.Issuer, Subject: in.Subject})
	switch {
	case err != nil:
		return err
	case !key.Erased:
		return seal.ErrLiving
	}
	if err := w.cfg.Lane.Sync(ctx); err != nil {
		return err
	}
	for _, r := range w.pending() {
		if r.Tenant == in.Tenant && r.Type == Erasure {
			return seal.ErrErasing
		}
	}
	return nil
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
