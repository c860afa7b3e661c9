package hold

import (
	"slices"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
)

// read is the hold that a record places, or why it places none.
func read(r *events.Record) (*Hold, error) {
	a := r.Attributes
	if r.Source != Source || r.Type != events.HoldPlaced || a[AttrHold] == "" {
		return nil, errNotOurs
	}
	h := &Hold{
		ID: a[AttrHold], Tenant: r.Tenant, Match: Match{Subject: r.SubjectRef, Session: r.SessionRef, Client: r.Client},
		By: strings.Fields(a[AttrBy]), Article: a[AttrArticle], Owner: a[AttrOwner], Reason: r.Reason, Ticket: r.Ticket,
		PlacedBy: r.Actor, Placed: time.UnixMicro(r.Received).UTC(),
	}
	for _, name := range strings.Fields(a[AttrTypes]) {
		h.Types = append(h.Types, events.TypeNamed(name))
	}
	for _, text := range []struct{ name, value, why string }{
		{"article", h.Article, "say what the hold rests on, as GDPR 17(3)(e)"}, {"owner", h.Owner, "say who answers for it"}, {"reason", h.Reason, "say why"},
	} {
		if strings.TrimSpace(text.value) == "" {
			return nil, &MemberError{text.name, text.why}
		}
	}
	if err := h.readTimes(a); err != nil {
		return nil, err
	}
	return h, h.complete()
}

func (h *Hold) readTimes(a map[string]string) error {
	var err error
	for name, to := range map[string]*time.Time{AttrFrom: &h.From, AttrTo: &h.To} {
		if a[name] == "" {
			continue
		}
		if *to, err = time.Parse(time.RFC3339Nano, a[name]); err != nil {
			return &MemberError{name, "want a time as 2026-03-31T00:00:00Z"}
		}
	}
	if !h.From.IsZero() && !h.To.IsZero() && !h.From.Before(h.To) {
		return &MemberError{AttrTo, "it is not after from: nothing can match"}
	}
	day, err := time.Parse(time.DateOnly, a[AttrReview])
	if err != nil {
		return &MemberError{AttrReview, "want the day of the next review, as 2026-03-31"}
	}
	h.Review = day.Add(24*time.Hour - time.Second)
	return nil
}

// complete checks that all that the hold is said to name is there, and nothing
// else. A subject that is not was forgotten before; were it passed over, the
// hold would keep everybody.
func (h *Hold) complete() error {
	named := map[string]bool{
		BySubject: !h.Subject.IsZero(), BySession: !h.Session.IsZero(), ByClient: h.Client != "",
		ByTime: !h.From.IsZero() || !h.To.IsZero(), ByType: len(h.Types) > 0,
	}
	if len(h.By) == 0 {
		return &MemberError{"subject", "name at least one of subject, session, client_id, types, from and to"}
	}
	for _, by := range h.By {
		if !named[by] {
			return &MemberError{by, "there is none: a subject that was forgotten has nothing left to keep"}
		}
	}
	for by, is := range named {
		if is && !slices.Contains(h.By, by) {
			return &MemberError{by, "it is not among what the hold names"}
		}
	}
	for _, t := range h.Types {
		if !t.Known() {
			return &MemberError{"types", "one of them is not one of ours"}
		}
	}
	return nil
}
