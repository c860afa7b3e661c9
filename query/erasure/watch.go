package erasure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/deadline"
)

// The controls that findings about deadlines name.
const (
	ControlDueSoon     = "request-due-soon"
	ControlOverdue     = "request-overdue"
	ControlUnconfirmed = "request-unconfirmed"
)

// control is what findings of a kind say.
type control struct{ id, severity, title, clauses string }

const clauses = "GDPR 12(3); CCPA 11 CCR 7021; SOC 2 P5.1"

var (
	dueSoon     = control{ControlDueSoon, "medium", "Request of a data subject is due within " + strconv.Itoa(SoonDays) + " days", clauses}
	overdue     = control{ControlOverdue, "high", "Request of a data subject was not answered in time", clauses}
	unconfirmed = control{ControlUnconfirmed, "medium", "Receipt of a data subject's request was not confirmed in time", "CCPA 11 CCR 7021(a)"}
)

// alarm is a finding that is to be opened about a request.
type alarm struct {
	control
	request *Request
	due     time.Time
	at      time.Time // when it began to hold: the same whoever finds it
}

// alarms lists what holds of r now.
func (r *Request) alarms(now time.Time) (out []alarm) {
	if !r.AwaitsAnswer() {
		return nil
	}
	logged := r.History[0].At
	add := func(c control, due, at time.Time) {
		if at.Before(logged) {
			at = logged
		}
		if !now.Before(at) {
			out = append(out, alarm{c, r, due, at.UTC()})
		}
	}
	add(dueSoon, r.Due, r.soon())
	add(overdue, r.Due, r.Due.Add(time.Second))
	if !r.ConfirmBy.IsZero() {
		add(unconfirmed, r.ConfirmBy, r.ConfirmBy.Add(time.Second))
	}
	return out
}

// id is the same in every process and for ever: one finding for a control, a
// request and a deadline, which an extension moves.
func (a *alarm) id() string {
	return events.EventRef(a.request.Tenant, Source, a.control.id+" "+a.request.ID+" "+a.due.UTC().Format(time.RFC3339)).String()
}

func (w *Workflow) finding(a *alarm) events.Event {
	id := a.id()
	return events.Event{
		ID: id, Source: Source, Type: events.FindingOpened, Time: a.at, Tenant: a.request.Tenant, Environment: w.cfg.Policy.Environment,
		Data: events.Data{Actor: Worker, Attributes: map[string]string{
			"finding": id, "control": a.control.id, "severity": a.severity, "title": a.title, "clauses": a.clauses,
			attrRequest: a.request.ID, attrType: a.request.Type, attrRegulation: a.request.Regulation, attrDue: a.due.Format(time.RFC3339),
		}},
	}
}

// updateFindings opens what holds now and was not opened yet, and closes what
// holds no more. Several processes do this at once and say the same.
func (w *Workflow) updateFindings(ctx context.Context) error {
	var faults []error
	now := w.cfg.Now()
	for _, ev := range slices.Concat(w.findings(now), w.reviews(now), w.untoldFindings(now), w.settledFindings()) {
		if err := w.publish(ctx, ev); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", ev.Type.Name(), err))
		}
	}
	return errors.Join(faults...)
}

func (w *Workflow) findings(now time.Time) (out []events.Event) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, r := range w.book.order {
		for _, a := range r.alarms(now) {
			if _, there := r.flagged[a.id()]; !there {
				out = append(out, w.finding(&a))
			}
		}
	}
	return out
}

// Stats counts requests that are open, renewals that were begun and neither completed nor
// cancelled, and recipients who were not told.
type Stats struct{ Open, Soon, Overdue, Partial, Renewals, Untold int }

// Stats is as of now.
func (w *Workflow) Stats() (s Stats) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	now := w.cfg.Now()
	for r := range w.book.telling {
		s.Untold += len(r.unanswered())
	}
	for _, r := range w.book.order {
		switch {
		case r.State == Partial:
			s.Partial++
		case r.AwaitsAnswer():
			s.Open++
			s.count(r.Urgency(now))
		case r.Type == typeRenewal && !r.ended():
			s.Renewals++
		}
	}
	return s
}

func (s *Stats) count(u Urgency) {
	switch u {
	case Soon:
		s.Soon++
	case Overdue:
		s.Overdue++
	}
}

// DaysLeft is how many days there are to answer r, less than 0 when they have
// passed.
func (r *Request) DaysLeft(now time.Time) int { return deadline.DaysLeft(r.Due, now) }
