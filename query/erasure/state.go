package erasure

import (
	"strconv"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/lane"
)

// person is one data subject of one tenant.
type person struct {
	tenant string
	ref    events.Ref
}

// asked is what can only be asked for once at a time.
type asked struct {
	person
	kind, regulation string
}

// book is the fold: every request there ever was. Its owner guards it.
type book struct {
	byID       map[string][]*Request // ids are unique within a tenant; one that was joined leads to the first
	order      []*Request            // as they came
	open       map[asked]*Request
	erased     map[person]string     // who was forgotten, and the request that did it
	restricted map[person][]*Request // by what
	telling    map[*Request]bool     // whose recipients were not all told
	unknown    map[string]int        // findings about audiences that nobody is registered for: of how many more there is none
	asks       map[askKey]*Request
	called     map[*Request]bool // whose changes are to be told
	undone     map[undone]repetition
}

func newBook() *book {
	return &book{
		byID: make(map[string][]*Request), open: make(map[asked]*Request),
		erased: make(map[person]string), restricted: make(map[person][]*Request),
		telling: make(map[*Request]bool), unknown: make(map[string]int),
		asks: make(map[askKey]*Request), called: make(map[*Request]bool), undone: make(map[undone]repetition),
	}
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
	if isStranger(e.Record) {
		more, _ := strconv.Atoi(e.Record.Attributes[attrMore])
		b.unknown[e.Record.ID] = max(more, 0)
	}
	if id == "" || e.Record.Source != Source {
		return nil
	}
	r := b.find(id, func(tenant string) bool { return tenant == e.Record.Tenant })
	switch {
	case e.Record.Type == events.RequestReapplied:
		b.reapplied(e.Record)
		return nil
	case e.Record.Type == events.RequestReceived:
		return b.receive(r, id, e)
	case r == nil:
		return nil
	case e.Record.Type == events.FindingOpened, e.Record.Type == events.FindingClosed:
		r.foldFinding(e.Record)
		return nil
	case isReport(e.Record):
		b.reported(r, e.Record)
		return nil
	}
	to, err := r.judge(e.Record)
	if err != nil {
		return nil
	}
	if e.Record.Type == events.RequestNotified {
		b.notified(r, e)
		return r
	}
	was := r.State
	if a := r.withdrawn(e.Record); a != nil {
		a.Withdrawn, a.ended, a.WithdrawnAt = true, e.Index, time.UnixMicro(e.Record.Received).UTC()
	}
	r.move(to, what(to, e.Record), e)
	if e.Record.Type == events.RequestExecuted {
		r.execute(e)
		b.repeats(r)
		return r
	}
	r.keep(e)
	b.conclude(r, was, e.Record)
	return r
}

// what names the step that a record is.
func what(to State, record *events.Record) string {
	switch {
	case record.Type == events.RequestExtended:
		return StepExtended
	case record.Type == events.RequestVerified:
		return string(Verified)
	case record.Type == events.RequestExecuted:
		return StepExecuted
	case lifts(record):
		return StepLifted
	case withdraws(record) && to != Cancelled:
		return StepWithdrawn
	default:
		return string(to)
	}
}

// receive begins a request, or has it join the one that asks for the same. What
// was sent twice under one id changes nothing.
func (b *book) receive(there *Request, id string, e lane.Entry) *Request {
	a := askOf(e)
	if there != nil || !a.Ref.IsZero() && b.asks[askKey{e.Record.Tenant, a.Ref}] != nil {
		return nil
	}
	r := newRequest(id, e)
	if first := b.open[r.asked()]; first != nil && !r.subject.IsZero() {
		first.move(first.State, StepJoined, e)
		first.bringForward(r)
		b.ask(first, a)
		b.byID[id] = append(b.byID[id], first)
		return first
	}
	r.move(Received, string(Received), e)
	b.ask(r, a)
	b.byID[id] = append(b.byID[id], r)
	b.order = append(b.order, r)
	b.open[r.asked()] = r
	return r
}

// bringForward is that what joins r had reached the controller before it: then the
// deadline runs from there, also where r was extended, of which nobody spoke to who asked
// first. Once r is carried out its receipt says both, and it stays so.
func (r *Request) bringForward(joins *Request) {
	if !r.Answered.IsZero() || r.rounds > 0 || !joins.Received.Before(r.Received) {
		return
	}
	r.History[len(r.History)-1].sooner = joins.Due.Before(r.Due)
	r.Received, r.Due, r.ConfirmBy = joins.Received, earlier(r.Due, joins.Due), earlier(r.ConfirmBy, joins.ConfirmBy)
}

