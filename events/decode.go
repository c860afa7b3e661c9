package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The content types of the three modes that Decode reads.
const (
	ContentTypeEvent = "application/cloudevents+json"
	ContentTypeBatch = "application/cloudevents-batch+json"
	ContentTypeJSON  = "application/json" // binary mode where ce- headers are present, else structured
)

// Message is one message as it arrived, from NATS or in an HTTP body.
type Message struct {
	ContentType string              // as sent; "" over NATS means structured JSON
	Header      map[string][]string // for binary mode: the ce- attributes, names in any case
	Body        []byte
	Tenant      string // from the subject, or the caller's only tenant; "" where the event itself must say
	Type        Type   // from the subject; "" where the event alone says
}

// Decoded is one event of a message, or why it is none. Raw is its JSON, for
// quarantine.
type Decoded struct {
	Event   Event
	Raw     []byte
	Refusal *Refusal
}

// Decode reads all events of m. The error, where there is one, is a *Refusal
// of the message as a whole; otherwise there is one Decoded an event, in order.
func Decode(m Message) ([]Decoded, error) {
	if len(m.Body) > MaxMessageBytes {
		return nil, refuse(ReasonTooLarge, "message of %d bytes: the limit is %d", len(m.Body), MaxMessageBytes)
	}
	mode, err := m.mode()
	if err != nil {
		return nil, err
	}
	switch mode {
	case ContentTypeBatch:
		return m.decodeBatch()
	case ContentTypeJSON:
		return []Decoded{m.decodeBinary()}, nil
	default:
		return []Decoded{m.decodeOne(m.Body)}, nil
	}
}

// mode is the content type that says how to read m: ContentTypeJSON stands for
// binary mode here.
func (m *Message) mode() (string, error) {
	binary := m.attribute("specversion") != ""
	if m.ContentType == "" {
		if binary {
			return ContentTypeJSON, nil
		}
		return ContentTypeEvent, nil
	}
	media, _, err := mime.ParseMediaType(m.ContentType)
	switch {
	case err != nil:
		return "", refuse(ReasonContentType, "content type cannot be read: want %s, %s or ce- headers with %s", ContentTypeEvent, ContentTypeBatch, ContentTypeJSON)
	case media == ContentTypeEvent, media == ContentTypeBatch:
		return media, nil
	case media == ContentTypeJSON && binary:
		return ContentTypeJSON, nil
	case media == ContentTypeJSON:
		return ContentTypeEvent, nil
	default:
		return "", refuse(ReasonContentType, "content type %.80q: want %s, %s or ce- headers with %s", media, ContentTypeEvent, ContentTypeBatch, ContentTypeJSON)
	}
}

// attribute is the CloudEvents attribute from the ce- header of that name,
// percent-decoded as the NATS and HTTP bindings ask. Of headers that differ
// only in case the first in order counts, for every reader the same.
func (m *Message) attribute(name string) string {
	first := ""
	for k, v := range m.Header {
		if len(v) > 0 && strings.EqualFold(k, "ce-"+name) && (first == "" || k < first) {
			first = k
		}
	}
	if first == "" {
		return ""
	}
	return unescape(m.Header[first][0])
}

func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

func (m *Message) decodeBatch() ([]Decoded, error) {
	var raws []json.RawMessage
	if err := json.Unmarshal(m.Body, &raws); err != nil {
		return nil, refuse(ReasonNotJSON, "batch is not a JSON array: %s", describe(err))
	}
	switch {
	case raws == nil:
		return nil, refuse(ReasonNotJSON, "batch is not a JSON array: it is null")
	case len(raws) > MaxMessageEvents:
		return nil, refuse(ReasonTooLarge, "batch of %d events: the limit is %d", len(raws), MaxMessageEvents)
	}
	out := make([]Decoded, len(raws))
	for i, raw := range raws {
		out[i] = m.decodeOne(raw)
	}
	return out, nil
}

func (m *Message) decodeOne(raw []byte) Decoded {
	if !utf8.Valid(raw) {
		return Decoded{Raw: raw, Refusal: refuse(ReasonNotJSON, "event is not UTF-8")}
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return Decoded{Raw: raw, Refusal: refuse(ReasonNotJSON, "event is not a JSON object: %s", describe(err))}
	}
	var e envelope
	if r := e.read(members); r != nil {
		return Decoded{Raw: raw, Refusal: r}.named(e)
	}
	return m.open(e, raw)
}

