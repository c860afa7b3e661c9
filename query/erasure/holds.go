package erasure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/hold"
)

// HoldInput is a hold as it is placed.
type HoldInput struct {
	Tenant, Issuer, Subject, Session, Client string
	Types                                    []string // names, whole or short
	From, To                                 time.Time
	Article, Owner, Review                   string // Review is a day, as 2026-03-31
	Reason, Ticket, Note                     string
	Actor                                    string
}

func (in *HoldInput) attributes(id string) map[string]string {
	out := map[string]string{hold.AttrHold: id, hold.AttrArticle: in.Article, hold.AttrOwner: in.Owner, hold.AttrReview: in.Review}
	var by []string
	named := func(is bool, what string) {
		if is {
			by = append(by, what)
		}
	}
	named(in.Subject != "", hold.BySubject)
	named(in.Session != "", hold.BySession)
	named(in.Client != "", hold.ByClient)
	named(!in.From.IsZero() || !in.To.IsZero(), hold.ByTime)
	named(len(in.Types) > 0, hold.ByType)
	out[hold.AttrBy] = strings.Join(by, " ")
	if len(in.Types) > 0 {
		names := make([]string, len(in.Types))
		for i, name := range in.Types {
			names[i] = events.Type(name).Name()
		}
		out[hold.AttrTypes] = strings.Join(names, " ")
	}
	for name, at := range map[string]time.Time{hold.AttrFrom: in.From, hold.AttrTo: in.To} {
		if !at.IsZero() {
			out[name] = at.UTC().Format(time.RFC3339Nano)
		}
	}
	return out
}

// PlaceHold places a hold.
func (w *Workflow) PlaceHold(ctx context.Context, in HoldInput) (hold.Hold, error) {
	id, err := newID()
	if err != nil {
		return hold.Hold{}, err
	}
	if !w.canHold() {
		return hold.Hold{}, errNoArchive
	}
	if err := w.holdable(ctx, &in); err != nil {
		return hold.Hold{}, err
	}
	ev := w.event(events.HoldPlaced, id, in.Tenant, events.Data{
		Issuer: in.Issuer, Subject: in.Subject, SessionID: in.Session, ClientID: in.Client, Actor: in.Actor, Reason: in.Reason,
		Ticket: in.Ticket, Note: in.Note, Attributes: in.attributes(id),
	})
	ev.Source = hold.Source
	if err := w.checkHold(&ev); err != nil {
		return hold.Hold{}, err
	}
	return w.recordHold(ctx, ev, id)
}

// holdable refuses a hold on somebody who was forgotten, and would be of nobody.
func (w *Workflow) holdable(ctx context.Context, in *HoldInput) error {
	if (in.Subject != "" || in.Session != "") && in.Issuer == "" {
		return &hold.MemberError{Member: "iss", Detail: "name the issuer of the subject or session"}
	}
	if in.Subject == "" {
		return nil
	}
	key, err := w.cfg.Keyring.Lookup(ctx, seal.Person{Tenant: in.Tenant, Issuer: in.Issuer, Subject: in.Subject})
	switch {
	case errors.Is(err, seal.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("place hold: %w", err)
	case key.Erased:
		return &hold.MemberError{Member: "subject", Detail: "they were forgotten: nothing is left to keep"}
	default:
		return nil
	}
}

// checkHold says what the fold will say. The references come from the intake.
func (w *Workflow) checkHold(ev *events.Event) error {
	record := events.NewRecord(ev, ev.Environment, w.cfg.Now())
	if record.Actor != ev.Data.Actor { // the log would not say who must not release it
		return &hold.MemberError{Member: "subject", Detail: "whose name is in yours: have somebody else place the hold"}
	}
	if ev.Data.Subject != "" {
		record.SubjectRef = events.Ref{1}
	}
	if ev.Data.SessionID != "" {
		record.SessionRef = events.Ref{1}
	}
	return hold.Check(record)
}

// HoldRelease is a person's decision that a hold is not needed any more.
type HoldRelease struct {
	ID                          string
	Actor, Reason, Ticket, Note string
	Reaches                     func(tenant string) bool
}

// ReleaseHold ends a hold: erasures that it kept from being complete go on by
// themselves.
func (w *Workflow) ReleaseHold(ctx context.Context, a HoldRelease) (hold.Hold, error) {
	h, err := w.GetHold(a.ID, a.Reaches)
	if err != nil {
		return hold.Hold{}, err
	}
	if err := h.MayRelease(a.Actor, a.Reason); err != nil {
		return hold.Hold{}, err
	}
	id, err := newID()
	if err != nil {
		return hold.Hold{}, err
	}
	ev := w.event(events.HoldReleased, id, h.Tenant, events.Data{
		Actor: a.Actor, Reason: a.Reason, Ticket: a.Ticket, Note: a.Note, Attributes: map[string]string{hold.AttrHold: h.ID},
	})
	ev.Source = hold.Source
	now, err := w.recordHold(ctx, ev, h.ID)
	if err == nil && (now.ReleasedBy != a.Actor || now.ReleaseReason != a.Reason) {
		err = hold.ErrReleased // by somebody who was faster
	}
	return now, err
}

func (w *Workflow) recordHold(ctx context.Context, ev events.Event, id string) (hold.Hold, error) {
	if err := w.publish(ctx, ev); err != nil {
		return hold.Hold{}, fmt.Errorf("%s: %w", ev.Type.Name(), err)
	}
	if _, err := w.logged(ctx, ev); err != nil {
		return hold.Hold{}, err
	}
	h, err := w.GetHold(id, func(tenant string) bool { return tenant == ev.Tenant })
	if errors.Is(err, hold.ErrNotFound) { // forgotten between the look and the log
		return h, &hold.MemberError{Member: "subject", Detail: "they were forgotten: nothing is left to keep"}
	}
	return h, err
}

// GetHold is one hold.
func (w *Workflow) GetHold(id string, reaches func(tenant string) bool) (hold.Hold, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.holds.Get(id, reaches)
}

// ListHolds is the holds of the tenants that reaches lets through, the newest
// first.
func (w *Workflow) ListHolds(reaches func(tenant string) bool, active bool) []hold.Hold {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.holds.List(reaches, active)
}

// ControlHoldReview is what a finding about a hold names whose review is
// overdue.
const ControlHoldReview = "hold-review-overdue"

// reviews lists the findings about holds whose review is overdue.
func (w *Workflow) reviews(now time.Time) (out []events.Event) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, h := range w.holds.Overdue(now) {
		id := events.EventRef(h.Tenant, hold.Source, ControlHoldReview+" "+h.ID).String()
		at := h.Review.Add(time.Second)
		if at.Before(h.Placed) {
			at = h.Placed
		}
		out = append(out, events.Event{
			ID: id, Source: hold.Source, Type: events.FindingOpened, Time: at, Tenant: h.Tenant, Environment: w.cfg.Policy.Environment,
			Data: events.Data{Actor: Worker, Attributes: map[string]string{
				"finding": id, "control": ControlHoldReview, "severity": "medium", "title": "Legal hold was not reviewed when it should have been",
				"clauses": "GDPR 5(1)(e); GDPR 17(3)(e)", hold.AttrHold: h.ID, hold.AttrReview: h.Review.Format(time.DateOnly),
			}},
		})
	}
	return out
}
