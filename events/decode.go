package events

import (
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The content types that Decode reads.
const (
	ContentTypeEvent         = "application/cloudevents+json"
	ContentTypeBatch         = "application/cloudevents-batch+json"
	ContentTypeProtobuf      = "application/cloudevents+protobuf"
	ContentTypeProtobufBatch = "application/cloudevents-batch+protobuf"
	ContentTypeJSON          = "application/json" // binary mode where ce- headers are present, else structured
)

// wantedTypes is what a refusal says of them.
const wantedTypes = ContentTypeEvent + ", " + ContentTypeBatch + ", " + ContentTypeProtobufBatch + " or ce- headers with " + ContentTypeJSON

// Message is one message as it arrived, from NATS or in an HTTP body.
type Message struct {
	ContentType string              // as sent; "" over NATS means structured JSON
	Header      map[string][]string // for binary mode: the ce- attributes, names in any case
	Body        []byte
	Tenant      string // from the subject, or the caller's only tenant; "" where the event itself must say
	Type        Type   // from the subject; "" where the event alone says
}

// Decoded is one event of a message, or why it is none. Raw is the event as it
// arrived, for quarantine: JSON, or protobuf where the message was. ContentTypeOf
// tells which.
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
	case ContentTypeProtobufBatch:
		return m.decodeProtobufBatch()
	case ContentTypeProtobuf:
		out := make([]Decoded, 1)
		m.decodeProtobuf(&out[0], m.Body, new(ownTexts))
		return out, nil
	case ContentTypeJSON:
		return []Decoded{m.decodeBinary()}, nil
	default:
		out := make([]Decoded, 1)
		m.decodeOne(&out[0], m.Body)
		return out, nil
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
		return "", refuse(ReasonContentType, "content type cannot be read: want "+wantedTypes)
	case media == ContentTypeEvent, media == ContentTypeBatch, media == ContentTypeProtobuf, media == ContentTypeProtobufBatch:
		return media, nil
	case media == ContentTypeJSON && binary:
		return ContentTypeJSON, nil
	case media == ContentTypeJSON:
		return ContentTypeEvent, nil
	default:
		return "", refuse(ReasonContentType, "content type %q: want "+wantedTypes, label(media))
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
	raws, r := splitArray(m.Body)
	if r != nil {
		return nil, r
	}
	out := make([]Decoded, len(raws))
	for i, raw := range raws {
		m.decodeOne(&out[i], raw)
	}
	return out, nil
}

// splitArray is the elements of a JSON array.
func splitArray(body []byte) ([][]byte, *Refusal) {
	in := jsonReader{b: body}
	if c := in.peek(); c != '[' {
		return nil, refuse(ReasonNotJSON, "batch is not a JSON array")
	}
	raws := make([][]byte, 0, 1+len(body)/usualEvent)
	in.enter('[')
	for first := true; in.more(first, ']'); first = false {
		in.peek()
		raw := in.skip()
		raws = append(raws, raw[:len(raw):len(raw)])
	}
	if err := in.end(); err != nil {
		return nil, refuse(ReasonNotJSON, "batch is not a JSON array: %s", err)
	}
	if r := tooMany(len(raws), body); r != nil {
		return nil, r
	}
	return raws, nil
}

// leastEvent is less than any valid event takes.
const leastEvent = 48

// tooMany refuses a batch of more events than there may be, or than its bytes can
// hold but for a few: what is made of each is larger than some that are none.
func tooMany(n int, body []byte) *Refusal {
	const few = 4
	if most := min(MaxMessageEvents, few+len(body)/leastEvent); n > most {
		return refuse(ReasonTooLarge, "batch of %d events in %d bytes: the limit is %d", n, len(body), most)
	}
	return nil
}

// usualEvent is what nearly every event takes at least in JSON.
const usualEvent = 256

func (m *Message) decodeOne(d *Decoded, raw []byte) {
	d.Raw = raw
	if !utf8.Valid(raw) {
		d.Refusal = refuse(ReasonNotJSON, "event is not UTF-8")
		return
	}
	e := envelope{data: &d.Event.Data}
	wrong, err := e.read(raw)
	switch {
	case err != nil:
		d.Event = Event{}
		d.Refusal = refuse(ReasonNotJSON, "event is not a JSON object: %s", err)
	case wrong != nil:
		d.reject(&e, wrong)
	default:
		m.open(d, &e)
	}
}

