package events

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rawToken finds a JWS or JWE in compact form: a header that starts with {"
// and at least one more part.
var rawToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{2,}\.`)

// cardNumber finds 13 to 19 digits that could be a payment card number: bare,
// or in the groups that are printed on cards. The issuer ranges and the Luhn
// digit are checked after.
var cardNumber = regexp.MustCompile(`\b(?:[2-6]\d{12,18}|[2-6]\d{3}([ -])\d{4}[ -]\d{4}[ -]\d{1,7}|3[47]\d\d([ -])\d{6}[ -]\d{5})\b`)

// HealthClaims lists the claim names that mark health information under HIPAA.
// An event with one of them in data, personal{} or attributes is refused.
func HealthClaims() []string {
	return []string{
		"allergies", "blood_type", "condition", "diagnoses", "diagnosis", "disability", "genetic_data",
		"health_condition", "health_plan_id", "health_record", "hiv_status", "icd10", "icd_10", "icd11", "immunization",
		"insurance_member_id", "lab_result", "lab_results", "medical_history", "medical_record", "medical_record_number",
		"medication", "medications", "mrn", "patient_id", "prescription", "prescriptions", "procedure_code", "treatment",
	}
}

func checkOffence(ev *Event, _ time.Time) *Refusal {
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

func checkHealth(d *Data) *Refusal {
	for name := range names(d) {
		if slices.Contains(HealthClaims(), strings.ToLower(name)) {
			return refuse(ReasonHealth, "%.40s is a health claim: a token must not carry it", name)
		}
	}
	return nil
}

func names(d *Data) map[string]bool {
	out := make(map[string]bool, len(d.Attributes)+len(d.Personal))
	for k := range d.Attributes {
		out[k] = true
	}
	collectNames(d.Personal, out)
	return out
}

func collectNames(v any, out map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			out[k] = true
			collectNames(child, out)
		}
	case []any:
		for _, child := range v {
			collectNames(child, out)
		}
	}
}

// Offends says why raw, an event that could not be decoded, must not be kept
// even sealed, or nil.
func Offends(raw []byte) *Refusal {
	if r := offence("the event", string(raw)); r != nil {
		return r
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	var found *Refusal
	walkValue("the event", v, func(_, s string) bool {
		found = offence("the event", s)
		return found == nil
	})
	return found
}

// offence says why the text s must not be stored, naming only where it was.
func offence(name, s string) *Refusal {
	if strings.Contains(s, "eyJ") && rawToken.MatchString(s) {
		return refuse(ReasonRawToken, "%s holds a raw token: publish its claims, never the token", name)
	}
	if len(s) >= 13 && holdsCard(s) {
		return refuse(ReasonCardNumber, "%s holds a payment card number", name)
	}
	return nil
}

func holdsCard(s string) bool {
	for _, at := range cardNumber.FindAllStringIndex(s, -1) {
		if digits := onlyDigits(s[at[0]:at[1]]); apart(s, at) && cardRange(digits) && luhn(digits) {
			return true
		}
	}
	return false
}

// apart reports whether the digits stand for themselves: not a piece of a
// UUID, a decimal or a longer name.
func apart(s string, at []int) bool {
	joins := func(c byte) bool { return c == '-' || c == '.' || c == '_' }
	return (at[0] == 0 || !joins(s[at[0]-1])) && (at[1] == len(s) || !joins(s[at[1]]) || at[1]+1 == len(s))
}

func onlyDigits(s string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, s)
}

// cardRange reports whether digits have a length and a first part that a card
// network issues (ISO/IEC 7812): numeric user ids are long too, and one in ten
// of them ends in the right check digit.
func cardRange(digits string) bool {
	n := len(digits)
	iin, err := strconv.Atoi(digits[:4])
	if err != nil {
		return false
	}
	in := func(lo, hi int) bool { return lo <= iin && iin <= hi }
	switch {
	case in(4000, 4999): // Visa
		return n == 13 || n == 16 || n == 19
	case in(5100, 5599), in(2221, 2720): // Mastercard
		return n == 16
	case in(3400, 3499), in(3700, 3799): // American Express
		return n == 15
	case in(3000, 3059), in(3600, 3699), in(3800, 3999): // Diners Club
		return n == 14
	case in(3528, 3589), in(6011, 6011), in(6200, 6299), in(6440, 6599): // JCB, Discover, UnionPay
		return n == 16
	default:
		return false
	}
}

// luhn reports whether the digits of s end in the check digit of ISO/IEC
// 7812-1.
func luhn(s string) bool {
	sum, double := 0, false
	for i := len(s) - 1; i >= 0; i-- {
		d := int(s[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum, double = sum+d, !double
	}
	return sum%10 == 0
}

// walk yields every text of ev with the name of the member that holds it,
// until yield returns false.
func (ev *Event) walk(yield func(name, s string) bool) {
	d := &ev.Data
	if !yield("id", ev.ID) || !yield("source", ev.Source) || !yield("type", string(ev.Type)) {
		return
	}
	for name, s := range d.text() {
		if !yield("data."+name, *s) {
			return
		}
	}
	for _, s := range d.Audience {
		if !yield("data.aud", s) {
			return
		}
	}
	for k, v := range d.Attributes {
		if !yield("a name in data.attributes", k) || !yield("data.attributes."+k, v) {
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

func walkValue(name string, v any, yield func(name, s string) bool) bool {
	switch v := v.(type) {
	case string:
		return yield(name, v)
	case float64:
		return yield(name, strconv.FormatFloat(v, 'f', -1, 64))
	case map[string]any:
		for k, child := range v {
			if !yield("a name in "+name, k) || !walkValue(name+"."+k, child, yield) {
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
