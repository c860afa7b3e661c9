package events

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// minExposed is the length from which a personal value found inside another
// member is taken for the value and not for chance.
const minExposed = 6

// checkExposed refuses an event that repeats a personal value in a member that
// the record keeps in clear, where it would outlive the erasure of the person.
// An id may be made of a jti or sid, as those of security event tokens are.
func checkExposed(ev *Event) *Refusal {
	d, values := &ev.Data, ev.values()
	if mentions(ev.ID, values[:inNoID]) {
		return refuseExposed("id")
	}
	if !d.mentions(values[:]) {
		return nil
	}
	for _, m := range d.inClear() {
		if m.checked && mentions(m.value, values[:]) {
			return refuseExposed(m.name)
		}
	}
	return nil
}

// inNoID is how many of the values of an event its id may not be made of.
const inNoID = 2

// values is the personal values of ev that it may not repeat in clear, those
// first that its id may not be made of either.
func (ev *Event) values() [5]string {
	d := &ev.Data
	values := [...]string{d.IP, d.Subject, d.TokenID, d.SessionID, d.GrantID}
	if d.Subject == d.ClientID { // a client's own token names no person
		values[1] = ""
	}
	for i, v := range values {
		if ownWords[v] && OwnSource(ev.Source) {
			values[i] = "" // or whoever is called so could ask for nothing
		}
	}
	return values
}

// mentions reports whether one of values stands in what the record keeps of d
// and is checked: what inClear lists, without listing it.
func (d *Data) mentions(values []string) bool {
	if mentions(d.Scope, values) || mentions(d.Reason, values) || mentions(d.Ticket, values) {
		return true
	}
	for k, v := range d.Attributes {
		if mentions(k, values) || mentions(v, values) {
			return true
		}
	}
	for name := range d.Personal {
		if mentions(name, values) {
			return true
		}
	}
	for _, s := range d.Audience {
		if mentions(s, values) {
			return true
		}
	}
	return d.Consent != nil && slices.ContainsFunc(d.Consent.Purposes, func(s string) bool { return mentions(s, values) })
}

func refuseExposed(name string) *Refusal {
	return refuse(ReasonExposed, "%.80s repeats a personal value: it is kept in clear", name)
}

// clear is one text that the record keeps.
type clear struct {
	name, value string
	checked     bool // for personal values
}

// inClear is what the record keeps of d, but for identifiers of clients, keys
// and issuers. A consent's id is left to the publisher: others refer to it.
func (d *Data) inClear() []clear {
	out := make([]clear, 0, 8+2*len(d.Attributes)+len(d.Audience)+len(d.Personal))
	for _, k := range slices.Sorted(maps.Keys(d.Attributes)) {
		out = append(out, clear{"a name in data.attributes", k, true}, clear{"data.attributes." + k, d.Attributes[k], true})
	}
	for name := range d.Personal {
		out = append(out, clear{"a name in data.personal", name, true})
	}
	for _, s := range d.Audience {
		out = append(out, clear{"data.aud", s, true})
	}
	if d.Consent != nil {
		out = append(out, clear{"data.consent.id", d.Consent.ID, false})
		for _, s := range d.Consent.Purposes {
			out = append(out, clear{"data.consent.purposes", s, true})
		}
	}
	return append(out,
		clear{"data.scope", d.Scope, true}, clear{"data.reason", d.Reason, true}, clear{"data.ticket", d.Ticket, true},
		clear{"data.actor", d.Actor, false}) // NewRecord replaces an actor who is the person
}

// mentions reports whether one of values stands in s, alone or between what is
// neither letter nor digit.
func mentions(s string, values []string) bool {
	for _, v := range values {
		if len(v) < minExposed || len(v) > len(s) {
			continue
		}
		for from := 0; ; {
			i := strings.Index(s[from:], v)
			if i < 0 {
				break
			}
			start, end := from+i, from+i+len(v)
			before, _ := utf8.DecodeLastRuneInString(s[:start])
			after, _ := utf8.DecodeRuneInString(s[end:])
			if (start == 0 || !inWord(before)) && (end == len(s) || !inWord(after)) {
				return true
			}
			from = start + 1
		}
	}
	return false
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
