package query

import (
	"context"
	"errors"
	"strconv"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/export"
)

// recordAccess publishes audit.accessed and returns once it is durable: only
// then may anything be opened.
func (s *Server) recordAccess(ctx context.Context, p *Principal, in *AuditSearch, rows []Row, out AuditEvents) error {
	d := events.Data{Actor: p.Subject, Attributes: map[string]string{
		"purpose": in.Purpose, "route": "audit/search", "events": strconv.Itoa(len(out.Events)),
	}}
	if n := len(out.Events); n > 0 {
		d.Attributes["first"] = strconv.FormatUint(out.Events[0].Index, 10)
		d.Attributes["last"] = strconv.FormatUint(out.Events[n-1].Index, 10)
	}
	if in.Exception != "" {
		d.Attributes["exception"] = in.Exception
	}
	if out.SubjectState == subjectKnown { // never make a person known by looking for them
		d.Issuer, d.Subject = in.Issuer, in.Subject
	} else {
		export.People(d.Attributes, people(rows)) // who ask what was opened of theirs are told
	}
	return s.recordFirst(ctx, in.Tenant, d)
}

// recordFirst publishes audit.accessed and returns once it is durable. What it
// is about must not be done before.
func (s *Server) recordFirst(ctx context.Context, tenant string, d events.Data) error {
	ev, err := s.event(events.AuditAccessed, tenant, d)
	if err != nil {
		return err
	}
	err = s.publish(ctx, ev)
	var refusal *events.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return invalid("purpose", "%s", refusal.Detail)
	default:
		return &unrecorded{err}
	}
}

// unrecorded is errAudit with its cause, which is for the log only.
type unrecorded struct{ cause error }

func (e *unrecorded) Error() string { return errAudit.Error() + ": " + e.cause.Error() }

func (e *unrecorded) Unwrap() error { return errAudit }
