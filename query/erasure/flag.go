package erasure

import (
	"slices"
	"time"

	"github.com/rescindhq/rescind/events"
)

// flag is a finding about a request that is on the log.
type flag struct {
	control   string
	due       time.Time // the deadline that it is about
	recipient string    // that it is about
	closed    bool
}

// foldFinding folds a finding about r that was opened or closed.
func (r *Request) foldFinding(record *events.Record) {
	id := record.Attributes["finding"]
	f := r.flagged[id]
	if record.Type == events.FindingOpened {
		f.control, f.due, f.recipient = record.Attributes["control"], instant(record, attrDue), record.Attributes[attrRecipient]
	}
	f.closed = f.closed || record.Type == events.FindingClosed
	r.flagged[id] = f
}

// overcome is when and by what there was no reason any more for what is flagged;
// at the zero time there is. It is decided by the first step that was enough, so
// that whoever closes a finding, and when, says the same.
func (r *Request) overcome(f flag) (at time.Time, by string) {
	switch f.control {
	case ControlUntold:
		if p := r.recipient(f.recipient); p != nil {
			return p.Settled, "settled"
		}
		return time.Time{}, ""
	case ControlStranger: // whoever registers them closes it
		return time.Time{}, ""
	case ControlUnconfirmed:
		i := slices.IndexFunc(r.History, func(s Step) bool { return s.What != string(Received) && s.What != StepJoined })
		if i < 0 {
			return time.Time{}, ""
		}
		return r.History[i].At, "confirmed"
	}
	if extended, is := r.step(StepExtended); is && !f.due.Equal(r.Due) {
		return extended.At, "extended"
	}
	return r.Answered, "answered"
}

// settledFindings lists what closes the findings about requests that there is
// no reason for any more.
func (w *Workflow) settledFindings() (out []events.Event) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, r := range w.book.order {
		for id, f := range r.flagged {
			if at, by := r.overcome(f); !f.closed && !at.IsZero() {
				out = append(out, w.closing(r, id, at, by))
			}
		}
	}
	return out
}

func (w *Workflow) closing(r *Request, finding string, at time.Time, by string) events.Event {
	return events.Event{
		ID: events.EventRef(r.Tenant, Source, "closed "+finding).String(), Source: Source, Type: events.FindingClosed, Time: at,
		Tenant: r.Tenant, Environment: w.cfg.Policy.Environment,
		Data: events.Data{Actor: Worker, Reason: by, Attributes: map[string]string{"finding": finding, attrRequest: r.ID}},
	}
}
