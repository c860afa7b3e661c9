package erasure

import (
	"slices"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
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
	Partial   State = "partial"   // reserved
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

// Outcome says what a completed erasure found.
type Outcome string

// The outcomes.
const (
	Erased        Outcome = "erased"
	AlreadyErased Outcome = "already_erased"
	NoMatch       Outcome = "no_match"
)

// The attributes of request.* events. None is personal.
const (
	attrRequest    = "request"      // id of the request
	attrType       = "request_type" // of request.received
	attrRegulation = "regulation"   // of request.received
	attrKnown      = "known"        // of request.received: whether the subject was known before it
	attrOutcome    = "outcome"      // of request.completed
)

// Request is one request as it stands. It does not say whose it is: that is
// in the sealed part of the event that it came with.
type Request struct {
	ID, Tenant, Type, Regulation string

	State    State
	Received time.Time
	Due      time.Time
	Outcome  Outcome // of a completed erasure
	Reason   string  // of a denial
	Shard    uint16  // of the tenant
	Position uint64  // log index, in the shard, of the event that it came with
	History  []Step

	subject events.Ref // zero where the person had been forgotten before
	known   bool
	origin  lane.Entry // the request.received, for as long as it may have to be opened
}

// Step is one event of a request that changed it.
type Step struct {
	State    State
	At       time.Time // the intake's clock
	Actor    string
	Reason   string
	Position uint64 // log index, in the shard of the request

	event events.Ref
}

// Last is the last step.
func (r *Request) Last() Step { return r.History[len(r.History)-1] }

func (r *Request) clone() Request {
	c := *r
	c.History = slices.Clone(r.History)
	return c
}

// step is the first step that brought r into state s.
func (r *Request) step(s State) (Step, bool) {
	i := slices.IndexFunc(r.History, func(h Step) bool { return h.State == s })
	if i < 0 {
		return Step{}, false
	}
	return r.History[i], true
}

// Made reports whether the record is a revocation that an erasure made: it has
// to stay, as what it revokes was promised to be refused for good.
func Made(record *events.Record) bool {
	return record.Type == events.SubjectRevoked && record.Source == Source && record.Attributes[attrRequest] != ""
}

// transitions says which event leads from where to where.
var transitions = map[events.Type]struct {
	from []State
	to   State
}{
	events.RequestVerified:  {[]State{Received}, Verified},
	events.RequestExtended:  {[]State{Verified}, Extended},
	events.RequestApproved:  {[]State{Verified, Extended}, Approved},
	events.RequestDenied:    {[]State{Received, Verified, Extended}, Denied},
	events.RequestCancelled: {[]State{Received, Verified, Extended}, Cancelled},
	events.SubjectRevoked:   {[]State{Approved}, Executing},
	events.RequestCompleted: {[]State{Approved, Executing}, Completed},
}

// decider is the type of event that leads to s on a person's decision, or "".
func decider(s State) events.Type {
	switch s {
	case Verified:
		return events.RequestVerified
	case Approved:
		return events.RequestApproved
	case Denied:
		return events.RequestDenied
	case Cancelled:
		return events.RequestCancelled
	default:
		return ""
	}
}

// person is one data subject of one tenant.
type person struct {
	tenant string
	ref    events.Ref
}

// book is the fold: every request there ever was. Its owner guards it.
type book struct {
	byID   map[string][]*Request // ids are unique within a tenant
	order  []*Request            // as they came
	erased map[person]string     // who was forgotten, and the request that did it
}

func newBook() *book {
	return &book{byID: make(map[string][]*Request), erased: make(map[person]string)}
}

func (b *book) find(id string, reaches func(tenant string) bool) *Request {
	for _, r := range b.byID[id] {
		if reaches(r.Tenant) {
			return r
		}
	}
	return nil
}

// apply folds one control record. It returns the request that it changed, or
// nil.
func (b *book) apply(e lane.Entry) *Request {
	id := e.Record.Attributes[attrRequest]
	if id == "" {
		return nil
	}
	r := b.find(id, func(tenant string) bool { return tenant == e.Record.Tenant })
	if e.Record.Type == events.RequestReceived {
		return b.receive(r, id, e)
	}
	t, known := transitions[e.Record.Type]
	if !known || r == nil || !slices.Contains(t.from, r.State) || !allowed(r, e.Record) {
		return nil
	}
	r.move(t.to, e)
	b.conclude(r, e.Record)
	return r
}

func (b *book) receive(there *Request, id string, e lane.Entry) *Request {
	if there != nil {
		return nil
	}
	at := time.UnixMicro(e.Record.Received).UTC()
	r := &Request{
		ID: id, Tenant: e.Record.Tenant, Type: e.Record.Attributes[attrType], Regulation: e.Record.Attributes[attrRegulation],
		Received: at, Shard: e.Shard, Position: e.Index,
		subject: e.Record.SubjectRef, known: e.Record.Attributes[attrKnown] != "no", origin: e,
	}
	r.Due = Due(at, r.Regulation)
	r.move(Received, e)
	b.byID[id] = append(b.byID[id], r)
	b.order = append(b.order, r)
	return r
}

func (r *Request) move(to State, e lane.Entry) {
	r.State = to
	r.History = append(r.History, Step{
		State: to, At: time.UnixMicro(e.Record.Received).UTC(), Actor: e.Record.Actor, Reason: e.Record.Reason,
		Position: e.Index, event: e.Record.Ref(),
	})
}

// conclude does what a state asks for beside being in it.
func (b *book) conclude(r *Request, record *events.Record) {
	switch r.State {
	case Extended:
		r.Due = extended(r.Received, r.Regulation)
	case Denied:
		r.Reason = record.Reason
	case Completed:
		r.Outcome = Outcome(record.Attributes[attrOutcome])
		if at := (person{r.Tenant, r.subject}); r.Type == Erasure && !r.subject.IsZero() && b.erased[at] == "" {
			b.erased[at] = r.ID
		}
	}
	if r.State == Completed || r.State == Denied || r.State == Cancelled {
		r.origin = lane.Entry{}
	}
}

// allowed holds what the table of transitions cannot say.
func allowed(r *Request, record *events.Record) bool {
	switch record.Type {
	case events.RequestApproved:
		return !r.involves(record.Actor)
	case events.SubjectRevoked:
		return r.Type == Erasure && revokes(r, record)
	default:
		return true
	}
}

// involves reports whether actor received or verified r.
func (r *Request) involves(actor string) bool {
	return same(actor, "") || slices.ContainsFunc(r.History, func(h Step) bool {
		return (h.State == Received || h.State == Verified) && same(h.Actor, actor)
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
	return v.IssuedBefore == 0 || v.IssuedBefore >= events.TimestampOf(r.Last().At)
}

// pending lists the erasures that are to be carried out, the oldest first.
func (b *book) pending() []Request {
	var out []Request
	for _, r := range b.order {
		if r.Type == Erasure && (r.State == Approved || r.State == Executing) {
			out = append(out, r.clone())
		}
	}
	return out
}

// outcome is what carrying out r comes to. It is decided by the log alone, so
// that a worker that was stopped in between says the same.
func (b *book) outcome(r *Request) Outcome {
	by := b.erased[person{r.Tenant, r.subject}]
	switch {
	case r.subject.IsZero(), by != "" && by != r.ID:
		return AlreadyErased
	case !r.known:
		return NoMatch
	default:
		return Erased
	}
}