func (m *Message) decodeBinary() (d Decoded) {
	e := envelope{
		SpecVersion: m.attribute("specversion"), ID: m.attribute("id"), Source: m.attribute("source"),
		Type: m.attribute("type"), Time: m.attribute("time"), Subject: m.attribute("subject"),
		Environment: m.attribute("rescindenv"), Tenant: m.attribute("rescindtenant"), offence: m.extensionOffence(),
		data: &d.Event.Data,
	}
	d.Raw = m.Body
	if !utf8.Valid(m.Body) || len(m.Body) > 0 && !json.Valid(m.Body) {
		d.Refusal = refuse(ReasonNotJSON, "body is not JSON in UTF-8")
		d.name(&e)
		return d
	}
	if len(m.Body) > 0 {
		e.Data = m.Body
	}
	raw, err := json.Marshal(&e)
	if err != nil {
		d.Refusal = refuse(ReasonNotJSON, "attributes cannot be written as JSON")
		d.name(&e)
		return d
	}
	d.Raw = raw
	*e.data, e.faulty = decodeData(m.Body)
	m.open(&d, &e)
	return d
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

// name gives d the identity that e claims, as far as it could be read.
func (d *Decoded) name(e *envelope) {
	d.Event.ID, d.Event.Source, d.Event.Type = e.ID, e.Source, Type(e.Type)
	if d.Refusal != nil {
		d.Event.named(d.Refusal, e.Subject)
	}
}

// reject refuses d for an attribute of e: of its data nothing is kept but that
// its identity was compared with it.
func (d *Decoded) reject(e *envelope, why *Refusal) {
	d.Refusal = why
	d.name(e)
	d.Event.Data = Data{}
}

// open turns an envelope into an event, or says what is wrong with it.
func (m *Message) open(d *Decoded, e *envelope) {
	if r := e.attributes(&d.Event); r != nil {
		d.reject(e, r)
	} else {
		d.Refusal = e.faulty
		d.name(e)
	}
	d.Event.Tenant = m.Tenant
	if m.Tenant == "" {
		d.Event.Tenant = firstOf(e.Tenant, d.Event.Data.Tenant)
	}
	if d.Refusal == nil {
		if d.Refusal = m.agree(e, &d.Event); d.Refusal != nil {
			d.name(e)
		}
	}
}

// attributes gives ev what e says beside its data, or says what is wrong with it.
func (e *envelope) attributes(ev *Event) *Refusal {
	if r := e.unusable(); r != nil {
		return r
	}
	ev.Environment = e.Environment
	at, r := e.when()
	if r != nil {
		return r
	}
	ev.Time = at.UTC().Truncate(time.Microsecond)
	return nil
}

// unusable says which attribute refuses the event, whatever the others say.
func (e *envelope) unusable() *Refusal {
	switch {
	case e.offence != nil:
		return e.offence
	case e.SpecVersion != "1.0":
		return refuse(ReasonSchema, "specversion: want \"1.0\"")
	case e.Subject != "":
		return refuse(ReasonExposed, "subject is not used: it would be an identifier in the clear")
	case e.DataBase64 != "":
		return refuse(ReasonContentType, "data_base64: want JSON in data")
	default:
		return nil
	}
}

// when is the time of the event.
func (e *envelope) when() (time.Time, *Refusal) {
	switch {
	case !e.at.IsZero():
		return e.at, nil
	case e.Time == "":
		return e.at, refuse(ReasonMissing, "time is missing")
	}
	at, err := parseTime(e.Time)
	if err != nil {
		return at, refuse(ReasonSchema, "time is not RFC 3339")
	}
	return at, nil
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
func (m *Message) agree(e *envelope, ev *Event) *Refusal {
	for _, named := range [...]string{e.Tenant, ev.Data.Tenant} {
		if named != "" && named != ev.Tenant {
			return refuse(ReasonMismatch, "the event names another tenant than its subject or caller")
		}
	}
	// An unknown type is left to Validate, which says so.
	if m.Type != "" && m.Type != ev.Type && ev.Type.Known() {
		return refuse(ReasonMismatch, "the subject says %q, the event another type", label(m.Type.Name()))
	}
	return nil
}

func firstOf(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
