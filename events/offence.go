package events

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

func checkOffence(ev *Event) *Refusal {
	if !ev.suspicious() {
		return nil
	}
	if r := checkHealth(&ev.Data); r != nil {
		return r
	}
	var found *Refusal
	ev.walk(func(name, s string) bool {
		found = offence(name, s)
		return found == nil
	})
	return found
}

// suspicious reports whether ev can hold an offence. It is what nearly every
// event is asked alone, so it neither sorts nor names anything.
func (ev *Event) suspicious() bool {
	for _, m := range ev.attributes() {
		if suspicious(*m.text) {
			return true
		}
	}
	d := &ev.Data
	for _, m := range d.texts() {
		if suspicious(*m.text) {
			return true
		}
	}
	for k, v := range d.Attributes {
		if healthClaim(k) || suspicious(k) || suspicious(v) {
			return true
		}
	}
	return slices.ContainsFunc(d.Audience, suspicious) || d.View >= manyDigitsFrom || suspiciousConsent(d.Consent) || suspiciousValue(d.Personal)
}

func suspiciousConsent(c *Consent) bool {
	return c != nil && (suspicious(c.ID) || slices.ContainsFunc(c.Purposes, suspicious))
}

// manyDigitsFrom is the first number with as many digits as a card's.
const manyDigitsFrom = 1e12

// suspiciousValue reports whether v, a JSON value, can hold an offence.
func suspiciousValue(v any) bool {
	switch v := v.(type) {
	case nil, bool:
		return false
	case string:
		return suspicious(v)
	case int:
		return suspiciousValue(int64(v))
	case int64:
		return v >= manyDigitsFrom || v <= -manyDigitsFrom
	case float64:
		return v >= manyDigitsFrom || v <= -manyDigitsFrom // the digits of a fraction are no number of their own
	case map[string]any:
		for name, child := range v {
			if healthClaim(name) || suspicious(name) || suspiciousValue(child) {
				return true
			}
		}
		return false
	case []any:
		return slices.ContainsFunc(v, suspiciousValue)
	default:
		return true
	}
}

// offence says why the text s must not be stored, naming only where it was.
func offence(name, s string) *Refusal {
	if holdsToken(s) {
		return refuse(ReasonRawToken, "%.120s holds a raw token: publish its claims, never the token", name)
	}
	if holdsCard(s, identifiers[name]) {
		return refuse(ReasonCardNumber, "%.120s holds a payment card number", name)
	}
	return nil
}

// walk yields every text of ev with the name of the member that holds it,
// until yield returns false.
func (ev *Event) walk(yield func(name, s string) bool) {
	d := &ev.Data
	for _, m := range ev.attributes() {
		if !yield(m.name, *m.text) {
			return
		}
	}
	for _, m := range d.texts() {
		if *m.text != "" && !yield(m.name, *m.text) {
			return
		}
	}
	if d.View >= manyDigitsFrom && !yield("data.view", strconv.FormatUint(d.View, 10)) {
		return
	}
	for _, s := range d.Audience {
		if !yield("data.aud", s) {
			return
		}
	}
	for _, k := range slices.Sorted(maps.Keys(d.Attributes)) {
		if !yield("a name in data.attributes", k) || !yield("data.attributes."+label(k).String(), d.Attributes[k]) {
			return
		}
	}
	if d.Consent != nil {
		for _, s := range append(slices.Clone(d.Consent.Purposes), d.Consent.ID) {
			if !yield("data.consent", s) {
				return
			}
		}
	}
	walkValue("data.personal", d.Personal, yield)
}

// within names the member k of what name names, as far as a refusal prints it:
// names that grew with each level would cost more than the event.
func within(name, k string) string {
	if len(name)+len(k) > 100 {
		return name
	}
	return name + "." + label(k).String()
}

// walkValue yields every text and number inside v.
func walkValue(name string, v any, yield func(name, s string) bool) bool {
	switch v := v.(type) {
	case string:
		return yield(name, v)
	case json.Number:
		return yield(name, string(v))
	case int:
		return yield(name, strconv.Itoa(v))
	case int64:
		return yield(name, strconv.FormatInt(v, 10))
	case uint64:
		return yield(name, strconv.FormatUint(v, 10))
	case float64:
		return yield(name, strconv.FormatFloat(v, 'f', -1, 64))
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if !yield("a name in "+name, k) || !walkValue(within(name, k), v[k], yield) {
				return false
			}
		}
	case []any:
		for _, child := range v {
			if !walkValue(name, child, yield) {
				return false
			}
		}
	}
	return true
}
