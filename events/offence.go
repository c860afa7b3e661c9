package events

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// compactToken finds what can be a JWS or JWE in compact form: the base64url
// of something that starts with a brace and at most one space or line break
// after it, a dot, and another dot. The second part of a JWE may be empty.
var compactToken = regexp.MustCompile(`e[yw][A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*\.`)

// holdsToken reports whether s holds a raw token. A header that begins with {"
// is taken for one as it stands, cut or damaged; any other must be JSON.
func holdsToken(s string) bool {
	if !strings.Contains(s, "ey") && !strings.Contains(s, "ew") {
		return false
	}
	for _, found := range compactToken.FindAllString(s, -1) {
		header, _, _ := strings.Cut(found, ".")
		if strings.Contains(header, "eyJ") || endsInObject(header) {
			return true
		}
	}
	return false
}

// maxStarts is how many places of a header are tried. In what is no token one
// in ten thousand looks like the beginning of an object; who puts in many wants
// us to decode the rest from each.
const maxStarts = 16

// endsInObject reports whether header is a JSON object in base64url from some
// place on: a name before it may run into it. More beginnings than maxStarts
// are taken for one.
func endsInObject(header string) bool {
	starts := 0
	for at := range max(0, len(header)-3) {
		if !beginsObject(header[at : at+4]) {
			continue
		}
		if starts++; starts > maxStarts {
			return true
		}
		if b, err := base64.RawURLEncoding.DecodeString(header[at:]); err == nil && json.Valid(b) {
			return true
		}
	}
	return false
}

// beginsObject reports whether four characters of base64url are a brace and what
// JSON has behind one that opens an object with members.
func beginsObject(s string) bool {
	if s[0] != 'e' {
		return false
	}
	var b [3]byte
	n, err := base64.RawURLEncoding.Decode(b[:], []byte(s))
	return err == nil && n == len(b) && b[0] == '{' && strings.IndexByte("\" \t\n\r", b[1]) >= 0
}

// HealthClaims lists the claim names that mark health information under HIPAA.
// An event with one of them in data, personal{} or attributes is refused,
// however the name is written: patientId and https://issuer.example/patient-id
// are patient_id.
func HealthClaims() []string {
	return []string{
		"allergies", "blood_type", "condition", "diagnoses", "diagnosis", "disability", "genetic_data",
		"health_condition", "health_plan_id", "health_record", "hiv_status", "icd10", "icd_10", "icd11", "immunization",
		"insurance_member_id", "lab_result", "lab_results", "medical_history", "medical_record", "medical_record_number",
		"medication", "medications", "mrn", "patient_id", "prescription", "prescriptions", "procedure_code", "treatment",
	}
}

var healthClaims = func() map[string]bool {
	m := map[string]bool{}
	for _, name := range HealthClaims() {
		m[plainName(name)] = true
	}
	return m
}()

// healthClaim reports whether a member of that name is a health claim.
func healthClaim(name string) bool {
	if len(name) > MaxTextBytes {
		return false
	}
	var buf [64]byte
	plain, ok := plainASCII(buf[:0], name)
	if !ok {
		return healthClaims[plainName(name)]
	}
	return healthClaims[string(plain)]
}

// plainASCII is plainName of a name in ASCII that fits b, without allocating.
func plainASCII(b []byte, name string) ([]byte, bool) {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= utf8.RuneSelf:
			return nil, false
		case c == '/' || c == ':' || c == '#':
			b = b[:0]
		case c == '_' || c == '-' || c == ' ':
		case len(b) == cap(b):
			return nil, false
		case c >= 'A' && c <= 'Z':
			b = append(b, c+'a'-'A')
		default:
			b = append(b, c)
		}
	}
	return b, true
}

