package erasure

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
)

// from is the states in which an event of a type can change a request.
var from = map[events.Type][]State{
	events.RequestVerified:  {Received},
	events.RequestExtended:  {Received, Verified},
	events.RequestApproved:  {Verified, Extended},
	events.RequestDenied:    {Received, Verified, Extended},
	events.RequestCancelled: {Received, Verified, Extended},
	events.SubjectRevoked:   {Approved},
	events.RequestExecuted:  {Approved, Executing, Partial},
	events.RequestCompleted: {Approved, Executing, Partial},
}

// judge is the state into which the record brings r, or why it changes nothing.
// It is asked before an event is published and when it is folded, so that both
// say the same. The record's Received is the time that counts.
func (r *Request) judge(record *events.Record) (State, error) {
	if record.Source != Source {
		return "", errNotOurs
	}
	if lifts(record) {
		return r.State, r.judgeLift(record)
	}
	if record.Type == events.RequestNotified {
		return r.State, r.judgeNotice(record)
	}
	if withdraws(record) {
		return r.judgeWithdrawal(record)
	}
	to := r.target(record)
	if r.Type == typeRenewal {
		return to, r.judgeRenewal(record, to)
	}
	if !slices.Contains(from[record.Type], r.State) {
		return "", &StateError{State: r.State, To: to}
	}
	switch record.Type {
	case events.RequestExtended:
		return to, r.judgeExtension(record)
	case events.RequestApproved:
		return to, r.judgeApproval(record)
	case events.RequestDenied:
		return to, judgeDenial(record)
	case events.SubjectRevoked:
		return to, r.judgeRevocation(record)
	case events.RequestExecuted:
		return to, r.judgeExecution()
	case events.RequestCompleted:
		return to, r.judgeCompletion(record)
	default:
		return to, nil
	}
}

// target is the state that an event of a type leads to.
func (r *Request) target(record *events.Record) State {
	switch record.Type {
	case events.RequestVerified:
		if r.Extended {
			return Extended
		}
		return Verified
	case events.RequestExtended:
		if r.State == Received {
			return Received
		}
		return Extended
	case events.RequestApproved:
		return Approved
	case events.RequestDenied:
		return Denied
	case events.RequestCancelled:
		return Cancelled
	case events.SubjectRevoked:
		return Executing
	case events.RequestExecuted:
		if r.State == Partial {
			return Partial
		}
		return Executing
	case events.RequestCompleted:
		if Outcome(record.Attributes[attrOutcome]) == OutcomePartial {
			return Partial
		}
		return Completed
	default:
		return ""
	}
}

// judgeRenewal: it is completed by Renew, or given up.
func (r *Request) judgeRenewal(record *events.Record, to State) error {
	renewed := to == Completed && Outcome(record.Attributes[attrOutcome]) == KnownAgain
	if r.State != Received || !renewed && to != Cancelled {
		return &StateError{State: r.State, To: to}
	}
	return nil
}

func (r *Request) judgeApproval(record *events.Record) error {
	if r.involves(record.Actor) {
		return ErrFourEyes
	}
	return nil
}

func judgeDenial(record *events.Record) error {
	if !slices.Contains(DenialReasons(), record.Reason) {
		return &MemberError{"reason", "want one of " + strings.Join(DenialReasons(), ", ")}
	}
	return nil
}

// judgeExtension holds an extension to GDPR article 12(3) and CCPA § 7021(b):
// once, with a reason, of which the subject was told before the first period
// ended. It has to be recorded by then as well: what is recorded later could
// have been made up later.
func (r *Request) judgeExtension(record *events.Record) error {
	logged, told := time.UnixMicro(record.Received), record.Attributes[attrTold]
	until := instant(record, attrDue)
	switch {
	case r.Extended:
		return &StateError{State: Extended, To: Extended}
	case record.Reason == "":
		return &MemberError{"reason", "say why it takes longer"}
	case logged.After(r.Due):
		return fmt.Errorf("%w: the first period ended on %s", ErrTooLate, r.Due.Format(time.DateOnly))
	case !validDay(told):
		return &MemberError{"told", "want the day on which the subject was told, as 2026-03-31"}
	case told < r.dayOf(r.Received) || told > r.dayOf(logged) || told > r.dayOf(r.Due):
		return &MemberError{"told", "want a day from receipt to today"}
	case until.Before(r.Due) || until.Sub(r.Received) > longest:
		return &MemberError{"due", "it is no extension"}
	default:
		return nil
	}
}

// dayOf is the date at a time where the deadline of r is counted.
func (r *Request) dayOf(at time.Time) string { return at.In(r.Due.Location()).Format(time.DateOnly) }

// lifts reports whether the record says that a restriction ends.
func lifts(record *events.Record) bool {
	return record.Type == events.RequestCancelled && record.Attributes[attrLift] == yes
}

// judgeLift: the subject has to be told before a restriction ends (GDPR article
// 18(3)).
func (r *Request) judgeLift(record *events.Record) error {
	told := record.Attributes[attrTold]
	switch {
	case r.State != Completed || r.Outcome != Restricted:
		return &StateError{State: r.State, To: StepLifted}
	case record.Reason == "":
		return &MemberError{"reason", "say why the restriction ends"}
	case !validDay(told) || told < r.dayOf(r.Received) || told > r.dayOf(time.UnixMicro(record.Received)):
		return &MemberError{"told", "want the day on which the subject was told that it ends, as 2026-03-31, from receipt to today"}
	default:
		return nil
	}
}

func (r *Request) judgeRevocation(record *events.Record) error {
	if r.Type != Erasure || !revokes(r, record) {
		return errNotOurs
	}
	return nil
}

func (r *Request) judgeExecution() error {
	if r.Type != Erasure {
		return errNotOurs
	}
	return nil
}

func (r *Request) judgeCompletion(record *events.Record) error {
	partial := Outcome(record.Attributes[attrOutcome]) == OutcomePartial
	if partial && (r.Type != Erasure || len(missing(record)) == 0) {
		return errNotOurs
	}
	return nil
}

// involves reports whether actor received, joined or verified r.
func (r *Request) involves(actor string) bool {
	return same(actor, "") || slices.ContainsFunc(r.History, func(h Step) bool {
		return (h.What == string(Received) || h.What == StepJoined || h.What == string(Verified)) && same(h.Actor, actor)
	})
}

// same reports whether two names are one person's: an issuer of access tokens
// may write a name in more than one way.
func same(a, b string) bool { return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b)) }

// revokes reports whether the record is our revocation of all that r's subject
// was issued until r was approved. The type is not reserved: others publish it
// too, and may name any request.
func revokes(r *Request, record *events.Record) bool {
	v := record.Revocation
	if record.Source != Source || v == nil || v.Scope != events.ScopeSubject || r.subject.IsZero() || record.SubjectRef != r.subject {
		return false
	}
	return v.IssuedBefore == 0 || v.IssuedBefore >= events.TimestampOf(r.approvedAt())
}
