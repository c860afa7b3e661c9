package erasure

import (
	"slices"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/deadline"
)

// The attributes of request.* events. None is personal.
const (
	attrRequest    = "request"      // id of the request
	attrType       = "request_type" // of request.received
	attrRegulation = "regulation"   // of request.received
	attrKnown      = "known"        // of request.received: whether the subject was known before it
	attrReceived   = "received"     // of request.received: when it reached the controller, where that was before
	attrConfirmed  = "confirmed"    // of request.received: the requester was told at once
	attrDue        = "due"          // of request.received and request.extended
	attrConfirmBy  = "confirm_by"   // of request.received
	attrTold       = "told"         // of request.extended and a lift: the day on which the subject was told
	attrCommitment = "commitment"   // of request.received: to the subject, see package receipt
	attrLift       = "lift"         // of request.cancelled: a restriction that was carried out ends
	attrOutcome    = "outcome"      // of request.completed
	attrMissing    = "missing"      // of request.completed with the outcome partial, separated by spaces
	attrHolds      = "holds"        // of the same and of request.executed: which holds were heeded, as one digest
	attrAsk        = "ask"          // of request.received: under which id it came; of request.reported: who was told
	attrSaid       = "said"         // of request.received: what it said, as a reference
	attrCallbacks  = "callbacks"    // of request.received: how many URLs are told
	attrWithdraw   = "withdraw"     // of request.cancelled: the ask that is taken back
	attrCallback   = "callback"     // of request.reported: which of the URLs
	attrStep       = "step"         // of the same: position of the step that it was told of
	attrAnswer     = "answer"       // of the same: what it came to
	attrKept       = "kept"         // of the same: how many personal parts they keep
)

// OutcomePartial is said of a request that was carried out in part, in the event
// that says so.
const OutcomePartial = Outcome("partial")

// yes is the value of an attribute that is there or not.
const yes = "yes"

// The limits within which what an event says of deadlines is believed. Anybody
// who may publish as Rescind could write another; nobody gains by it.
const (
	longest  = 200 * 24 * time.Hour // from receipt to due, extended or not
	backdate = 400 * 24 * time.Hour // from receipt to being recorded
)

// instant is an attribute that is a time; zero where it is none.
func instant(record *events.Record, name string) time.Time {
	at, err := time.Parse(time.RFC3339, record.Attributes[name])
	if err != nil {
		return time.Time{}
	}
	return at
}

// receivedAt is when a request reached the controller: as its event says, but
// not after it was logged.
func receivedAt(record *events.Record) time.Time {
	logged := time.UnixMicro(record.Received).UTC()
	at := instant(record, attrReceived)
	if at.IsZero() || at.After(logged) || logged.Sub(at) > backdate {
		return logged
	}
	return at.UTC()
}

// dueAt is the deadline that an event states, or what the law says where it
// states none that can be.
func dueAt(record *events.Record, received time.Time, regulation string) time.Time {
	at := instant(record, attrDue)
	if !at.After(received) || at.Sub(received) > longest {
		return deadline.Default().Answer(received, regulation)
	}
	return at
}

// missing is what a partial request still lacks.
func missing(record *events.Record) []string { return strings.Fields(record.Attributes[attrMissing]) }

// lacks is missing, and all recipients who were not told: the record may not name
// them all.
func (r *Request) lacks(record *events.Record) []string {
	all := slices.DeleteFunc(missing(record), func(m string) bool { return strings.HasPrefix(m, missingRecipient) })
	for _, id := range r.unanswered() {
		all = append(all, missingRecipient+id)
	}
	return all
}

// awaits reports whether a partial request has not told all recipients.
func awaits(record *events.Record) bool {
	return slices.ContainsFunc(missing(record), func(m string) bool { return strings.HasPrefix(m, missingRecipient) })
}

// validDay reports whether s is a date.
func validDay(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}