// earlier is a, where b is not before it.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func newRequest(id string, e lane.Entry) *Request {
	a := e.Record.Attributes
	at := receivedAt(e.Record)
	r := &Request{
		ID: id, Tenant: e.Record.Tenant, Type: a[attrType], Regulation: a[attrRegulation],
		Received: at, Due: dueAt(e.Record, at, a[attrRegulation]), Shard: e.Shard, Position: e.Index,
		subject: e.Record.SubjectRef, known: a[attrKnown] != "no", commitment: a[attrCommitment], origin: e, flagged: make(map[string]flag),
	}
	if a[attrConfirmed] != yes {
		r.ConfirmBy = instant(e.Record, attrConfirmBy)
	}
	return r
}

func (r *Request) asked() asked { return asked{person{r.Tenant, r.subject}, r.Type, r.Regulation} }

func (r *Request) move(to State, what string, e lane.Entry) {
	r.State = to
	r.History = append(r.History, Step{
		State: to, What: what, At: time.UnixMicro(e.Record.Received).UTC(), Actor: e.Record.Actor, Reason: e.Record.Reason,
		Ticket: e.Record.Ticket, Told: e.Record.Attributes[attrTold], Position: e.Index, event: e.Record.Ref(),
	})
}

// keep remembers what a receipt will say of an event, and where one stands.
func (r *Request) keep(e lane.Entry) {
	switch e.Record.Type {
	case events.RequestApproved:
		r.approved = e.Place
	case events.SubjectRevoked:
		r.cutoff, r.keyMark = e.Record.Revocation.IssuedBefore, e.Record.Attributes[attrKeyMark]
	case events.RequestCompleted:
		if e.Record.Attributes[attrReceiptSignature] != "" {
			r.receiptSeq, r.receiptAt = e.Place.Seq, e.Index
		}
	}
}

// conclude does what an event asks for beside the state that it led to.
func (b *book) conclude(r *Request, was State, record *events.Record) {
	r.ConfirmBy = time.Time{} // whoever did something has been in touch
	r.Missing = nil
	switch {
	case record.Type == events.RequestExtended:
		r.Extended, r.Due = true, instant(record, attrDue)
	case lifts(record):
		r.Outcome = Lifted
		b.lift(r)
	case record.Type == events.SubjectRevoked:
		r.refused = *record.Revocation
	case r.State == Denied:
		r.Reason = record.Reason
	case r.State == Approved && r.restricts() && !r.subject.IsZero():
		at := person{r.Tenant, r.subject}
		b.restricted[at] = append(b.restricted[at], r)
	case r.State == Partial:
		r.Missing, r.heeded, r.awaits = r.lacks(record), record.Attributes[attrHolds], awaits(record)
	case r.State == Completed:
		b.complete(r, record)
	}
	if r.Answered.IsZero() && (r.ended() || r.State == Partial) {
		r.Answered = r.Last().At
	}
	if r.ended() && was != r.State {
		b.end(r)
	}
}

func (b *book) complete(r *Request, record *events.Record) {
	r.Outcome = Outcome(record.Attributes[attrOutcome])
	r.exported(record)
	if at := (person{r.Tenant, r.subject}); r.Type == Erasure && !r.subject.IsZero() && b.erased[at] == "" {
		b.erased[at] = r.ID
	}
}

// end lets go of what only an open request needs.
func (b *book) end(r *Request) {
	r.origin, r.executed = lane.Entry{}, nil
	if b.open[r.asked()] == r {
		delete(b.open, r.asked())
	}
}

// restricts reports whether r, once approved, keeps personal data shut.
func (r *Request) restricts() bool { return r.Type == Restriction || r.Type == Objection }

// pending lists the requests that the worker has to carry out, the oldest
// first: what is approved, and what is partial under other holds than there are.
func (b *book) pending(holds *hold.Book) []Request {
	var out []Request
	for _, r := range b.order {
		if r.toDo() || r.toldAll() || r.State == Partial && r.heeded != digestOf(holds.Of(r.Tenant, r.subject)) {
			out = append(out, r.clone())
		}
	}
	return out
}

func (r *Request) toDo() bool {
	switch r.State {
	case Approved:
		return r.Type == Erasure || r.restricts()
	case Executing:
		return true
	default:
		return false
	}
}

// outcome is what carrying out r comes to. It is decided by the log alone, so
// that a worker that was stopped in between says the same.
func (b *book) outcome(r *Request) Outcome {
	by := b.erased[person{r.Tenant, r.subject}]
	switch {
	case r.restricts():
		return Restricted
	case r.subject.IsZero(), by != "" && by != r.ID:
		return AlreadyErased
	case !r.known:
		return NoMatch
	default:
		return Erased
	}
}
