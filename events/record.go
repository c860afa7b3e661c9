package events

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RecordVersion is the version of the record's encoding.
const RecordVersion = 1

// Ref is a 16-byte reference: to a subject (random), a token, session or
// grant (keyed hash), a revocation (keyed hash) or an event. The zero Ref means
// none.
type Ref [16]byte

// IsZero reports whether r refers to nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

// String is r in lower-case hex, or "" where r is zero.
func (r Ref) String() string {
	if r.IsZero() {
		return ""
	}
	return hex.EncodeToString(r[:])
}

// ParseRef reads what String wrote.
func ParseRef(s string) (Ref, error) {
	var r Ref
	if s == "" {
		return r, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(r) {
		return r, fmt.Errorf("reference: want %d hex digits", 2*len(r))
	}
	copy(r[:], b)
	return r, nil
}

// MarshalText and UnmarshalText use the form of String.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Ref) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRef(string(b))
	return err
}

// EventRef is the identity of an event within a deployment: the first half of
// SHA-256 over tenant, source and id, each with its length before it. It is
// what de-duplication compares and what a lift names.
func EventRef(tenant, source, id string) Ref {
	var buf [512]byte // what nearly every identity fits
	b := buf[:0]
	for _, s := range [...]string{tenant, source, id} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	return Ref(sum[:16])
}

// Revocation is what a record of a revoking or lifting event tells verifiers.
// It is computed at the door, so that the set can be rebuilt from the log when
// the identifiers are gone.
type Revocation struct {
	Scope        Scope     `cbor:"1,keyasint" json:"scope"`
	Hash         Ref       `cbor:"2,keyasint" json:"hash"`                              // keyed hash of scope and identifiers under the feed key
	IssuedBefore Timestamp `cbor:"3,keyasint,omitempty" json:"issued_before,omitempty"` // cut-off; 0 revokes whatever iat says
	Expires      Timestamp `cbor:"4,keyasint" json:"expires"`                           // when the entry may leave the set
	FeedKey      uint32    `cbor:"5,keyasint" json:"feed_key"`                          // generation of the tenant's feed key
	Lifts        Ref       `cbor:"6,keyasint,omitzero" json:"lifts,omitzero"`           // EventRef of the revocation that this one lifts
	LiftsIndex   uint64    `cbor:"7,keyasint,omitempty" json:"lifts_index,omitempty"`   // its index in the log
	Starts       Timestamp `cbor:"8,keyasint,omitempty" json:"starts,omitempty"`        // without effect before; 0 means at once
	NotAfter     Timestamp `cbor:"9,keyasint,omitempty" json:"not_after,omitempty"`     // when a suspension was to end; Expires is no later
}

// Record is one event as the log keeps it, without personal data. The keys of
// its encoding are fixed for ever; a new member takes a new key and is omitted
// where empty. AppendTo and read carry out what the tags say, and a test holds
// them to it.
type Record struct {
	Version     uint8             `cbor:"1,keyasint"`
	Source      string            `cbor:"2,keyasint"`
	ID          string            `cbor:"3,keyasint"`
	Tenant      string            `cbor:"4,keyasint"`
	Environment string            `cbor:"5,keyasint"`
	Type        Type              `cbor:"6,keyasint"`
	Time        int64             `cbor:"7,keyasint"` // µs, the publisher's clock
	Received    int64             `cbor:"8,keyasint"` // µs, the intake's clock
	Issuer      string            `cbor:"9,keyasint,omitempty"`
	SubjectRef  Ref               `cbor:"10,keyasint,omitzero"`
	TokenRef    Ref               `cbor:"11,keyasint,omitzero"`
	SessionRef  Ref               `cbor:"12,keyasint,omitzero"`
	Client      string            `cbor:"13,keyasint,omitempty"`
	KeyID       string            `cbor:"14,keyasint,omitempty"`
	Algorithm   string            `cbor:"15,keyasint,omitempty"`
	Audience    []string          `cbor:"16,keyasint,omitempty"`
	Scope       string            `cbor:"17,keyasint,omitempty"`
	IssuedAt    Timestamp         `cbor:"18,keyasint,omitempty"`
	Expires     Timestamp         `cbor:"19,keyasint,omitempty"`
	Actor       string            `cbor:"20,keyasint,omitempty"`
	Outcome     string            `cbor:"21,keyasint,omitempty"`
	Reason      string            `cbor:"22,keyasint,omitempty"`
	Attributes  map[string]string `cbor:"23,keyasint,omitempty"`
	View        uint64            `cbor:"24,keyasint,omitempty"`
	PayloadHash Hash              `cbor:"25,keyasint,omitzero"` // SHA-256 of the sealed personal part; zero where there is none
	DataKey     uint32            `cbor:"26,keyasint,omitempty"`
	Revocation  *Revocation       `cbor:"27,keyasint,omitempty"`
	NotBefore   Timestamp         `cbor:"28,keyasint,omitempty"`
	Claims      []string          `cbor:"29,keyasint,omitempty"` // names of the personal claims, sorted; never values
	GrantRef    Ref               `cbor:"30,keyasint,omitzero"`
	Consent     string            `cbor:"31,keyasint,omitempty"`
	Purposes    []string          `cbor:"32,keyasint,omitempty"`
	Ticket      string            `cbor:"33,keyasint,omitempty"`
}

