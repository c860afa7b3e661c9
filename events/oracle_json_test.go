package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The oracle of our hand-shaped JSON is encoding/json, by reflection. It takes
// the last of two members of one name; everything else must come out the same.

type oldMessage struct{ Message }

// oldDecodeData reads data. A member that Rescind does not know is taken as
// personal, so that it is sealed and neither lost nor exposed. Names are
// compared as they are: "Sub" is unknown. A member that is null is not there.
func oldDecodeData(raw json.RawMessage) (Data, *Refusal) {
	var d Data
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return d, nil
	}
	if raw[0] != '{' {
		return d, refuse(ReasonSchema, "data is not a JSON object")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return d, refuse(ReasonSchema, "data: %s", oldDescribe(err))
	}
	unknown := oldTakeUnknown(members)
	known, err := oldKnownMembers(raw, members, unknown)
	if err != nil {
		return d, refuse(ReasonSchema, "data: %s", oldDescribe(err))
	}
	if err := oldUnmarshalExact(known, &d); err != nil {
		return d, refuse(ReasonSchema, "data: %s", oldDescribe(err))
	}
	if r := oldKeepUnknown(&d, unknown); r != nil {
		return d, r
	}
	for name, v := range d.Personal {
		d.Personal[name] = oldExact(v)
	}
	return d, nil
}

// oldTakeUnknown moves what Data has no member for out of members.
func oldTakeUnknown(members map[string]json.RawMessage) map[string]json.RawMessage {
	var unknown map[string]json.RawMessage
	for name, value := range members {
		if oldDataMembers[name] {
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

// oldKnownMembers is the JSON of what Data has a member for. That is all of raw,
// unless an unknown name differs from a known one only in case: encoding/json
// would take the one for the other.
func oldKnownMembers(raw json.RawMessage, members, unknown map[string]json.RawMessage) ([]byte, error) {
	for name := range unknown {
		for known := range oldDataMembers {
			if strings.EqualFold(name, known) {
				return json.Marshal(members)
			}
		}
	}
	return raw, nil
}

// keepUnknown adds members to personal{}.
func oldKeepUnknown(d *Data, members map[string]json.RawMessage) *Refusal {
	if len(members) > 0 && d.Personal == nil {
		d.Personal = make(map[string]any, len(members))
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		raw := members[name]
		if _, taken := d.Personal[name]; taken {
			return refuse(ReasonSchema, "data and data.personal both have a member %.40q", name)
		}
		var v any
		if err := oldUnmarshalExact(raw, &v); err != nil {
			return refuse(ReasonSchema, "data.%.40s: %s", name, oldDescribe(err))
		}
		d.Personal[name] = v
	}
	return nil
}

// oldUnmarshalExact is json.Unmarshal, but that a number in an any stays the
// text that it was.
func oldUnmarshalExact(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(v)
}

// oldExact replaces the numbers inside v by values that print as they were
// published: int64 or uint64, float64 where it holds all the digits, else text.
func oldExact(v any) any {
	switch v := v.(type) {
	case json.Number:
		return exactNumber(string(v))
	case map[string]any:
		for name, child := range v {
			v[name] = oldExact(child)
		}
	case []any:
		for i, child := range v {
			v[i] = oldExact(child)
		}
	}
	return v
}

var oldDataMembers = func() map[string]bool {
	m := map[string]bool{}
	for f := range reflect.TypeFor[Data]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		m[name] = true
	}
	return m
}()

// oldEnvelope is the structured mode of a CloudEvent.
type oldEnvelope struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Time        string          `json:"time"`
	Subject     string          `json:"subject,omitempty"`
	ContentType string          `json:"datacontenttype,omitempty"` // of data, which is JSON whatever it says
	DataBase64  string          `json:"data_base64,omitempty"`
	Environment string          `json:"rescindenv,omitempty"`
	Tenant      string          `json:"rescindtenant,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"`

	offence *Refusal // of an attribute that is none of these and is not kept
}

// read fills e from the members of an event. Names are compared as they are:
// JSON tells id and ID apart, and so must all who read one event.
func (e *oldEnvelope) read(members map[string]json.RawMessage) *Refusal {
	var wrong *Refusal
	found := 0
	for _, a := range e.texts() {
		raw, there := members[a.name]
		if !there {
			continue
		}
		found++
		if err := oldUnquote(raw, a.text); err != nil && wrong == nil {
			wrong = refuse(ReasonSchema, "%s: want a string", a.name)
		}
	}
	if raw, there := members["data"]; there {
		e.Data = raw
		found++
	}
	if found < len(members) {
		e.offence = e.extensionOffence(members)
	}
	return wrong
}

// texts is every attribute of e that is a string.
func (e *oldEnvelope) texts() [10]member {
	return [...]member{
		{name: "specversion", text: &e.SpecVersion}, {name: "id", text: &e.ID}, {name: "source", text: &e.Source},
		{name: "type", text: &e.Type}, {name: "time", text: &e.Time}, {name: "subject", text: &e.Subject},
		{name: "datacontenttype", text: &e.ContentType}, {name: "data_base64", text: &e.DataBase64},
		{name: "rescindenv", text: &e.Environment}, {name: "rescindtenant", text: &e.Tenant},
	}
}

// extensionOffence is why an attribute that is none of ours must not be
// stored, or nil.
func (e *oldEnvelope) extensionOffence(members map[string]json.RawMessage) *Refusal {
	for _, a := range e.texts() {
		delete(members, a.name)
	}
	delete(members, "data")
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if r := oldOffenceInside("an attribute of the event", name, members[name]); r != nil {
			return r
		}
	}
	return nil
}

