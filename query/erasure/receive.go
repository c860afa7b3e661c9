package erasure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/receipt"
)

// Input is a request as it is made.
type Input struct {
	Tenant, Type, Regulation string
	Issuer, Subject          string
	Actor                    string // the principal who records it
	Ticket, Note             string
	Received                 time.Time // when it reached the controller; zero for now
	Confirmed                bool      // the requester was told at once that it was received
}

// Receive records a request. Where the same subject has asked for the same
// under the same regulation and that is still open, the request joins it: what
// is returned is the first, and joined is true.
func (w *Workflow) Receive(ctx context.Context, in Input) (r Request, joined bool, err error) {
	id, salt, err := w.receive(ctx, in, nil)
	if err != nil {
		return Request{}, false, err
	}
	r, err = w.Get(id, func(tenant string) bool { return tenant == in.Tenant })
	if joined = err == nil && r.ID != id; joined {
		salt = w.saltOf(ctx, &r)
	}
	r.Salt = salt
	return r, joined, err
}

// receive puts a request on the log, with more attributes, and says under which
// id, and with which salt.
func (w *Workflow) receive(ctx context.Context, in Input, more map[string]string) (id, salt string, err error) {
	if id, err = newID(); err != nil {
		return "", "", err
	}
	now := w.cfg.Now()
	if in.Received.After(now) || !in.Received.IsZero() && now.Sub(in.Received) > backdate {
		return "", "", &MemberError{"received_at", fmt.Sprintf("want a time in the last %d days", backdate/(24*time.Hour))}
	}
	known, err := w.known(ctx, in)
	if err != nil {
		return "", "", err
	}
	attributes := w.received(id, known, now, in)
	maps.Copy(attributes, more)
	ev := w.event(events.RequestReceived, id, in.Tenant, events.Data{
		Issuer: in.Issuer, Subject: in.Subject, Actor: in.Actor, Ticket: in.Ticket, Note: in.Note, Attributes: attributes,
	})
	salt = commit(&ev.Data, in)
	if err := w.publish(ctx, ev); err != nil {
		return "", "", fmt.Errorf("receive request: %w", err)
	}
	_, err = w.logged(ctx, ev)
	return id, salt, err
}

// commit commits the request to its subject, where there will be a receipt, and is the
// salt: in the log it stands in the sealed part alone.
func commit(d *events.Data, in Input) string {
	if in.Type != Erasure {
		return ""
	}
	salt := receipt.NewSalt()
	d.Personal = map[string]any{saltMember: salt.String()}
	d.Attributes[attrCommitment] = receipt.Commitment(salt, in.Issuer, in.Subject)
	return salt.String()
}

// received is the attributes of a request: with the deadlines that follow from
// the rules of today, so that no later rule moves them.
func (w *Workflow) received(id, known string, now time.Time, in Input) map[string]string {
	at := now
	out := map[string]string{attrRequest: id, attrType: in.Type, attrRegulation: in.Regulation, attrKnown: known}
	if !in.Received.IsZero() {
		at = in.Received
		out[attrReceived] = at.UTC().Format(time.RFC3339)
	}
	out[attrDue] = w.cfg.Deadlines.Answer(at, in.Regulation).Format(time.RFC3339)
	if by := w.cfg.Deadlines.Confirm(at, in.Regulation); !by.IsZero() {
		out[attrConfirmBy] = by.Format(time.RFC3339)
	}
	if in.Confirmed {
		out[attrConfirmed] = yes
	}
	return out
}

// known says whether the subject was known before the request named them.
func (w *Workflow) known(ctx context.Context, in Input) (string, error) {
	_, err := w.cfg.Keyring.Lookup(ctx, seal.Person{Tenant: in.Tenant, Issuer: in.Issuer, Subject: in.Subject})
	switch {
	case errors.Is(err, seal.ErrNotFound):
		return "no", nil
	case err != nil:
		return "", fmt.Errorf("receive request: %w", err)
	default:
		return yes, nil
	}
}