// Hash is a SHA-256 digest. The zero Hash means none.
type Hash [sha256.Size]byte

// IsZero reports whether h is no digest.
func (h Hash) IsZero() bool { return h == Hash{} }

// String is h in lower-case hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ActorSubject stands for an actor who is the data subject themself, so that
// the record does not name them.
const ActorSubject = "subject"

// NewRecord is the record of ev, received at the given time, without what
// needs keys: references, payload hash and revocation.
func NewRecord(ev *Event, environment string, received time.Time) *Record {
	r := new(Record)
	r.Set(ev, environment, received)
	return r
}

// Set makes r what NewRecord returns, whatever it was.
func (r *Record) Set(ev *Event, environment string, received time.Time) {
	d := &ev.Data
	*r = Record{
		Version: RecordVersion, Source: ev.Source, ID: ev.ID, Tenant: ev.Tenant, Environment: environment,
		Type: ev.Type, Time: ev.Time.UnixMicro(), Received: received.UnixMicro(),
		Issuer: d.Issuer, Client: d.ClientID, KeyID: d.KeyID, Algorithm: d.Algorithm, Audience: d.Audience,
		Scope: d.Scope, IssuedAt: d.IssuedAt, Expires: d.Expires, NotBefore: d.NotBefore,
		Actor: d.Actor, Outcome: d.Outcome, Reason: d.Reason, Attributes: d.Attributes, View: d.View,
		Ticket: d.Ticket,
	}
	if d.Actor != "" {
		r.Actor = d.actor()
	}
	if d.Consent != nil {
		r.Consent, r.Purposes = d.Consent.ID, d.Consent.Purposes
	}
	for name := range d.Personal {
		r.Claims = append(r.Claims, name)
	}
	slices.Sort(r.Claims)
}

// actor is who acts as a record may say it: not by what names the person that d
// is about, or an address of theirs. Who is called as the person but for capital letters
// may be somebody else.
func (d *Data) actor() string {
	var room [16]string
	name := strings.TrimSpace(d.Actor)
	switch {
	case d.Subject != "" && alike(name, d.Subject), mentions(d.Actor, append(room[:0], sought(d.Subject), d.address())):
		return ActorSubject
	case d.Subject != "" && strings.EqualFold(name, d.Subject), mentions(d.Actor, d.addresses(room[:0])):
		return Withheld
	default:
		return d.Actor
	}
}

// MayName reports whether actor may be the person who is subject to an issuer, or hold
// their name: as the record of what they do to that person would not say who they are,
// or would not if actor were written in other capital letters.
func MayName(actor, subject string) bool {
	name, person := folded(strings.TrimSpace(actor)), folded(strings.TrimSpace(subject))
	if name == person || person == "" { // whom white space names, nobody can tell
		return true
	}
	if max(len(subject), len(strings.ToLower(subject))) < minExposed { // Ⱥ is longer as ⱥ
		return false
	}
	for s := range readings(name) {
		if standsIn(folded(s), person) {
			return true
		}
	}
	return false
}

// folded is s with one letter for all that strings.EqualFold takes for the same. Of
// those that are an iota one is a mark and ends a word: all are taken for that.
func folded(s string) string {
	return strings.ReplaceAll(strings.ToLower(strings.ToUpper(s)), "ι", "\u0345")
}

// Ref is the identity of the event that r records.
func (r *Record) Ref() Ref { return EventRef(r.Tenant, r.Source, r.ID) }

// LeafHash is the RFC 6962 leaf hash of an encoded record.
func LeafHash(record []byte) Hash {
	var buf [1024]byte // what nearly every record fits
	return sha256.Sum256(append(append(buf[:0], 0), record...))
}
