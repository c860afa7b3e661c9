package erasure

import (
	"slices"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/deadline"
	"github.com/rescindhq/rescind/query/lane"
)

// State says where a request stands.
type State string

// The states.
const (
	Received  State = "received"
	Verified  State = "verified"  // the requester is who they say they are
	Extended  State = "extended"  // verified, and the deadline was extended
	Approved  State = "approved"  // to be carried out
	Denied    State = "denied"    // final
	Executing State = "executing" // the subject's tokens are revoked
	Partial   State = "partial"   // carried out but for what is missing
	Completed State = "completed" // final
	Cancelled State = "cancelled" // final
)

// States lists every state.
func States() []State {
	return []State{Received, Verified, Extended, Approved, Denied, Executing, Partial, Completed, Cancelled}
}

// The types of request.
const (
	Erasure     = "erasure"
	Access      = "access"
	Portability = "portability"
	Restriction = "restriction"
	Objection   = "objection"
)

// Types lists them.
func Types() []string { return []string{Erasure, Access, Portability, Restriction, Objection} }

// The regulations that a request can be made under.
const (
	GDPR  = deadline.GDPR
	CCPA  = deadline.CCPA
	Other = deadline.Other
)

// Regulations lists them.
func Regulations() []string { return deadline.Regulations() }

// Outcome says what carrying a request out came to.
type Outcome string

// The outcomes.
const (
	Erased        Outcome = "erased"
	AlreadyErased Outcome = "already_erased"
	NoMatch       Outcome = "no_match"
	Restricted    Outcome = "restricted" // personal data is not opened until it is lifted
	Lifted        Outcome = "lifted"     // a restriction or objection that holds no more
)

// Request is one request as it stands. It does not say whose it is: that is
// in the sealed part of the event that it came with.
type Request struct {
	ID, Tenant, Type, Regulation string

	State       State
	Received    time.Time // when it reached the controller, or what joined it did before
	Due         time.Time // last second of the day by which it has to be answered
	ConfirmBy   time.Time // the same for confirming its receipt; zero where no rule says so, or it was
	Answered    time.Time // zero while it is open
	Extended    bool
	Outcome     Outcome
	Reason      string    // of a denial
	Missing     []string  // of a partial one
	ExportUntil time.Time // when its export can be fetched no longer; zero where there is none
	Salt        string    // of what Receive and AskFor returned, and nowhere else: it ties the receipt to the subject
	Shard       uint16    // of the tenant
	Position    uint64    // log index, in the shard, of the event that it came with
	History     []Step
	Asks        []Asked // by which it came from elsewhere

	Recipients []Recipient // of an erasure: who has to be told, in the order of their ids

	subject events.Ref // zero where the person had been forgotten before
	known   bool
	heeded  string            // of a partial one: the holds, as one digest
	awaits  bool              // of a partial one: recipients were not told when that was stated
	export  events.Ref        // that it was answered with
	refused events.Revocation // of an erasure: of the subject's tokens
	origin  lane.Entry        // the request.received, for as long as it may have to be opened
	flagged map[string]flag   // by the id of the finding
	direct  int               // times that it was recorded here, and came by no ask

	// What a receipt says, of an erasure.
	commitment string           // to the subject
	approved   lane.Place       // where the log stood
	cutoff     events.Timestamp // what was issued until then is refused; 0 where r revoked nothing
	keyMark    string           // of the key; empty where that is not known
	rounds     int              // how many request.executed there were
	destroyed  time.Time        // when the first of them was logged
	repeated   repetition       // of an erasure that was lost with what was restored
	executed   *execution       // the last of them; nil again once r has ended
	receiptSeq uint64           // the batch with the last receipt, in the stream of the log; 0 where there is none
	receiptAt  uint64           // the index of its record
}

// What a step was, beside the states that it may have led to.
const (
	StepJoined   = "joined"   // somebody asked for the same again
	StepExtended = "extended" // before the identity was verified, too
	StepLifted   = "lifted"

	StepWithdrawn = "withdrawn" // one of several who asked takes it back
)

// Step is one event of a request that changed it.
type Step struct {
	State    State
	What     string    // the state, or one of the steps above
	At       time.Time // the intake's clock
	Actor    string
	Reason   string
	Ticket   string
	Told     string // the day on which the subject was told
	Position uint64 // log index, in the shard of the request

	Recipient string   // of a step of telling somebody
	Delivery  Delivery // of the same

	event  events.Ref
	sooner bool // it brought the deadline forward
}

// Last is the last step.
func (r *Request) Last() Step { return r.History[len(r.History)-1] }

// Urgency says whether somebody has to look at a request.
type Urgency string

// The urgencies. The zero Urgency is that there is time.
const (
	Soon    Urgency = "soon"    // due within SoonDays
	Overdue Urgency = "overdue" // was not answered in time
)

// SoonDays is how many days before it is due a request is due soon.
const SoonDays = 7

// AwaitsAnswer reports whether somebody waits for r. Nobody does for a renewal, which
// stays open where it was stopped before its key.
func (r *Request) AwaitsAnswer() bool { return r.Answered.IsZero() && r.Type != typeRenewal }

// Urgency is how it stands with the deadline of r now, or stood when r was
// answered.
func (r *Request) Urgency(now time.Time) Urgency {
	if r.Type == typeRenewal {
		return "" // no law sets one
	}
	if !r.Answered.IsZero() {
		now = r.Answered
	}
	switch {
	case now.After(r.Due):
		return Overdue
	case r.Answered.IsZero() && !now.Before(r.soon()):
		return Soon
	default:
		return ""
	}
}

// soon is when r becomes due soon.
func (r *Request) soon() time.Time { return r.Due.AddDate(0, 0, -SoonDays) }

func (r *Request) clone() Request {
	c := *r
	c.History, c.Missing, c.flagged = slices.Clone(r.History), slices.Clone(r.Missing), nil
	c.Recipients = slices.Clone(r.Recipients)
	c.Asks = slices.Clone(r.Asks)
	for i := range c.Asks {
		c.Asks[i].done = slices.Clone(c.Asks[i].done)
	}
	return c
}

// step is the first step that was what.
func (r *Request) step(what string) (Step, bool) {
	i := slices.IndexFunc(r.History, func(h Step) bool { return h.What == what })
	if i < 0 {
		return Step{}, false
	}
	return r.History[i], true
}

// approvedAt is when r was approved, zero where it was not.
func (r *Request) approvedAt() time.Time {
	approved, _ := r.step(string(Approved))
	return approved.At
}

// took reports whether the event changed r.
func (r *Request) took(ev events.Event) bool {
	ref := events.EventRef(ev.Tenant, ev.Source, ev.ID)
	return slices.ContainsFunc(r.History, func(h Step) bool { return h.event == ref })
}

// ended reports whether r needs nobody any more.
func (r *Request) ended() bool {
	return r.State == Completed || r.State == Denied || r.State == Cancelled
}

// Made reports whether the record is a revocation that an erasure made: it has
// to stay, as what it revokes was promised to be refused for good.
func Made(record *events.Record) bool {
	made := record.Type == events.SubjectRevoked || record.Type == events.RevocationRestored
	return made && record.Source == Source && record.Attributes[attrRequest] != ""
}