// plainName is name without its namespace, case and separators.
func plainName(name string) string {
	name = name[strings.LastIndexAny(name, "/:#")+1:]
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

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

func checkHealth(d *Data) *Refusal {
	for _, name := range slices.Sorted(maps.Keys(d.Attributes)) {
		if healthClaim(name) {
			return refuseHealth("data.attributes", name)
		}
	}
	return healthInside("data.personal", d.Personal)
}

func refuseHealth(where, name string) *Refusal {
	return refuse(ReasonHealth, "%s: %.40q is a health claim: a token must not carry it", where, name)
}

// healthInside refuses a health claim among the names inside v.
func healthInside(where string, v any) *Refusal {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if healthClaim(name) {
				return refuseHealth(where, name)
			}
			if r := healthInside(where, v[name]); r != nil {
				return r
			}
		}
	case []any:
		for _, child := range v {
			if r := healthInside(where, child); r != nil {
				return r
			}
		}
	}
	return nil
}

// Offends says why raw, a message or an event that could not be decoded, must
// not be kept even sealed, or nil. It reads as far as raw is JSON or protobuf.
func Offends(raw []byte) *Refusal {
	const where = "the event"
	if r, _ := offenceInside(where, "", raw); r != nil {
		return r
	}
	in := jsonReader{b: raw}
	if in.skip(); in.end() == nil {
		return nil
	}
	return offenceInFields(where, raw, 0)
}

// offenceInFields looks at everything in a protobuf message that has a length,
// as text, as JSON, as a message and, where it could be one, as a name: what it
// is cannot be told without the schema, and the message may be of another one.
func offenceInFields(where string, raw []byte, depth int) *Refusal {
	const deepest = 6 // a batch, an event, Any, data, an entry of a map, and one more
	in := protoReader{b: raw}
	for num, typ, more := in.next(); more && depth < deepest; num, typ, more = in.next() {
		if typ != protowire.BytesType {
			in.skip(num, typ)
			continue
		}
		content, name := in.bytes(), ""
		if num == entryKey {
			name = string(content)
		}
		r, _ := offenceInside(where, name, content)
		if r == nil {
			r = offenceInFields(where, content, depth+1)
		}
		if r != nil {
			return r
		}
	}
	return nil
}

// offenceInside says why the JSON raw under that name must not be kept, and
// whether an object in it has two members of one name.
func offenceInside(where, name string, raw []byte) (r *Refusal, twice bool) {
	if r := offence(where, string(raw)); r != nil {
		return r, false
	}
	w := offenceWalk{where: where}
	w.b = raw
	w.name(name)
	twice = w.value()
	if w.health != nil {
		return w.health, twice
	}
	return w.text, twice
}

// offenceWalk looks at every name, text and number of a JSON value.
type offenceWalk struct {
	jsonReader
	where  string
	health *Refusal // the first of each kind
	text   *Refusal
}

func (w *offenceWalk) name(name string) {
	if w.health == nil && healthClaim(name) {
		w.health = refuseHealth(w.where, name)
	}
	w.look(name)
}

func (w *offenceWalk) look(s string) {
	if w.text == nil {
		w.text = offence(w.where, s)
	}
}

func (w *offenceWalk) value() (twice bool) {
	switch c := w.peek(); {
	case c == '"':
		w.look(string(w.jsonReader.text()))
	case c == '-' || isDigit(c):
		w.look(string(w.number()))
	case c == '{':
		names := map[string]struct{}{}
		w.enter('{')
		for first := true; w.more(first, '}'); first = false {
			name := string(w.jsonReader.name())
			_, again := names[name]
			names[name] = struct{}{}
			w.name(name)
			twice = w.value() || again || twice
		}
	case c == '[':
		w.enter('[')
		for first := true; w.more(first, ']'); first = false {
			twice = w.value() || twice
		}
	default:
		w.word(c)
	}
	return twice
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

// identifiers are the members in which digits joined to something else are a
// piece of it, and no card number.
var identifiers = map[string]bool{
	"id": true, "source": true, "data.jti": true, "data.sid": true, "data.kid": true, "data.client_id": true, "data.grant_id": true,
}

// manyDigits reports whether 13 digits follow each other in s with at most one
// space or hyphen between two: without them the expression need not run.
func manyDigits(s string) bool {
	digits, gap := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			digits, gap = digits+1, 0
		case (c == ' ' || c == '-') && gap == 0:
			gap = 1
		default:
			digits, gap = 0, 0
		}
		if digits == 13 {
			return true
		}
	}
	return false
}

