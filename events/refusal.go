package events

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Reason says why an event was refused. The set is bounded: it is a metric
// label and the first column of the quarantine list.
type Reason string

// The reasons.
const (
	ReasonNotJSON     Reason = "not_json"     // the message is no CloudEvent in JSON
	ReasonNotProtobuf Reason = "not_protobuf" // the same in protobuf
	ReasonContentType Reason = "content_type" // a mode that the intake does not read
	ReasonTooLarge    Reason = "too_large"    // over a Max constant
	ReasonMissing     Reason = "missing"      // id, source, time, type or a member that the type requires
	ReasonType        Reason = "unknown_type" //
	ReasonMismatch    Reason = "mismatch"     // the subject names another type or tenant than the event
	ReasonSchema      Reason = "schema"       // a member has the wrong shape
	ReasonTime        Reason = "time"         // too far ahead of the intake's clock
	ReasonEnvironment Reason = "environment"  // another environment's event
	ReasonRawToken    Reason = "raw_token"    // a JWT in any member
	ReasonCardNumber  Reason = "card_number"  // a payment card number in any member
	ReasonHealth      Reason = "health_claim" // a listed health claim
	ReasonExposed     Reason = "exposed"      // a personal value repeated in a member that is kept in clear
	ReasonConflict    Reason = "conflict"     // the id was seen with other content
	ReasonReserved    Reason = "reserved"     // a type or source that only Rescind's own services publish
	ReasonPlaintext   Reason = "plaintext"    // personal data that was not encrypted to the intake
	ReasonEnvelope    Reason = "envelope"     // encrypted, but not as the intake reads it, or changed on the way
	ReasonIntakeKey   Reason = "intake_key"   // encrypted to a key that the intake does not have
	ReasonDefect      Reason = "defect"       // a fault of ours: the event is parked, not lost
)

// Refusal is one event that was not accepted. Detail is for people; it names
// members and limits. Of what came it repeats names, types, environments and
// content types of up to 80 plain characters that hold nothing personal.
type Refusal struct {
	ID     string `json:"id"`
	Source string `json:"source,omitempty"`
	Reason Reason `json:"reason"`
	Detail string `json:"detail"`
}

// Refuse is a refusal of ev, which it names as far as that may be kept in clear:
// cut, and without what must not be stored or is a personal value of ev.
func (ev *Event) Refuse(reason Reason, detail string) *Refusal {
	return ev.named(&Refusal{Reason: reason, Detail: detail}, "")
}

// named is r with what it may repeat of the identity of ev, whose attribute
// subject, which it should not have, names a person as well.
func (ev *Event) named(r *Refusal, subject string) *Refusal {
	v := ev.values(nil)
	subject = sought(subject)
	person := append(slices.Clone(v.person()), subject)
	r.ID, r.Source = clip(ev.ID, person), clip(ev.Source, person)
	if mentions(r.Detail, append(v.all, subject)) {
		r.Detail = Withheld
	}
	return r
}

// Withheld stands for what may not be shown: what a refusal does not repeat, and an
// actor who may be the person without being called so.
const Withheld = "[withheld]"

// maxLabel is the longest name or value that a detail repeats.
const maxLabel = 80

// label is a name or value from outside. A detail repeats it whole, in plain
// characters, and no address or what must not be stored. It is looked into only
// where a detail is made.
type label string

func (l label) String() string {
	s := string(l)
	if len(s) > maxLabel || strings.ContainsFunc(s, notPlain) || holdsNumber(s) || offence("", s) != nil {
		return Withheld
	}
	return s
}

// holdsNumber reports whether s may hold a telephone number: a plus, and a digit
// after it.
func holdsNumber(s string) bool {
	_, after, _ := strings.Cut(s, "+")
	return strings.ContainsAny(after, "0123456789")
}

func notPlain(r rune) bool {
	return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("._-/:+", r)
}

// shown is how many bytes of an identifier a refusal repeats.
const shown = 128

// clip is an identifier as a refusal may repeat it: short, and withheld where
// it holds what must not be stored, or one of values. Those are looked for near
// what is shown: this comes before anything has said how long s may be.
func clip(s string, values []string) string {
	if offence("", s) != nil || mentions(s[:min(len(s), shown+MaxTextBytes)], values) {
		return Withheld
	}
	if len(s) <= shown {
		return s
	}
	s = s[:shown]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

// Error makes a refusal usable as an error.
func (r Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Reason, r.Detail) }

// Offence reports whether the payload itself is what was wrong, so that it
// must be dropped and not even be kept sealed.
func (r Reason) Offence() bool {
	switch r {
	case ReasonRawToken, ReasonCardNumber, ReasonHealth, ReasonPlaintext, ReasonEnvelope:
		return true
	default:
		return false
	}
}

// maxDetail bounds a refusal's detail: it can hold names that a publisher chose.
const maxDetail = 240

func refuse(r Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: r, Detail: printable(fmt.Sprintf(format, args...), maxDetail)}
}

// printable is s cut to limit bytes, without what could break a line or a
// terminal.
func printable(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}
