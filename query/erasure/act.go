package erasure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
)

// Act is a person's decision on a request.
type Act struct {
	ID                   string
	To                   State // Verified, Extended, Approved, Denied or Cancelled
	Actor                string
	Reason, Ticket, Note string
	Told                 string                   // the day on which the subject was told, as 2026-03-31: to extend and to lift
	Reaches              func(tenant string) bool // which tenants the actor reaches
}

// decider is the type of event that leads to s on a person's decision, or "".
func decider(s State) events.Type {
	switch s {
	case Verified:
		return events.RequestVerified
	case Extended:
		return events.RequestExtended
	case Approved:
		return events.RequestApproved
	case Denied:
		return events.RequestDenied
	case Cancelled:
		return events.RequestCancelled
	default:
		return ""
	}
}

// Act moves a request on. Of two that decide at once, the one who is second on
// the log gets a *StateError.
func (w *Workflow) Act(ctx context.Context, a Act) (Request, error) {
	r, err := w.Get(a.ID, a.Reaches)
	if err != nil {
		return Request{}, err
	}
	attributes := map[string]string{}
	if a.To == Extended {
		attributes[attrTold] = a.Told
		attributes[attrDue] = w.cfg.Deadlines.Extended(r.Received, r.Regulation).Format(time.RFC3339)
	}
	if a.To == Denied && a.Reason == OtherReason && a.Note == "" {
		return Request{}, &MemberError{"note", "say which other reason"}
	}
	return w.act(ctx, &r, a, attributes)
}

// Lift ends a restriction, or what an objection has stopped.
func (w *Workflow) Lift(ctx context.Context, a Act) (Request, error) {
	r, err := w.Get(a.ID, a.Reaches)
	if err != nil {
		return Request{}, err
	}
	a.To = Cancelled
	return w.act(ctx, &r, a, map[string]string{attrLift: yes, attrTold: a.Told})
}

func (w *Workflow) act(ctx context.Context, r *Request, a Act, attributes map[string]string) (Request, error) {
	id, err := newID()
	if err != nil {
		return Request{}, err
	}
	attributes[attrRequest] = r.ID
	ev := w.event(decider(a.To), id, r.Tenant, events.Data{
		Actor: a.Actor, Reason: a.Reason, Ticket: a.Ticket, Note: a.Note, Attributes: attributes,
	})
	if err := w.permit(ctx, r, ev); err != nil {
		return Request{}, err
	}
	if err := w.publish(ctx, ev); err != nil {
		return Request{}, fmt.Errorf("%s: %w", ev.Type.Name(), err)
	}
	now, err := w.await(ctx, ev, r.ID)
	if err != nil {
		return Request{}, err
	}
	if !now.took(ev) {
		return Request{}, &StateError{State: now.State, To: a.To}
	}
	return now, nil
}

// permit says what the fold would say of ev, were it logged now, and what only
// an open key can tell.
func (w *Workflow) permit(ctx context.Context, r *Request, ev events.Event) error {
	_, err := r.judge(events.NewRecord(&ev, ev.Environment, w.cfg.Now()))
	if err != nil || ev.Type != events.RequestApproved {
		return err
	}
	return w.notSubject(ctx, r, ev.Data.Actor)
}

// notSubject refuses an approval by the data subject where it may be they who
// recorded the request: then the log does not name them, and involves cannot
// tell.
func (w *Workflow) notSubject(ctx context.Context, r *Request, actor string) error {
	if !r.involves(events.ActorSubject) && !r.involves(events.Withheld) {
		return nil
	}
	p, err := w.open(ctx, r)
	if errors.Is(err, seal.ErrDestroyed) {
		return nil // nobody can tell any more, and nothing is left to forget
	}
	if err != nil {
		return fmt.Errorf("approve request: %w", err)
	}
	if events.MayName(actor, p.Subject) {
		return ErrFourEyes
	}
	return nil
}
