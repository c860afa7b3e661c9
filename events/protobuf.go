package events

import (
	"bytes"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of io.cloudevents.v1.CloudEvent, schemas/proto/cloudevents.proto.
const (
	ceID          = 1
	ceSource      = 2
	ceSpecVersion = 3
	ceType        = 4
	ceAttributes  = 5
	ceBinaryData  = 6
	ceTextData    = 7
	ceProtoData   = 8

	ceEvents = 1 // of CloudEventBatch

	// Of CloudEventAttributeValue.
	attrBoolean   = 1
	attrInteger   = 2
	attrString    = 3
	attrBytes     = 4
	attrURI       = 5
	attrURIRef    = 6
	attrTimestamp = 7

	// Of an entry of a map, of google.protobuf.Any and google.protobuf.Timestamp.
	entryKey         = 1
	entryValue       = 2
	anyType          = 1
	anyValue         = 2
	timestampSeconds = 1
	timestampNanos   = 2
)

// dataTypeName is the message in schemas/proto/rescind.proto.
const dataTypeName = "dev.rescind.v1.Data"

func (m *Message) decodeProtobufBatch() ([]Decoded, error) {
	raws, r := splitProtobuf(m.Body)
	if r != nil {
		return nil, r
	}
	out, own := make([]Decoded, len(raws)), new(ownTexts)
	for i, raw := range raws {
		m.decodeProtobuf(&out[i], raw, own)
	}
	return out, nil
}

// splitProtobuf is the events of a CloudEventBatch.
func splitProtobuf(body []byte) ([][]byte, *Refusal) {
	raws := make([][]byte, 0, 1+len(body)/usualEvent)
	in := protoReader{b: body}
	for num, typ, more := in.next(); more; num, typ, more = in.next() {
		if num != ceEvents || typ != protowire.BytesType {
			return nil, refuse(ReasonNotProtobuf, "batch is not a CloudEventBatch: it has a field %d of wire type %d", num, typ)
		}
		raw := in.bytes()
		raws = append(raws, raw[:len(raw):len(raw)])
	}
	if in.broken {
		return nil, refuse(ReasonNotProtobuf, "batch is not a CloudEventBatch: it is cut or malformed")
	}
	if r := tooMany(len(raws), body); r != nil {
		return nil, r
	}
	return raws, nil
}

func (m *Message) decodeProtobuf(d *Decoded, raw []byte, own *ownTexts) {
	d.Raw = raw
	in := eventProto{protoReader: protoReader{b: raw}, id: &d.Event.ID, e: envelope{data: &d.Event.Data}, own: own}
	in.read()
	own.give()
	in.e.ID = d.Event.ID
	switch {
	case in.broken:
		d.Event = Event{}
		d.Refusal = refuse(ReasonNotProtobuf, "event is not a CloudEvent in protobuf: it is cut, malformed or not UTF-8")
	case in.wrong != nil:
		d.reject(&in.e, in.wrong)
	default:
		m.open(d, &in.e)
	}
}

// eventProto reads a CloudEvent. What is well formed and wrong is remembered,
// and the rest read all the same.
type eventProto struct {
	protoReader
	id    *string
	e     envelope
	own   *ownTexts
	seen  uint32 // a bit for each field that may come once
	other map[string]struct{}
	wrong *Refusal
}

func (r *eventProto) refuse(format string, args ...any) {
	if r.wrong == nil {
		r.wrong = refuse(ReasonSchema, format, args...)
	}
}

func (r *eventProto) read() {
	for num, typ, more := r.next(); more; num, typ, more = r.next() {
		switch {
		case num > ceProtoData || typ != protowire.BytesType:
			r.refuse("field %d of the event, of wire type %d, is not one of a CloudEvent", num, typ)
			r.skip(num, typ)
		case num == ceAttributes:
			r.attribute(r.bytes())
		default:
			r.field(num)
		}
	}
}

// field reads a field that may come once. The three forms of data are one.
func (r *eventProto) field(num protowire.Number) {
	bit := uint32(1) << min(num, ceBinaryData)
	if r.seen&bit != 0 {
		r.refuse("the event has a field twice, or data in two forms: field %d", num)
	}
	r.seen |= bit
	switch num {
	case ceID:
		r.own.keep(r.id, r.text())
	case ceSource:
		r.e.Source = intern(r.text())
	case ceSpecVersion:
		r.e.SpecVersion = intern(r.text())
	case ceType:
		r.e.Type = intern(r.text())
	case ceBinaryData, ceTextData:
		*r.e.data, r.e.faulty = decodeData(r.text())
	case ceProtoData:
		r.protoData(r.bytes())
	}
}

// attribute reads an optional or extension attribute: a name and a value.
func (r *eventProto) attribute(entry []byte) {
	var name, value []byte
	in := protoReader{b: entry}
	for num, typ, more := in.next(); more; num, typ, more = in.next() {
		switch {
		case typ == protowire.BytesType && num == entryKey && name == nil:
			name = in.text()
		case typ == protowire.BytesType && num == entryValue && value == nil:
			value = in.bytes()
		default:
			r.refuse("an attribute of the event is no name and value")
			in.skip(num, typ)
		}
	}
	v, ok := readAttribute(value)
	if in.broken || !ok {
		r.fail()
		return
	}
	r.keep(name, v)
}

// attributeValue is a CloudEventAttributeValue.
type attributeValue struct {
	kind protowire.Number // 0 where there is none
	text []byte
	at   time.Time
	odd  bool // several, or of a kind that there is not
}

// readAttribute reads the value of an attribute, and reports whether it is well
// formed.
func readAttribute(raw []byte) (v attributeValue, ok bool) {
	in := protoReader{b: raw}
	for num, typ, more := in.next(); more; num, typ, more = in.next() {
		v.odd = v.odd || v.kind != 0
		v.kind = num
		switch {
		case typ == protowire.BytesType && (num == attrString || num == attrURI || num == attrURIRef):
			v.text = in.text()
		case typ == protowire.BytesType && num == attrBytes:
			v.text = in.bytes()
		case typ == protowire.BytesType && num == attrTimestamp:
			if v.at, ok = readTimestamp(in.bytes()); !ok {
				v.odd = true
			}
		case typ == protowire.VarintType && (num == attrBoolean || num == attrInteger):
			in.varint()
		default:
			v.odd = true
			in.skip(num, typ)
		}
	}
	return v, !in.broken
}

// readTimestamp reads a google.protobuf.Timestamp, and reports whether it is a
// time between the years 1 and 9999, each of its fields said once at most.
func readTimestamp(raw []byte) (t time.Time, ok bool) {
	var fields [timestampNanos + 1]int64
	var seen [timestampNanos + 1]bool
	in := protoReader{b: raw}
	for num, typ, more := in.next(); more; num, typ, more = in.next() {
		if typ != protowire.VarintType || num > timestampNanos || seen[num] {
			return t, false
		}
		fields[num], seen[num] = int64(in.varint()), true
	}
	seconds, nanos := fields[timestampSeconds], fields[timestampNanos]
	const first, last = -62135596800, maxNumericDate
	if in.broken || seconds < first || seconds > last || nanos < 0 || nanos > 999_999_999 {
		return t, false
	}
	return time.Unix(seconds, nanos).UTC(), true
}

// keep takes the attribute of that name.
func (r *eventProto) keep(name []byte, v attributeValue) {
	i, to, _ := r.e.text(name)
	if r.again(name, i, to != nil) || elsewhere(name) {
		r.refuse("the event says %q twice, or where it does not belong", label(name))
		return
	}
	switch {
	case v.odd || v.kind == 0:
		r.refuse("attribute %q: want one value", label(name))
	case v.kind == attrTimestamp && string(name) == "time":
		r.e.at = v.at
	case to == nil:
		r.extension(string(name), v.text)
	case v.kind != attrString:
		r.refuse("%.40s: want a string", name)
	default:
		*to = intern(v.text)
	}
}

// elsewhere reports whether the attribute of that name has a field of its own.
func elsewhere(name []byte) bool {
	switch string(name) {
	case "id", "source", "type", "specversion", "data", "data_base64":
		return true
	default:
		return false
	}
}

// again reports whether the attribute of that name was there before: the i-th
// where it is one of ours.
func (r *eventProto) again(name []byte, i int, ours bool) bool {
	if ours {
		bit := uint32(1) << (16 + i)
		was := r.seen&bit != 0
		r.seen |= bit
		return was
	}
	if r.other == nil {
		r.other = map[string]struct{}{}
	}
	_, was := r.other[string(name)]
	r.other[string(name)] = struct{}{}
	return was
}

// extension looks at an attribute that is none of ours and is not kept.
func (r *eventProto) extension(name string, text []byte) {
	const where = "an attribute of the event"
	found := offence(where, name)
	if found == nil {
		found = offence(where, string(text))
	}
	if healthClaim(name) {
		found = refuseHealth(where, name)
	}
	if found != nil && (r.e.offence == nil || name < r.e.offending) {
		r.e.offence, r.e.offending = found, name
	}
}

// protoData reads data that is a message of ours in a google.protobuf.Any.
func (r *eventProto) protoData(raw []byte) {
	var name, value []byte
	seen := false
	in := protoReader{b: raw}
	for num, typ, more := in.next(); more; num, typ, more = in.next() {
		switch {
		case typ == protowire.BytesType && num == anyType && name == nil:
			name = in.text()
		case typ == protowire.BytesType && num == anyValue && !seen:
			value, seen = in.bytes(), true
		default:
			r.refuse("proto_data is no google.protobuf.Any")
			in.skip(num, typ)
		}
	}
	if in.broken {
		r.fail()
		return
	}
	if string(name[bytes.LastIndexByte(name, '/')+1:]) != dataTypeName {
		r.e.faulty = refuse(ReasonContentType, "proto_data: want a %s", dataTypeName)
		return
	}
	data := dataProto{protoReader: protoReader{b: value}, d: r.e.data, own: r.own}
	data.read()
	if data.broken {
		r.fail()
	}
	r.e.faulty = data.wrong
}

// ContentTypeOf is the content type of one event as Decoded.Raw keeps it. How
// it begins does not tell: a line break and a brace begin an event in JSON as
// well as one in protobuf whose id has 123 bytes.
func ContentTypeOf(raw []byte) string {
	in := protoReader{b: raw}
	for num, typ, more := in.next(); more; num, typ, more = in.next() {
		if num > ceProtoData || typ != protowire.BytesType {
			return ContentTypeEvent
		}
		in.skip(num, typ)
	}
	if in.broken || len(raw) == 0 {
		return ContentTypeEvent
	}
	return ContentTypeProtobuf
}

// Split is the events of m, each as a message of its own, where m is a batch
// that can be taken apart; else m alone.
func Split(m Message) []Message {
	var raws [][]byte
	single := ""
	switch mode, _ := m.mode(); mode {
	case ContentTypeBatch:
		raws, _ = splitArray(m.Body)
		single = ContentTypeEvent
	case ContentTypeProtobufBatch:
		raws, _ = splitProtobuf(m.Body)
		single = ContentTypeProtobuf
	}
	if len(raws) == 0 {
		return []Message{m}
	}
	out := make([]Message, len(raws))
	for i, raw := range raws {
		out[i] = Message{ContentType: single, Body: raw, Tenant: m.Tenant, Type: m.Type}
	}
	return out
}
