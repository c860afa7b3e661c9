package erasure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Settlement is what a person says of a recipient whom no callback reached, or
// will.
type Settlement struct {
	ID, Recipient string
	Delivery      Delivery // Informed or GivenUp
	Actor         string
	Reason        string // one of TellingMeans or GivingUp
	Told          string // the day on which they were told, as 2026-03-31
	Ticket, Note  string // GivenUp, and Informed by other means, want a note
	Reaches       func(tenant string) bool
}

// Settle records that a recipient was told by other means, or that telling them
// is impossible or disproportionate. Of two that settle it at once, and of their
// own answer, the first on the log stands.
func (w *Workflow) Settle(ctx context.Context, s Settlement) (Request, error) {
	r, err := w.Get(s.ID, s.Reaches)
	if err != nil {
		return Request{}, err
	}
	if s.Note == "" && (s.Delivery == GivenUp || s.Reason == OtherReason) {
		return Request{}, &MemberError{"note", "say why"}
	}
	id, err := newID()
	if err != nil {
		return Request{}, err
	}
	ev := w.event(events.RequestNotified, id, r.Tenant, events.Data{
		Actor: s.Actor, Reason: s.Reason, Ticket: s.Ticket, Note: s.Note,
		Attributes: map[string]string{attrRequest: r.ID, attrRecipient: s.Recipient, attrDelivery: string(s.Delivery), attrTold: s.Told},
	})
	if s.Told == "" {
		delete(ev.Data.Attributes, attrTold)
	}
	if _, err := r.judge(events.NewRecord(&ev, ev.Environment, w.cfg.Now())); err != nil {
		return Request{}, settling(err)
	}
	if err := w.publish(ctx, ev); err != nil {
		return Request{}, fmt.Errorf("%s: %w", ev.Type.Name(), err)
	}
	now, err := w.await(ctx, ev, r.ID)
	if err == nil && !now.took(ev) {
		err = &MemberError{"recipient", "it was settled meanwhile"}
	}
	return now, err
}

// settling is err for a person: what is not theirs to say is a member that is not
// acceptable.
func settling(err error) error {
	if errors.Is(err, errNotOurs) {
		return &MemberError{"delivery", "want " + string(Informed) + " or " + string(GivenUp)}
	}
	return err
}

// Attempts is what came of trying to tell the recipients of r who were not told
// yet, each of them, by their ids.
func (w *Workflow) Attempts(ctx context.Context, r *Request) (map[string]Tried, error) {
	out := map[string]Tried{}
	if w.cfg.Notifying == nil {
		return out, nil
	}
	for _, id := range r.unanswered() {
		t, err := w.cfg.Notifying.triedOf(ctx, noticeTo(r, id))
		if err != nil {
			return nil, fmt.Errorf("attempts: %w", err)
		}
		to, _ := w.cfg.Notifying.Registry.Get(id)
		t.Contact = to.Contact
		out[id] = t
	}
	return out, nil
}

// ControlUntold is what a finding names about a recipient whom nobody has told
// for long.
const ControlUntold = "recipient-untold"

var untoldLong = control{ControlUntold, "high", "A recipient was not told of an erasure", "GDPR 19"}

// untoldFindings lists what holds now and was not found yet.
func (w *Workflow) untoldFindings(now time.Time) (out []events.Event) {
	if w.cfg.Notifying == nil {
		return nil
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	for r := range w.book.telling {
		for _, id := range r.unanswered() {
			at := r.recipient(id).Prepared.Add(w.cfg.Notifying.Untold)
			finding := events.EventRef(r.Tenant, Source, ControlUntold+" "+r.ID+" "+id).String()
			if _, there := r.flagged[finding]; there || now.Before(at) {
				continue
			}
			d := untoldLong.data(finding)
			d.Attributes[attrRequest], d.Attributes[attrRecipient] = r.ID, id
			ev := w.event(events.FindingOpened, finding, r.Tenant, d)
			ev.Time = at.UTC()
			out = append(out, ev)
		}
	}
	return out
}
