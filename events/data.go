package events

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// decodeData reads data. A member that Rescind does not know is taken as
// personal, so that it is sealed and neither lost nor exposed. Names are
// compared as they are: "Sub" is unknown. A member that is null is not there.
func decodeData(raw json.RawMessage) (Data, *Refusal) {
	var d Data
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return d, nil
	}
	if raw[0] != '{' {
		return d, refuse(ReasonSchema, "data is not a JSON object")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return d, refuse(ReasonSchema, "data: %s", describe(err))
	}
	unknown := takeUnknown(members)
	known, err := knownMembers(raw, members, unknown)
	if err != nil {
		return d, refuse(ReasonSchema, "data: %s", describe(err))
	}
	if err := unmarshalExact(known, &d); err != nil {
		return d, refuse(ReasonSchema, "data: %s", describe(err))
	}
	if r := d.keepUnknown(unknown); r != nil {
		return d, r
	}
	for name, v := range d.Personal {
		d.Personal[name] = exact(v)
	}
	return d, nil
}

// takeUnknown moves what Data has no member for out of members.
func takeUnknown(members map[string]json.RawMessage) map[string]json.RawMessage {
	var unknown map[string]json.RawMessage
	for name, value := range members {
		if dataMembers[name] {
			continue
		}
		if unknown == nil {
			unknown = make(map[string]json.RawMessage, 1)
		}
		unknown[name] = value
		delete(members, name)
	}
	return unknown
}

// knownMembers is the JSON of what Data has a member for. That is all of raw,
// unless an unknown name differs from a known one only in case: encoding/json
// would take the one for the other.
func knownMembers(raw json.RawMessage, members, unknown map[string]json.RawMessage) ([]byte, error) {
	for name := range unknown {
		for known := range dataMembers {
			if strings.EqualFold(name, known) {
				return json.Marshal(members)
			}
		}
	}
	return raw, nil
}

// keepUnknown adds members to personal{}.
func (d *Data) keepUnknown(members map[string]json.RawMessage) *Refusal {
	if len(members) > 0 && d.Personal == nil {
		d.Personal = make(map[string]any, len(members))
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		raw := members[name]
		if _, taken := d.Personal[name]; taken {
			return refuse(ReasonSchema, "data and data.personal both have a member %.40q", name)
		}
		var v any
		if err := unmarshalExact(raw, &v); err != nil {
			return refuse(ReasonSchema, "data.%.40s: %s", name, describe(err))
		}
		d.Personal[name] = v
	}
	return nil
}

// unmarshalExact is json.Unmarshal, but that a number in an any stays the
// text that it was.
func unmarshalExact(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(v)
}

// exact replaces the numbers inside v by values that print as they were
// published: int64 or uint64, float64 where it holds all the digits, else text.
func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		return exactNumber(string(v))
	case map[string]any:
		for name, child := range v {
			v[name] = exact(child)
		}
	case []any:
		for i, child := range v {
			v[i] = exact(child)
		}
	}
	return v
}

func exactNumber(s string) any {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil && s != "-0" {
		return i
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return u
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !sameNumber(s, strconv.FormatFloat(f, 'e', -1, 64)) {
		return s
	}
	return f
}

// sameNumber reports whether two JSON numbers of one sign are the same number.
func sameNumber(a, b string) bool {
	aDigits, aExponent := decimal(a)
	bDigits, bExponent := decimal(b)
	return aDigits == bDigits && aExponent == bExponent
}

// decimal is the number s as the digits d1 d2 d3... and the exponent of
// 0.d1d2d3... times ten to its power, without its sign.
func decimal(s string) (digits string, exponent int) {
	mantissa, power, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(s, "-")), "e")
	exponent, _ = strconv.Atoi(power)
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := whole + fraction
	digits = strings.TrimLeft(all, "0")
	exponent += len(whole) - (len(all) - len(digits))
	if digits = strings.TrimRight(digits, "0"); digits == "" {
		exponent = 0
	}
	return digits, exponent
}

var dataMembers = func() map[string]bool {
	m := map[string]bool{}
	for f := range reflect.TypeFor[Data]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		m[name] = true
	}
	return m
}()
