package export

import (
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/hold"
)

// Relation is what a record has to do with a person.
type Relation string

// The relations.
const (
	OfPerson  Relation = "you"     // it names them
	OfToken   Relation = "token"   // it names nobody, but a token, session or grant of theirs
	ReadingOf Relation = "reading" // somebody opened events, theirs among them, without asking for them
)

// Who did something, instead of a name: whose it is, is another person's
// (GDPR article 15(4); CJEU C-579/21).
const (
	byYou     = "you"
	byService = "service"
	byStaff   = "staff or issuer"
)

// Why a personal part is missing.
const (
	Dropped    = "dropped"    // retention removed it
	Unreadable = "unreadable" // it does not open: there is a finding
)

// Item is one event as it is exported.
type Item struct {
	Index    uint64    `json:"index"`
	Relation Relation  `json:"relation"`
	Type     string    `json:"type"`
	Time     time.Time `json:"time"`
	Received time.Time `json:"received"`
	Source   string    `json:"source"`
	ID       string    `json:"id"`

	Issuer    string           `json:"iss,omitempty"`
	Client    string           `json:"client_id,omitempty"`
	KeyID     string           `json:"kid,omitempty"`
	Algorithm string           `json:"alg,omitempty"`
	Audience  []string         `json:"aud,omitempty"`
	Scope     string           `json:"scope,omitempty"`
	IssuedAt  events.Timestamp `json:"iat,omitempty"`
	NotBefore events.Timestamp `json:"nbf,omitempty"`
	Expires   events.Timestamp `json:"exp,omitempty"`

	Actor      string            `json:"actor,omitempty"` // you, service, or staff or issuer
	Outcome    string            `json:"outcome,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	Ticket     string            `json:"ticket,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Consent    string            `json:"consent,omitempty"`
	Purposes   []string          `json:"purposes,omitempty"`
	Revokes    *Revokes          `json:"revokes,omitempty"`

	Sealed string   `json:"sealed,omitempty"` // why the rest is missing
	Claims []string `json:"claims,omitempty"` // names of what is missing in personal
	events.Personal
}

// Revokes is what an event refused.
type Revokes struct {
	Scope        events.Scope     `json:"scope"`
	IssuedBefore events.Timestamp `json:"issued_before,omitempty"`
	Lifts        bool             `json:"lifts,omitempty"` // it took an earlier one back
}

// item is a record without its personal part.
func item(p *Part, relation Relation) Item {
	r := p.Record
	out := Item{
		Index: p.Index, Relation: relation, Type: r.Type.Name(), Time: time.UnixMicro(r.Time).UTC(), Received: time.UnixMicro(r.Received).UTC(),
		Source: r.Source, ID: r.ID, Issuer: r.Issuer, Client: r.Client, KeyID: r.KeyID, Algorithm: r.Algorithm, Audience: r.Audience,
		Scope: r.Scope, IssuedAt: r.IssuedAt, NotBefore: r.NotBefore, Expires: r.Expires, Actor: actor(r.Actor), Outcome: r.Outcome,
		Reason: r.Reason, Ticket: r.Ticket, Attributes: attributes(r), Consent: r.Consent, Purposes: r.Purposes,
	}
	if v := r.Revocation; v != nil {
		out.Revokes = &Revokes{Scope: v.Scope, IssuedBefore: v.IssuedBefore, Lifts: !v.Lifts.IsZero()}
	}
	return out
}

func actor(name string) string {
	switch {
	case name == "":
		return ""
	case name == events.ActorSubject:
		return byYou
	case strings.HasPrefix(name, events.OwnSources):
		return byService
	default:
		return byStaff
	}
}

// attributes are those of a record but for who else was concerned, or owns a hold.
func attributes(r *events.Record) map[string]string {
	held := r.Type == events.HoldPlaced
	if !reads(r) && !held {
		return r.Attributes
	}
	out := make(map[string]string, len(r.Attributes))
	for name, value := range r.Attributes {
		if held && name == hold.AttrOwner || !held && strings.HasPrefix(name, AttrPeople) {
			continue
		}
		out[name] = value
	}
	return out
}

func reads(r *events.Record) bool {
	return r.Type == events.AuditAccessed || r.Type == events.AuditExported
}

// observed reports whether an event is what the person provided, or was observed
// of what they did: not what others made of it (GDPR article 20(1); WP 242).
func observed(r *events.Record) bool {
	switch r.Type {
	case events.TokenIssued, events.TokenRefreshed, events.TokenVerified, events.TokenRejected, events.ConsentGranted, events.ConsentWithdrawn:
		return true
	default:
		return r.Actor == events.ActorSubject
	}
}

// portable leaves out of an item what others wrote.
func (i *Item) portable() {
	i.Ticket, i.Note, i.Attributes = "", "", nil
	if i.Actor != byYou {
		i.Actor = ""
	}
}