// oldUnquote reads a JSON string, or null as none.
func oldUnquote(raw json.RawMessage, to *string) error {
	if len(raw) > 1 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		*to = string(raw[1 : len(raw)-1])
		return nil
	}
	return json.Unmarshal(raw, to)
}
func (m *oldMessage) decodeBatch() ([]Decoded, error) {
	var raws []json.RawMessage
	if err := json.Unmarshal(m.Body, &raws); err != nil {
		return nil, refuse(ReasonNotJSON, "batch is not a JSON array: %s", oldDescribe(err))
	}
	switch {
	case raws == nil:
		return nil, refuse(ReasonNotJSON, "batch is not a JSON array: it is null")
	case tooMany(len(raws), m.Body) != nil:
		return nil, tooMany(len(raws), m.Body)
	}
	out := make([]Decoded, len(raws))
	for i, raw := range raws {
		out[i] = m.decodeOne(raw)
	}
	return out, nil
}

func (m *oldMessage) decodeOne(raw []byte) Decoded {
	if !utf8.Valid(raw) {
		return Decoded{Raw: raw, Refusal: refuse(ReasonNotJSON, "event is not UTF-8")}
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return Decoded{Raw: raw, Refusal: refuse(ReasonNotJSON, "event is not a JSON object: %s", oldDescribe(err))}
	}
	var e oldEnvelope
	if r := e.read(members); r != nil {
		return oldNamed(Decoded{Raw: raw, Refusal: r}, e)
	}
	return m.open(e, raw)
}

func oldNamed(d Decoded, e oldEnvelope) Decoded {
	d.Event.ID, d.Event.Source, d.Event.Type = e.ID, e.Source, Type(e.Type)
	if d.Refusal != nil {
		data, _ := oldDecodeData(e.Data)
		(&Event{ID: e.ID, Source: e.Source, Data: data}).named(d.Refusal, e.Subject)
	}
	return d
}

// open turns an oldEnvelope into an event, or says what is wrong with it.
func (m *oldMessage) open(e oldEnvelope, raw []byte) Decoded {
	d := Decoded{Raw: raw}
	d.Event, d.Refusal = m.event(e)
	d = oldNamed(d, e)
	d.Event.Tenant = m.Tenant
	if m.Tenant == "" {
		d.Event.Tenant = firstOf(e.Tenant, d.Event.Data.Tenant)
	}
	if d.Refusal == nil {
		d.Refusal = m.agree(e, &d.Event)
		d = oldNamed(d, e)
	}
	return d
}

func (m *oldMessage) event(e oldEnvelope) (Event, *Refusal) {
	if e.offence != nil {
		return Event{}, e.offence
	}
	if e.SpecVersion != "1.0" {
		return Event{}, refuse(ReasonSchema, "specversion: want \"1.0\"")
	}
	if e.Subject != "" {
		return Event{}, refuse(ReasonExposed, "subject is not used: it would be an identifier in the clear")
	}
	if e.DataBase64 != "" {
		return Event{}, refuse(ReasonContentType, "data_base64: want JSON in data")
	}
	ev := Event{ID: e.ID, Source: e.Source, Type: Type(e.Type), Environment: e.Environment}
	if e.Time == "" {
		return ev, refuse(ReasonMissing, "time is missing")
	}
	at, err := parseTime(e.Time)
	if err != nil {
		return ev, refuse(ReasonSchema, "time is not RFC 3339")
	}
	ev.Time = at.UTC().Truncate(time.Microsecond)
	var r *Refusal
	ev.Data, r = oldDecodeData(e.Data)
	return ev, r
}

// agree checks that the event says the same as the subject it was sent on.
func (m *oldMessage) agree(e oldEnvelope, ev *Event) *Refusal {
	for _, named := range []string{e.Tenant, ev.Data.Tenant} {
		if named != "" && named != ev.Tenant {
			return refuse(ReasonMismatch, "the event names another tenant than its subject or caller")
		}
	}
	// An unknown type is left to Validate, which says so.
	if m.Type != "" && m.Type != ev.Type && ev.Type.Known() {
		return refuse(ReasonMismatch, "the subject says %.60q, the event another type", m.Type.Name())
	}
	return nil
}

// oldDescribe is a JSON error without any of the input in it.
func oldDescribe(err error) string {
	switch e := err.(type) {
	case *json.UnmarshalTypeError:
		return strings.TrimPrefix(fmt.Sprintf("%.80s: want %s", e.Field, oldJsonKind(e.Type)), ": ")
	case *json.SyntaxError:
		return fmt.Sprintf("syntax error at byte %d", e.Offset)
	default:
		return "a member has the wrong shape"
	}
}

// oldJsonKind is what JSON calls values of t.
func oldJsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	default:
		return "a number"
	}
}

// oldOffenceInside says why the JSON raw under that name must not be kept.
func oldOffenceInside(where, name string, raw []byte) *Refusal {
	if r := offence(where, string(raw)); r != nil {
		return r
	}
	var v any
	if oldUnmarshalExact(raw, &v) != nil {
		return nil
	}
	if r := healthInside(where, map[string]any{name: v}); r != nil {
		return r
	}
	var found *Refusal
	walkValue(where, v, func(_, s string) bool {
		found = offence(where, s)
		return found == nil
	})
	return found
}
