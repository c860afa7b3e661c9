package erasure

import (
	"slices"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/lane"
)

// The attributes of request.notified, beside attrRequest and attrTold.
const (
	attrRecipient = "recipient" // id in the registry
	attrDelivery  = "delivery"  // a Delivery
)

// StepNotified is a step of telling one recipient.
const StepNotified = "notified"

// Delivery says how it stands with telling one recipient of an erasure.
type Delivery string

// The deliveries. All but Pending are final.
const (
	Pending   Delivery = "pending"   // a notice is prepared, or a person has to tell them
	Delivered Delivery = "delivered" // they answered that they have it
	Refused   Delivery = "refused"   // they have it and answered no, and why
	Informed  Delivery = "told"      // a person told them by other means
	GivenUp   Delivery = "given_up"  // a person found it impossible, or its effort disproportionate
)

// Recipient is one to whom personal data of a request's subject was disclosed
// (GDPR article 19), as it stands.
type Recipient struct {
	ID       string
	Delivery Delivery
	Prepared time.Time // when it was on the log that they have to be told
	Settled  time.Time // when that was over; zero while it is pending
	Actor    string    // who settled it: Worker, or a person
	Reason   string    // of the kinds that each Delivery has
	Told     string    // the day on which a person told them
}

// The reasons of a recipient's refusal. What else they say is other.
func refusals() []string {
	return []string{"legal_obligation", "legal_claims", "freedom_of_expression", "public_interest", "not_a_recipient", OtherReason}
}

// TellingMeans lists how a person can have told a recipient.
func TellingMeans() []string { return []string{"letter", "email", "phone", "portal", OtherReason} }

// GivingUp lists why nobody has to tell a recipient.
func GivingUp() []string { return []string{"impossible", "disproportionate"} }

func (r *Request) recipient(id string) *Recipient {
	i := slices.IndexFunc(r.Recipients, func(p Recipient) bool { return p.ID == id })
	if i < 0 {
		return nil
	}
	return &r.Recipients[i]
}

// unanswered is the ids of the recipients who were not told yet.
func (r *Request) unanswered() (ids []string) {
	for _, p := range r.Recipients {
		if p.Delivery == Pending {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// missingRecipient is what a partial request lacks that has not told somebody.
const missingRecipient = "recipient:"

// toldAll reports whether r waits for nobody any more whom it waited for when it
// was last carried out.
func (r *Request) toldAll() bool {
	return r.State == Partial && len(r.unanswered()) == 0 && r.awaits
}

// judgeNotice is judge for request.notified. Whom there is to tell is settled
// before the key goes; each is settled once, by their answer or by a person.
func (r *Request) judgeNotice(record *events.Record) error {
	p, d, ours := r.recipient(record.Attributes[attrRecipient]), Delivery(record.Attributes[attrDelivery]), record.Actor == Worker
	switch {
	case r.Type != Erasure || r.State != Approved && r.State != Executing && r.State != Partial:
		return &StateError{State: r.State, To: StepNotified}
	case d == Pending && (!ours || p != nil || r.State == Partial):
		return errNotOurs
	case d == Pending:
		return nil
	case p == nil:
		return &MemberError{"recipient", "nobody of that id has to be told"}
	case p.Delivery != Pending:
		return &MemberError{"recipient", "it is settled already: " + string(p.Delivery)}
	case d == Delivered || d == Refused:
		return onlyIf(ours)
	case d == Informed || d == GivenUp:
		return r.judgeSettlement(record, d)
	default:
		return errNotOurs
	}
}

func onlyIf(ours bool) error {
	if !ours {
		return errNotOurs
	}
	return nil
}

// judgeSettlement is what a person says of a recipient. Reasons are of a list:
// receipts repeat them, and hold no identifier.
func (r *Request) judgeSettlement(record *events.Record, d Delivery) error {
	reasons, told := GivingUp(), record.Attributes[attrTold]
	if d == Informed {
		reasons = TellingMeans()
	}
	switch {
	case same(record.Actor, "") || same(record.Actor, Worker):
		return errNotOurs
	case !slices.Contains(reasons, record.Reason):
		return &MemberError{"reason", "want one of " + strings.Join(reasons, ", ")}
	case d == GivenUp && told != "":
		return &MemberError{"told", "they were not"}
	case d == Informed && (!validDay(told) || told > r.dayOf(time.UnixMicro(record.Received)) || told < r.dayOf(r.Received)):
		return &MemberError{"told", "want the day on which they were told, as 2026-03-31, from receipt to today"}
	default:
		return nil
	}
}

// notified folds a request.notified.
func (b *book) notified(r *Request, e lane.Entry) {
	a, at := e.Record.Attributes, time.UnixMicro(e.Record.Received).UTC()
	p, d := r.recipient(a[attrRecipient]), Delivery(a[attrDelivery])
	if p == nil {
		r.Recipients = append(r.Recipients, Recipient{ID: a[attrRecipient], Delivery: Pending, Prepared: at})
		b.telling[r] = true
	} else {
		p.Delivery, p.Settled, p.Actor, p.Reason, p.Told = d, at, e.Record.Actor, e.Record.Reason, a[attrTold]
		r.Missing = slices.DeleteFunc(r.Missing, func(m string) bool { return m == missingRecipient+p.ID })
	}
	if len(r.unanswered()) == 0 {
		delete(b.telling, r)
	}
	r.move(r.State, StepNotified, e)
	last := &r.History[len(r.History)-1]
	last.Recipient, last.Delivery = a[attrRecipient], d
}