func (m *Message) decodeBinary() Decoded {
	e := envelope{
		SpecVersion: m.attribute("specversion"), ID: m.attribute("id"), Source: m.attribute("source"),
		Type: m.attribute("type"), Time: m.attribute("time"), Subject: m.attribute("subject"),
		Environment: m.attribute("rescindenv"), Tenant: m.attribute("rescindtenant"), offence: m.extensionOffence(),
	}
	if !utf8.Valid(m.Body) || len(m.Body) > 0 && !json.Valid(m.Body) {
		return Decoded{Raw: m.Body, Refusal: refuse(ReasonNotJSON, "body is not JSON in UTF-8")}.named(e)
	}
	if len(m.Body) > 0 {
		e.Data = m.Body
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return Decoded{Raw: m.Body, Refusal: refuse(ReasonNotJSON, "attributes: %s", describe(err))}.named(e)
	}
	return m.open(e, raw)
}

// extensionOffence is why an attribute in a header must not be stored, or nil.
func (m *Message) extensionOffence() *Refusal {
	for _, k := range slices.Sorted(maps.Keys(m.Header)) {
		if len(k) < 3 || !strings.EqualFold(k[:3], "ce-") {
			continue
		}
		if healthClaim(k[3:]) {
			return refuse(ReasonHealth, "a name of the event's attributes is a health claim: a token must not carry it")
		}
		for _, v := range m.Header[k] {
			if r := offence("an attribute of the event", unescape(v)); r != nil {
				return r
			}
		}
	}
	return nil
}

func (d Decoded) named(e envelope) Decoded {
	d.Event.ID, d.Event.Source, d.Event.Type = e.ID, e.Source, Type(e.Type)
	if d.Refusal != nil {
		d.Refusal.ID, d.Refusal.Source = clip(e.ID), clip(e.Source)
	}
	return d
}

// open turns an envelope into an event, or says what is wrong with it.
func (m *Message) open(e envelope, raw []byte) Decoded {
	d := Decoded{Raw: raw}
	d.Event, d.Refusal = m.event(e)
	d = d.named(e)
	d.Event.Tenant = m.Tenant
	if m.Tenant == "" {
		d.Event.Tenant = firstOf(e.Tenant, d.Event.Data.Tenant)
	}
	if d.Refusal == nil {
		d.Refusal = m.agree(e, &d.Event)
		d = d.named(e)
	}
	return d
}

func (m *Message) event(e envelope) (Event, *Refusal) {
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
	ev.Data, r = decodeData(e.Data)
	return ev, r
}

// parseTime reads RFC 3339 and refuses what time.Parse takes beside it: an
// hour of one digit, a comma before the fraction, an offset of 24 hours.
func parseTime(s string) (time.Time, error) {
	const hourEnd, offset = len("2006-01-02T15"), len("23:59")
	if len(s) <= hourEnd+offset || s[hourEnd] != ':' || strings.Contains(s, ",") {
		return time.Time{}, errors.New("not RFC 3339")
	}
	if end := s[len(s)-offset:]; s[len(s)-1] != 'Z' && (end[:2] > "23" || end[3:] > "59") {
		return time.Time{}, errors.New("not RFC 3339")
	}
	return time.Parse(time.RFC3339Nano, s)
}

// agree checks that the event says the same as the subject it was sent on.
func (m *Message) agree(e envelope, ev *Event) *Refusal {
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

// describe is a JSON error without any of the input in it.
func describe(err error) string {
	switch e := err.(type) {
	case *json.UnmarshalTypeError:
		return strings.TrimPrefix(fmt.Sprintf("%.80s: want %s", e.Field, jsonKind(e.Type)), ": ")
	case *json.SyntaxError:
		return fmt.Sprintf("syntax error at byte %d", e.Offset)
	default:
		return "a member has the wrong shape"
	}
}

// jsonKind is what JSON calls values of t.
func jsonKind(t reflect.Type) string {
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

func firstOf(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}

// clip is an identifier as a refusal may repeat it: short, and withheld where
// it holds what must not be stored.
func clip(s string) string {
	if offence("", s) != nil {
		return "[withheld]"
	}
	if len(s) <= 128 {
		return s
	}
	s = s[:128]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}
