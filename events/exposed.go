package events

import (
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// minExposed is the length from which a personal value found inside another
// member is taken for the value and not for chance.
const minExposed = 6

// checkExposed refuses an event that repeats a personal value in a member that
// the record keeps in clear, where it would outlive the erasure of the person.
// An id may be made of a jti, sid or grant_id, as those of security event tokens
// are. Of several members the first by name is told, the same one each time.
func checkExposed(ev *Event) *Refusal {
	var room [16]string
	v := ev.values(room[:0])
	if mentions(ev.ID, v.person()) {
		return refuseExposed("id")
	}
	var first kept
	for m := range ev.Data.inClear {
		if mentions(m.text, v.all) && (first.member == "" || m.member+m.name < first.member+first.name) {
			first = m
		}
	}
	if first.member == "" {
		return nil
	}
	return refuseExposed(first.member + label(first.name).String())
}

func refuseExposed(name string) *Refusal {
	return refuse(ReasonExposed, "%.80s repeats a personal value: it is kept in clear", name)
}

// personalValues is what an event may not repeat in clear, as [sought].
type personalValues struct {
	all     []string
	persons int // how many of them, the first ones, its id may not be made of either
}

func (v *personalValues) person() []string { return v.all[:v.persons] }

// values is the personal values of ev, in room as far as it goes.
func (ev *Event) values(room []string) personalValues {
	d := &ev.Data
	all := append(room, d.address())
	if !alike(d.Subject, d.ClientID) { // a client's own token names no person
		all = append(all, sought(d.Subject))
	}
	all = d.addresses(all)
	persons := len(all)
	all = append(all, sought(d.TokenID), sought(d.SessionID), sought(d.GrantID))
	own := OwnSource(ev.Source)
	for i, v := range all {
		if commonWords[v] || own && ownWords[v] {
			all[i] = "" // or whoever is called so could ask for nothing
		}
	}
	return personalValues{all, persons}
}

// address is the ip of d, unless it is the machine itself, which is nobody's.
func (d *Data) address() string {
	if strings.HasPrefix(d.IP, "127.") {
		return ""
	}
	return sought(d.IP)
}

// sought is v as it is looked for. Of addresses with an @, capital letters and small
// ones are the same.
func sought(v string) string {
	if strings.IndexByte(v, '@') < 0 {
		return v
	}
	return strings.ToLower(v)
}

// alike reports whether a and b are one name.
func alike(a, b string) bool {
	return a == b || strings.IndexByte(a, '@') >= 0 && strings.EqualFold(a, b)
}

// maxAddresses is how many addresses of an event are looked for, the first in
// order: who puts in many wants us to look for each.
const maxAddresses = 64

// addresses appends what personal claims of d tell a person by wherever it
// stands, as [sought]. A name, a title or a user agent is none: whoever may choose theirs
// would choose what their events are refused for.
func (d *Data) addresses(to []string) []string {
	if len(d.Personal) == 0 {
		return to
	}
	before := len(to)
	to = appendAddresses(to, d.Personal)
	found := slices.DeleteFunc(to[before:], func(s string) bool { return alike(s, d.ClientID) }) // a client's own
	if len(found) > maxAddresses {
		slices.Sort(found)
		found = found[:maxAddresses]
	}
	return to[:before+len(found)]
}

func appendAddresses(to []string, v any) []string {
	switch v := v.(type) {
	case string:
		if isAddress(v) {
			return append(to, sought(v))
		}
	case map[string]any:
		for _, child := range v {
			to = appendAddresses(to, child)
		}
	case []any:
		for _, child := range v {
			to = appendAddresses(to, child)
		}
	}
	return to
}

// isAddress reports whether s reads as an address with an @ or as a telephone
// number: a plus, and seven digits or more with what is written between them.
// Without the plus it may as well be a date or a number that others have too.
func isAddress(s string) bool {
	if strings.IndexByte(s, '@') >= 0 {
		return true
	}
	if !strings.HasPrefix(s, "+") {
		return false
	}
	digits := 0
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			digits++
		case strings.IndexByte("+-./() ", c) < 0:
			return false
		}
	}
	return digits >= 7
}

// kept is one text that the record keeps.
type kept struct{ member, name, text string }

// inClear yields what the record keeps of d in clear, but for what names services
// and not people: iss, client_id, kid, alg and outcome, as source and rescindenv
// beside it. Whoever is called as a word in one of them could not be revoked any
// more. Nor the id of a consent, which others refer to, and an actor:
// [Record.Set] replaces one who is or may be the person.
func (d *Data) inClear(yield func(kept) bool) {
	for k, v := range d.Attributes {
		if !yield(kept{"a name in data.attributes", "", k}) || !yield(kept{"data.attributes.", k, v}) {
			return
		}
	}
	for name := range d.Personal {
		if !yield(kept{"a name in data.personal", "", name}) {
			return
		}
	}
	for _, s := range d.Audience {
		if !yield(kept{"data.aud", "", s}) {
			return
		}
	}
	if d.Consent != nil {
		for _, s := range d.Consent.Purposes {
			if !yield(kept{"data.consent.purposes", "", s}) {
				return
			}
		}
	}
	_ = yield(kept{"data.scope", "", d.Scope}) && yield(kept{"data.reason", "", d.Reason}) && yield(kept{"data.ticket", "", d.Ticket})
}

// mentions reports whether one of values, as they are [sought], stands in s, alone or
// between what is neither letter nor digit, as it is or escaped as in a URL.
func mentions(s string, values []string) bool {
	if strings.IndexByte(s, '%') < 0 { // as nearly every text
		return mentionsPlain(s, values)
	}
	for text := range readings(s) {
		if mentionsPlain(text, values) {
			return true
		}
	}
	return false
}

// readings yields s, and s without what is escaped in it as in a URL, once and twice.
func readings(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for escaped, depth := true, 0; escaped && depth < 3; depth++ {
			if !yield(s) {
				return
			}
			s, escaped = percentDecoded(s)
		}
	}
}

// mentionsPlain is mentions of what is not escaped.
func mentionsPlain(s string, values []string) bool {
	lower, at := s, strings.IndexByte(s, '@') >= 0
	if at {
		lower = strings.ToLower(s)
	}
	for _, v := range values {
		if len(v) < minExposed {
			continue
		}
		in := s
		if at && strings.IndexByte(v, '@') >= 0 {
			in = lower
		}
		if len(v) <= len(in) && standsIn(in, v) {
			return true
		}
	}
	return false
}

// maxInWords is how often a value may stand within the words of one text, where its
// places overlap: those that do not are all looked at. What holds it more often is
// taken to mean it: to go on would cost who looks, not who wrote.
const maxInWords = 32

// standsIn reports whether v stands in s, no part of a word.
func standsIn(s, v string) bool {
	from := 0
	for range max(maxInWords, len(s)/len(v)+1) {
		i := strings.Index(s[from:], v)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(v)
		before, _ := utf8.DecodeLastRuneInString(s[:start])
		after, _ := utf8.DecodeRuneInString(s[end:])
		if (start == 0 || !inWord(before)) && (end == len(s) || !inWord(after)) {
			return true
		}
		from = start + 1
	}
	return true
}

// percentDecoded is s without what is escaped in it as in a URL, and whether anything
// is. What is no escape stands for itself.
func percentDecoded(s string) (decoded string, escaped bool) {
	at := strings.IndexByte(s, '%')
	if at < 0 {
		return s, false
	}
	b := append(make([]byte, 0, len(s)), s[:at]...)
	for i := at; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				c, i, escaped = byte(n), i+2, true
			}
		}
		b = append(b, c)
	}
	return string(b), escaped
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
