package proposal

import (
	"strconv"

	"github.com/rescindhq/rescind/events"
)

// Terms is all that a proposed revocation or lift would do and say, but for its note,
// which is sealed: who decides is shown all of it, and it is what the digest in
// AttrBody is taken of.
type Terms struct {
	Scope    events.Scope     `json:"scope"`
	Issuer   string           `json:"iss"`
	Client   string           `json:"client_id"`
	KeyID    string           `json:"kid"`
	Expires  events.Timestamp `json:"exp"`           // from when on its entry is not needed; 0: not said
	Cutoff   events.Timestamp `json:"issued_before"` // 0: not said, which is when it is made, or starts
	Starts   events.Timestamp `json:"starts"`        // 0: at once
	NotAfter events.Timestamp `json:"not_after"`     // 0: for good
	Reason   string           `json:"reason"`
	Ticket   string           `json:"ticket"`
	Lifts    string           `json:"lifts"` // id of the revocation that is to be lifted; empty where one is to be made
}

// times is the times of t that an event has in attributes of its own.
func (t *Terms) times() map[string]*events.Timestamp {
	return map[string]*events.Timestamp{AttrCutoff: &t.Cutoff, AttrStarts: &t.Starts, AttrNotAfter: &t.NotAfter}
}

// Describe is t in the event of a proposal: in members of data where there are
// any for it, else in attributes.
func (t Terms) Describe(d *events.Data) {
	d.Issuer, d.ClientID, d.KeyID, d.Expires, d.Reason, d.Ticket = t.Issuer, t.Client, t.KeyID, t.Expires, t.Reason, t.Ticket
	d.Attributes[AttrScope] = string(t.Scope)
	if t.Lifts != "" {
		d.Attributes[AttrLifts] = t.Lifts
	}
	for name, at := range t.times() {
		if *at != 0 {
			d.Attributes[name] = strconv.FormatInt(int64(*at), 10)
		}
	}
}

// termsOf is the terms that the record of a proposal describes.
func termsOf(r *events.Record) Terms {
	t := Terms{Scope: events.Scope(r.Attributes[AttrScope]), Issuer: r.Issuer, Client: r.Client, KeyID: r.KeyID, Expires: r.Expires, Reason: r.Reason, Ticket: r.Ticket,
		Lifts: r.Attributes[AttrLifts]}
	for name, at := range t.times() {
		if n := number(r.Attributes[name]); n != nil {
			*at = events.Timestamp(*n)
		}
	}
	return t
}

// Differ names the members in which t and o are not the same.
func (t Terms) Differ(o Terms) (names []string) {
	for _, m := range []struct {
		name string
		same bool
	}{
		{"scope", t.Scope == o.Scope}, {"iss", t.Issuer == o.Issuer}, {"client_id", t.Client == o.Client}, {"kid", t.KeyID == o.KeyID},
		{"exp", t.Expires == o.Expires}, {"issued_before", t.Cutoff == o.Cutoff}, {"starts", t.Starts == o.Starts},
		{"not_after", t.NotAfter == o.NotAfter}, {"reason", t.Reason == o.Reason}, {"ticket", t.Ticket == o.Ticket},
		{"lifts", t.Lifts == o.Lifts},
	} {
		if !m.same {
			names = append(names, m.name)
		}
	}
	return names
}
