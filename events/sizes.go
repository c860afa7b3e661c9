package events

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

func checkSizes(ev *Event) *Refusal {
	for _, m := range ev.attributes() {
		if r := checkText(m.name, *m.text, m.limit); r != nil {
			return r
		}
	}
	for _, m := range ev.Data.texts() {
		if r := checkText(m.name, *m.text, m.limit); r != nil {
			return r
		}
	}
	if r := checkLists(&ev.Data); r != nil {
		return r
	}
	if r := checkPersonal(ev.Data.Personal); r != nil {
		return r
	}
	return checkClear(ev)
}

// perClear is what a text takes in the record beside itself, about.
const perClear = 4

// checkClear bounds what the record will keep, whatever it is made of.
func checkClear(ev *Event) *Refusal {
	d, size := &ev.Data, 0
	for k, v := range d.Attributes {
		size += len(k) + len(v) + 2*perClear
	}
	for name := range d.Personal {
		size += len(name) + perClear
	}
	for _, s := range d.Audience {
		size += len(s) + perClear
	}
	if d.Consent != nil {
		size += len(d.Consent.ID) + perClear
		for _, s := range d.Consent.Purposes {
			size += len(s) + perClear
		}
	}
	for _, s := range [...]string{d.Scope, d.Reason, d.Ticket, d.Actor} {
		size += len(s) + perClear
	}
	for _, s := range [...]string{ev.ID, ev.Source, ev.Environment, d.Issuer, d.ClientID, d.KeyID, d.Algorithm, d.Outcome} {
		size += len(s)
	}
	if size > MaxClearBytes {
		return refuse(ReasonTooLarge, "the members that are kept in clear have %d bytes: the limit is %d", size, MaxClearBytes)
	}
	return nil
}

func checkText(name, s string, limit int) *Refusal {
	if fits(s, limit) {
		return nil
	}
	return checkOddText(name, s, limit)
}

func checkOddText(name, s string, limit int) *Refusal {
	switch {
	case len(s) > limit:
		return refuse(ReasonTooLarge, "%.80s has %d bytes: the limit is %d", name, len(s), limit)
	case !utf8.ValidString(s):
		return refuse(ReasonSchema, "%.80s is not UTF-8", name)
	case name != noteMember && strings.ContainsFunc(s, unicode.IsControl):
		return refuse(ReasonSchema, "%.80s holds a control character", name)
	default:
		return nil
	}
}

// fits reports whether s is what checkText accepts, as nearly every text is:
// where it says no, checkOddText has a look.
func fits(s string, limit int) bool { return s == "" || len(s) <= limit && printableASCII(s) }

func checkLists(d *Data) *Refusal {
	if len(d.Audience) > MaxAudiences {
		return refuse(ReasonTooLarge, "data.aud has %d members: the limit is %d", len(d.Audience), MaxAudiences)
	}
	if len(d.Attributes) > MaxAttributes {
		return refuse(ReasonTooLarge, "data.attributes has %d members: the limit is %d", len(d.Attributes), MaxAttributes)
	}
	for _, s := range d.Audience {
		if r := checkText("data.aud", s, MaxTextBytes); r != nil {
			return r
		}
	}
	if r := checkAttributes(d.Attributes); r != nil {
		return r
	}
	return checkConsent(d.Consent)
}

func checkAttributes(attributes map[string]string) *Refusal {
	odd := false
	for k, v := range attributes {
		odd = odd || !fits(k, MaxNameBytes) || !fits(v, MaxAttributeBytes)
	}
	if !odd {
		return nil
	}
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		if r := checkText("a name in data.attributes", k, MaxNameBytes); r != nil {
			return r
		}
		if r := checkText("data.attributes."+label(k).String(), attributes[k], MaxAttributeBytes); r != nil {
			return r
		}
	}
	return nil
}

func checkConsent(c *Consent) *Refusal {
	if c == nil {
		return nil
	}
	if len(c.Purposes) > MaxAudiences {
		return refuse(ReasonTooLarge, "data.consent.purposes has %d members: the limit is %d", len(c.Purposes), MaxAudiences)
	}
	for _, s := range c.Purposes {
		if r := checkText("data.consent", s, MaxTextBytes); r != nil {
			return r
		}
	}
	return checkText("data.consent", c.ID, MaxTextBytes)
}

func checkPersonal(members map[string]any) *Refusal {
	if len(members) == 0 {
		return nil
	}
	if len(members) > MaxPersonalMembers {
		return refuse(ReasonTooLarge, "data.personal has %d members: the limit is %d", len(members), MaxPersonalMembers)
	}
	for name := range members {
		if r := checkText("a name in data.personal", name, MaxNameBytes); r != nil {
			return r
		}
	}
	var seen claims
	if seen.see(members, 0); !seen.fine() {
		return seen.refusal()
	}
	if jsonAtMost(members) <= MaxPersonalBytes {
		return nil
	}
	if b, err := json.Marshal(members); err != nil || len(b) > MaxPersonalBytes {
		return refuse(ReasonTooLarge, "data.personal has %d bytes: the limit is %d", len(b), MaxPersonalBytes)
	}
	return nil
}

// jsonAtMost bounds what v takes as JSON, without writing it: each byte of a
// text as an escape. What it does not know takes more than there may be.
func jsonAtMost(v any) int {
	const number, letters = 25, len("false")
	size := letters
	switch v := v.(type) {
	case nil, bool:
	case int, int64, uint64, float64:
		size = number
	case string:
		size = 6*len(v) + 2
	case map[string]any:
		for name, child := range v {
			size += 6*len(name) + 4 + jsonAtMost(child)
		}
	case []any:
		for _, child := range v {
			size += 1 + jsonAtMost(child)
		}
	default:
		return MaxPersonalBytes + 1
	}
	return size
}