func holdsCard(s string, identifier bool) bool {
	if !manyDigits(s) {
		return false
	}
	for i := 0; i < len(s); {
		end := cardNumber(s, i)
		if end == 0 {
			i++
			continue
		}
		if apart(s, []int{i, end}, identifier) && issuerRange(s[i:end]) && luhn(s[i:end]) {
			return true
		}
		i = end
	}
	return false
}

// cardNumber is where 13 to 19 digits end that begin at i and could be a payment
// card number, bare or in the groups that are printed on cards; 0 where there
// are none. The issuer's range and the check digit are looked at after.
func cardNumber(s string, i int) (end int) {
	if s[i] < '2' || s[i] > '6' {
		return 0
	}
	if bare := digitsAt(s, i, 19); bare >= 13 {
		return i + bare
	}
	if at := groupsAt(s, i, 4, 4, 4); at > 0 && digitsAt(s, at, 7) >= 1 {
		return at + digitsAt(s, at, 7)
	}
	if at := groupsAt(s, i, 4, 6); s[i] == '3' && at > 0 && digitsAt(s, at, 5) >= 4 {
		return at + digitsAt(s, at, 5)
	}
	return 0
}

// digitsAt is how many digits there are from i on, at most most.
func digitsAt(s string, i, most int) (n int) {
	for n < most && i+n < len(s) && isDigit(s[i+n]) {
		n++
	}
	return n
}

// groupsAt is where groups of as many digits end, each with a space or hyphen
// behind it; 0 where they are not.
func groupsAt(s string, i int, digits ...int) int {
	for _, n := range digits {
		if digitsAt(s, i, n) < n || i+n == len(s) || s[i+n] != ' ' && s[i+n] != '-' {
			return 0
		}
		i += n + 1
	}
	return i
}

// apart reports whether the digits stand for themselves: not a piece of a
// longer word or a decimal, nor, in an identifier, of anything.
func apart(s string, at []int, identifier bool) bool {
	joins := func(c byte) bool {
		word := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		return word || identifier && (c == '-' || c == '_' || c == '.')
	}
	point := func(i int) bool { return i > 0 && i+1 < len(s) && s[i] == '.' && isDigit(s[i-1]) && isDigit(s[i+1]) }
	before := at[0] == 0 || !joins(s[at[0]-1]) && !point(at[0]-1)
	after := at[1] == len(s) || !joins(s[at[1]]) && !point(at[1])
	return before && after
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// issuerRange reports whether the digits of s begin as those of a card of
// their number do: ISO/IEC 7812 as the networks publish it.
func issuerRange(s string) bool {
	var digits []byte
	for i := range len(s) {
		if isDigit(s[i]) {
			digits = append(digits, s[i])
		}
	}
	n := len(digits)
	if n < 13 || n > 19 {
		return false
	}
	head, _ := strconv.Atoi(string(digits[:4]))
	switch {
	case head/1000 == 4: // Visa
		return n == 13 || n == 16 || n == 19
	case head/100 >= 51 && head/100 <= 55, head >= 2221 && head <= 2720: // Mastercard
		return n == 16
	case head/100 == 34, head/100 == 37: // American Express
		return n == 15
	case head/10 >= 300 && head/10 <= 305, head/100 == 36, head/100 == 38, head/100 == 39: // Diners Club
		return n >= 14
	case head >= 3528 && head <= 3589: // JCB
		return n >= 16
	default: // Maestro, Discover, UnionPay and others
		return head/1000 == 6 || head/100 == 50 || head/100 >= 56 && head/100 <= 58
	}
}

// luhn reports whether the digits of s end in the check digit of ISO/IEC
// 7812-1.
func luhn(s string) bool {
	sum, double := 0, false
	for i := len(s) - 1; i >= 0; i-- {
		if !isDigit(s[i]) {
			continue
		}
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
		if !yield("a name in data.attributes", k) || !yield("data.attributes."+k, d.Attributes[k]) {
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
	return name + "." + k
}

// walkValue yields every text and number inside v.
func walkValue(name string, v any, yield func(name, s string) bool) bool {
	switch v := v.(type) {
	case string:
		return yield(name, v)
	case json.Number:
		return yield(name, string(v))
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
