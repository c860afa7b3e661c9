package events_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/schemas"
)

// protoTypes is the messages of schemas/proto, compiled: the oracle.
type protoTypes struct {
	event, batch, value, data, consent protoreflect.MessageDescriptor
}

func compileProto(t testing.TB) protoTypes {
	t.Helper()
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: func(path string) (io.ReadCloser, error) { return schemas.FS.Open("proto/" + path) },
	})}
	files, err := c.Compile(t.Context(), "cloudevents.proto", "rescind.proto")
	if err != nil {
		t.Fatal(err)
	}
	ce, own := files[0].Messages(), files[1].Messages()
	event := ce.ByName("CloudEvent")
	return protoTypes{
		event: event, batch: ce.ByName("CloudEventBatch"), value: event.Messages().ByName("CloudEventAttributeValue"),
		data: own.ByName("Data"), consent: own.ByName("Consent"),
	}
}

// message is a protobuf message whose fields are set by name.
type message struct{ *dynamicpb.Message }

func newMessage(d protoreflect.MessageDescriptor) message { return message{dynamicpb.NewMessage(d)} }

func (m message) field(name string) protoreflect.FieldDescriptor {
	f := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	if f == nil {
		panic(string(m.Descriptor().FullName()) + " has no field " + name)
	}
	return f
}

func (m message) set(name string, v any) { m.Set(m.field(name), protoreflect.ValueOf(v)) }

// setText leaves an empty text out, as generated code does.
func (m message) setText(name, s string) {
	if s != "" {
		m.set(name, s)
	}
}

func (m message) setTexts(name string, list []string) {
	for _, s := range list {
		m.Mutable(m.field(name)).List().Append(protoreflect.ValueOf(s))
	}
}

func (m message) put(name, key string, v any) {
	m.Mutable(m.field(name)).Map().Set(protoreflect.ValueOf(key).MapKey(), protoreflect.ValueOf(v))
}

// eventMessage is ev as code made from the .proto files would send it.
func (p protoTypes) eventMessage(t rapid.TB, ev *events.Event) message {
	m := newMessage(p.event)
	m.setText("id", ev.ID)
	m.setText("source", ev.Source)
	m.setText("spec_version", "1.0")
	m.setText("type", string(ev.Type))
	at := newMessage(p.value)
	at.Set(at.field("ce_timestamp"), protoreflect.ValueOf(dynamicOf(t, at.field("ce_timestamp").Message(), timestamppb.New(ev.Time))))
	m.put("attributes", "time", at.ProtoReflect())
	for name, s := range map[string]string{"rescindenv": ev.Environment, "rescindtenant": ev.Tenant} {
		if s != "" {
			v := newMessage(p.value)
			v.set("ce_string", s)
			m.put("attributes", name, v.ProtoReflect())
		}
	}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(p.dataMessage(t, &ev.Data))
	if err != nil {
		t.Fatal(err)
	}
	packed := &anypb.Any{TypeUrl: "type.googleapis.com/dev.rescind.v1.Data", Value: value}
	m.Set(m.field("proto_data"), protoreflect.ValueOf(dynamicOf(t, m.field("proto_data").Message(), packed)))
	return m
}

// dynamicOf is m as a message of the compiled descriptor.
func dynamicOf(t rapid.TB, d protoreflect.MessageDescriptor, m proto.Message) protoreflect.Message {
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out := dynamicpb.NewMessage(d)
	if err := proto.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (p protoTypes) dataMessage(t rapid.TB, d *events.Data) message {
	m := newMessage(p.data)
	for name, s := range map[string]string{
		"tenant": d.Tenant, "iss": d.Issuer, "sub": d.Subject, "jti": d.TokenID, "sid": d.SessionID, "client_id": d.ClientID, "grant_id": d.GrantID,
		"scope": d.Scope, "kid": d.KeyID, "alg": d.Algorithm, "actor": d.Actor, "outcome": d.Outcome, "reason": d.Reason, "ticket": d.Ticket,
		"note": d.Note, "ip": d.IP, "user_agent": d.UserAgent,
	} {
		m.setText(name, s)
	}
	for name, at := range map[string]events.Timestamp{"iat": d.IssuedAt, "exp": d.Expires, "nbf": d.NotBefore, "issued_before": d.IssuedBefore, "starts": d.Starts, "not_after": d.NotAfter} {
		if at != 0 {
			m.set(name, int64(at))
		}
	}
	if d.View != 0 {
		m.set("view", d.View)
	}
	m.setTexts("aud", d.Audience)
	for k, v := range d.Attributes {
		m.put("attributes", k, v)
	}
	if d.Consent != nil {
		c := newMessage(p.consent)
		c.setText("id", d.Consent.ID)
		c.setTexts("purposes", d.Consent.Purposes)
		m.set("consent", c.ProtoReflect())
	}
	if len(d.Personal) > 0 {
		claims, err := json.Marshal(d.Personal)
		if err != nil {
			t.Fatal(err)
		}
		m.set("personal", claims)
	}
	return m
}

// TestProtobufIsThatOfTheSchema holds the .proto files, what we read and what
// we write together: random events are written by either side and read by the
// other.
func TestProtobufIsThatOfTheSchema(t *testing.T) {
	t.Parallel()
	p := compileProto(t)
	rapid.Check(t, func(t *rapid.T) {
		ev := events.DrawEvent(t)
		oracle := p.eventMessage(t, &ev)
		theirs, err := proto.Marshal(oracle)
		if err != nil {
			t.Fatal(err)
		}
		wantEvent(t, ev, events.Message{ContentType: events.ContentTypeProtobuf, Body: theirs, Type: ev.Type})
		ours, err := events.MarshalProtobuf(&ev)
		if err != nil {
			t.Fatal(err)
		}
		wantEvent(t, ev, events.Message{ContentType: events.ContentTypeProtobuf, Body: ours, Type: ev.Type})
		read := dynamicpb.NewMessage(p.event)
		if err := proto.Unmarshal(ours, read); err != nil {
			t.Fatal(err)
		}
		want, got := p.unpack(t, oracle.Message), p.unpack(t, read)
		if !proto.Equal(want, got) || !proto.Equal(oracle.Message, read) {
			t.Fatalf("we wrote\n%v\n%v\nwant\n%v\n%v", read, got, oracle, want)
		}
	})
}

// unpack takes the data out of an event.
func (p protoTypes) unpack(t rapid.TB, event *dynamicpb.Message) *dynamicpb.Message {
	m := message{event}
	packed := message{m.Mutable(m.field("proto_data")).Message().Interface().(*dynamicpb.Message)}
	data := dynamicpb.NewMessage(p.data)
	if err := proto.Unmarshal(packed.Get(packed.field("value")).Bytes(), data); err != nil {
		t.Fatal(err)
	}
	packed.Clear(packed.field("value"))
	return data
}

func wantEvent(t rapid.TB, ev events.Event, m events.Message) {
	t.Helper()
	got, err := events.Decode(m)
	if err != nil || len(got) != 1 || got[0].Refusal != nil {
		t.Fatalf("%v: %v", err, got)
	}
	if d := cmp.Diff(ev, got[0].Event, cmpopts.EquateEmpty(), events.EquateNumbers); d != "" {
		t.Fatal(d)
	}
	if got := events.ContentTypeOf(got[0].Raw); got != events.ContentTypeProtobuf {
		t.Fatalf("the raw event is %s", got)
	}
}

func TestProtobufBatchIsThatOfTheSchema(t *testing.T) {
	t.Parallel()
	p := compileProto(t)
	rapid.Check(t, func(t *rapid.T) {
		var evs []events.Event
		var each [][]byte
		for range rapid.IntRange(0, 5).Draw(t, "count") {
			ev := events.DrawEvent(t)
			b, err := events.MarshalProtobuf(&ev)
			if err != nil {
				t.Fatal(err)
			}
			evs, each = append(evs, ev), append(each, b)
		}
		whole, err := events.MarshalProtobufBatch(evs)
		if err != nil || string(whole) != string(events.AppendJoined(nil, each)) {
			t.Fatalf("%v: a batch differs from its events joined", err)
		}
		read := message{dynamicpb.NewMessage(p.batch)}
		if err := proto.Unmarshal(whole, read); err != nil || read.Get(read.field("events")).List().Len() != len(evs) {
			t.Fatalf("%v: %v", err, read)
		}
		m := events.Message{ContentType: events.ContentTypeProtobufBatch, Body: whole}
		got, err := events.Decode(m)
		if err != nil || len(got) != len(evs) {
			t.Fatalf("%d events, %v", len(got), err)
		}
		for i, part := range events.Split(m) {
			if len(evs) > 0 {
				wantEvent(t, evs[i], part)
			}
		}
	})
}

// attribute is a CloudEventAttributeValue with one field.
func (p protoTypes) attribute(field string, v any) protoreflect.Message {
	m := newMessage(p.value)
	m.set(field, v)
	return m.ProtoReflect()
}

func base() events.Event {
	return events.Event{
		ID: "e-1", Source: "https://issuer.example", Type: events.TokenIssued, Tenant: "acme", Environment: "dev", Time: start.UTC(),
		Data: events.Data{Issuer: "https://issuer.example", TokenID: "0198b7f2-8d2a", Subject: "alice@example.org"},
	}
}

func TestProtobufEventsRefused(t *testing.T) {
	t.Parallel()
	p := compileProto(t)
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln"
	for name, c := range map[string]struct {
		change func(m message)
		want   events.Reason
	}{
		"nothing wrong":          {func(message) {}, ""},
		"text_data":              {func(m message) { m.set("text_data", `{"iss":"i","jti":"j"}`) }, ""},
		"binary_data":            {func(m message) { m.set("binary_data", []byte(`{"iss":"i","jti":"j"}`)) }, ""},
		"no data":                {func(m message) { m.Clear(m.field("proto_data")) }, ""},
		"time as text":           {func(m message) { m.put("attributes", "time", p.attribute("ce_string", "2026-03-01T11:59:59Z")) }, ""},
		"an extension":           {func(m message) { m.put("attributes", "traceparent", p.attribute("ce_string", "00-0af7")) }, ""},
		"a number":               {func(m message) { m.put("attributes", "sampled", p.attribute("ce_integer", int32(1))) }, ""},
		"cut JSON":               {func(m message) { m.set("text_data", `{"iss":`) }, events.ReasonNotJSON},
		"JSON not UTF-8":         {func(m message) { m.set("binary_data", []byte("{\"iss\":\"\xff\"}")) }, events.ReasonNotProtobuf},
		"JSON array":             {func(m message) { m.set("text_data", `[]`) }, events.ReasonSchema},
		"no specversion":         {func(m message) { m.Clear(m.field("spec_version")) }, events.ReasonSchema},
		"no time":                {func(m message) { m.Mutable(m.field("attributes")).Map().Clear(protoreflect.ValueOf("time").MapKey()) }, events.ReasonMissing},
		"time a number":          {func(m message) { m.put("attributes", "time", p.attribute("ce_integer", int32(1))) }, events.ReasonSchema},
		"environment a URI":      {func(m message) { m.put("attributes", "rescindenv", p.attribute("ce_uri", "dev")) }, events.ReasonSchema},
		"no value":               {func(m message) { m.put("attributes", "rescindenv", newMessage(p.value).ProtoReflect()) }, events.ReasonSchema},
		"id among attributes":    {func(m message) { m.put("attributes", "id", p.attribute("ce_string", "other")) }, events.ReasonSchema},
		"a subject":              {func(m message) { m.put("attributes", "subject", p.attribute("ce_string", "alice")) }, events.ReasonExposed},
		"another tenant":         {func(m message) { m.put("attributes", "rescindtenant", p.attribute("ce_string", "globex")) }, events.ReasonMismatch},
		"token in an extension":  {func(m message) { m.put("attributes", "auth", p.attribute("ce_string", token)) }, events.ReasonRawToken},
		"token in bytes":         {func(m message) { m.put("attributes", "auth", p.attribute("ce_bytes", []byte(token))) }, events.ReasonRawToken},
		"health in an extension": {func(m message) { m.put("attributes", "diagnosis", p.attribute("ce_string", "flu")) }, events.ReasonHealth},
	} {
		ev := base()
		m := p.eventMessage(t, &ev)
		c.change(m)
		b, err := proto.Marshal(m)
		if err != nil {
			// dynamicpb refuses to write what is not UTF-8
			t.Fatal(name, err)
		}
		wantRefusal(t, name, b, c.want)
	}
}

func wantRefusal(t *testing.T, name string, body []byte, want events.Reason) {
	t.Helper()
	got, err := events.Decode(events.Message{ContentType: events.ContentTypeProtobuf, Body: body, Tenant: "acme", Type: events.TokenIssued})
	if err != nil || len(got) != 1 {
		t.Errorf("%s: %d events, %v", name, len(got), err)
		return
	}
	r := got[0].Refusal
	if (r == nil) != (want == "") || r != nil && r.Reason != want {
		t.Errorf("%s: %v, want %q", name, r, want)
	}
	if string(got[0].Raw) != string(body) {
		t.Errorf("%s: the raw event was not kept", name)
	}
}

// What generated code would never write.
func TestHostileProtobuf(t *testing.T) {
	t.Parallel()
	ev := base()
	good, err := events.MarshalProtobuf(&ev)
	if err != nil {
		t.Fatal(err)
	}
	data := func(fields ...byte) []byte { // an event whose data is these bytes
		e := base()
		e.Data = events.Data{}
		b, _ := events.MarshalProtobuf(&e)
		url := "type.googleapis.com/dev.rescind.v1.Data"
		packed := append([]byte{0x0a, byte(len(url))}, url...)
		packed = append(packed, 0x12, byte(len(fields)))
		packed = append(packed, fields...)
		cut := len(b) - (2 + 2 + len(url) + 2)
		return append(append(b[:cut:cut], 0x42, byte(len(packed))), packed...)
	}
	wantRefusal(t, "no data fields", data(), "")
	for name, c := range map[string]struct {
		body []byte
		want events.Reason
	}{
		"one byte cut":         {good[:len(good)-1], events.ReasonNotProtobuf},
		"a huge length":        {[]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f}, events.ReasonNotProtobuf},
		"an endless varint":    {[]byte("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), events.ReasonNotProtobuf},
		"field zero":           {[]byte{0x02, 0}, events.ReasonNotProtobuf},
		"id not UTF-8":         {append(good[:len(good):len(good)], 0x0a, 1, 0xff), events.ReasonNotProtobuf},
		"id twice":             {append(good[:len(good):len(good)], 0x0a, 1, 'x'), events.ReasonSchema},
		"data twice":           {append(good[:len(good):len(good)], 0x3a, 2, '{', '}'), events.ReasonSchema},
		"an unknown field":     {append(good[:len(good):len(good)], 0x4a, 1, 'x'), events.ReasonSchema},
		"a group":              {append(good[:len(good):len(good)], 0x4b, 0x4c), events.ReasonNotProtobuf},
		"id a number":          {append(good[:len(good):len(good)], 0x08, 1), events.ReasonSchema},
		"attribute twice":      {append(good[:len(good):len(good)], "\x2a\x0b\x0a\x04time\x12\x03\x1a\x01x"...), events.ReasonSchema},
		"extension twice":      {append(good[:len(good):len(good)], "\x2a\x08\x0a\x01a\x12\x03\x1a\x01x\x2a\x08\x0a\x01a\x12\x03\x1a\x01x"...), events.ReasonSchema},
		"a value of two":       {append(good[:len(good):len(good)], "\x2a\x0b\x0a\x01a\x12\x06\x1a\x01x\x1a\x01x"...), events.ReasonSchema},
		"attribute cut":        {append(good[:len(good):len(good)], "\x2a\x03\x0a\x04a"...), events.ReasonNotProtobuf},
		"year 10000":           {[]byte("\x0a\x01e\x12\x01s\x1a\x031.0\x22\x01t\x2a\x11\x0a\x04time\x12\x09\x3a\x07\x08\x80\x83\xea\xcb\xb0\x07"), events.ReasonSchema},
		"seconds twice":        {[]byte("\x0a\x01e\x12\x01s\x1a\x031.0\x22\x01t\x2a\x0e\x0a\x04time\x12\x06\x3a\x04\x08\x01\x08\x02"), events.ReasonSchema},
		"nanos twice":          {[]byte("\x0a\x01e\x12\x01s\x1a\x031.0\x22\x01t\x2a\x0e\x0a\x04time\x12\x06\x3a\x04\x10\x01\x10\x01"), events.ReasonSchema},
		"seconds once":         {[]byte("\x0a\x01e\x12\x01s\x1a\x031.0\x22\x01t\x2a\x0e\x0a\x04time\x12\x06\x3a\x04\x08\x01\x10\x01"), ""},
		"another message":      {append([]byte("\x0a\x01e\x1a\x031.0\x2a\x10\x0a\x04time\x12\x08\x3a\x06\x08\x80\xd8\x8e\xe8\x06"), 0x42, 3, 0x0a, 1, 'x'), events.ReasonContentType},
		"unknown in data":      {data(0xf8, 0x01, 1), events.ReasonSchema},
		"29 in data":           {data(0xe8, 0x01, 1), events.ReasonSchema},
		"sub twice":            {data(0x1a, 1, 'a', 0x1a, 1, 'b'), events.ReasonSchema},
		"iat twice":            {data(0x50, 1, 0x50, 2), events.ReasonSchema},
		"iat a text":           {data(0x52, 1, 'a'), events.ReasonSchema},
		"iat negative":         {data(0x50, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), events.ReasonSchema},
		"iss a number":         {data(0x10, 1), events.ReasonSchema},
		"sub not UTF-8":        {data(0x1a, 1, 0xff), events.ReasonNotProtobuf},
		"sub cut":              {data(0x1a, 9, 'a'), events.ReasonNotProtobuf},
		"attribute said twice": {data(0x92, 0x01, 3, 0x0a, 1, 'a', 0x92, 0x01, 3, 0x0a, 1, 'a'), events.ReasonSchema},
		"attribute of three":   {data(0x92, 0x01, 6, 0x0a, 1, 'a', 0x1a, 1, 'a'), events.ReasonSchema},
		"consent of three":     {data(0xa2, 0x01, 3, 0x1a, 1, 'a'), events.ReasonSchema},
		"consent twice":        {data(0xa2, 0x01, 3, 0x0a, 1, 'a', 0xa2, 0x01, 3, 0x0a, 1, 'a'), events.ReasonSchema},
		"personal an array":    {data(0xd2, 0x01, 2, '[', ']'), events.ReasonSchema},
		"personal cut":         {data(0xd2, 0x01, 1, '{'), events.ReasonSchema},
		"personal said twice":  {data(append([]byte{0xd2, 0x01, 13}, `{"a":1,"a":2}`...)...), events.ReasonSchema},
	} {
		wantRefusal(t, name, c.body, c.want)
	}
	for n := range good {
		got, err := events.Decode(events.Message{ContentType: events.ContentTypeProtobuf, Body: good[:n], Tenant: "acme"})
		if err != nil {
			t.Fatal(err)
		}
		// Between two fields it is a shorter event, and misses what it must have.
		if got[0].Refusal == nil && (events.Policy{RequireEnvironment: true, Environment: "dev"}).Validate(&got[0].Event, start) == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, len(good))
		}
	}
}

func TestProtobufBatchesRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body []byte
		want events.Reason
	}{
		"cut":           {[]byte{0x0a, 5, 1}, events.ReasonNotProtobuf},
		"another field": {[]byte{0x12, 1, 'x'}, events.ReasonNotProtobuf},
		"a number":      {[]byte{0x08, 1}, events.ReasonNotProtobuf},
		"JSON":          {[]byte("[]"), events.ReasonNotProtobuf},
		"too many":      {make([]byte, 0), events.ReasonTooLarge},
	} {
		for name == "too many" && len(c.body) <= 2*events.MaxMessageEvents {
			c.body = append(c.body, 0x0a, 0)
		}
		got, err := events.Decode(events.Message{ContentType: events.ContentTypeProtobufBatch, Body: c.body})
		if r, ok := err.(*events.Refusal); !ok || r.Reason != c.want || got != nil {
			t.Errorf("%s: %d events, %v; want %s", name, len(got), err, c.want)
		}
	}
}

func TestOneFaultyEventDoesNotSpoilAProtobufBatch(t *testing.T) {
	t.Parallel()
	ev := base()
	good, err := events.MarshalProtobuf(&ev)
	if err != nil {
		t.Fatal(err)
	}
	body := events.AppendJoined(nil, [][]byte{good, {0xff}, nil, good[:9], good})
	got, err := events.Decode(events.Message{ContentType: events.ContentTypeProtobufBatch, Body: body})
	if err != nil || len(got) != 5 {
		t.Fatalf("%d events, %v", len(got), err)
	}
	for i, want := range []events.Reason{"", events.ReasonNotProtobuf, events.ReasonSchema, events.ReasonNotProtobuf, ""} {
		if r := got[i].Refusal; (r == nil) != (want == "") || r != nil && r.Reason != want {
			t.Errorf("event %d: %v, want %q", i, r, want)
		}
	}
}

func TestProtobufThatMustNotBeKept(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln"
	for name, change := range map[string]func(*events.Event){
		"":         func(*events.Event) {},
		"token":    func(ev *events.Event) { ev.Data.Note = token },
		"card":     func(ev *events.Event) { ev.Data.Attributes = map[string]string{"pan": "4111 1111 1111 1111"} },
		"health":   func(ev *events.Event) { ev.Data.Attributes = map[string]string{"blood_type": "0"} },
		"in JSON":  func(ev *events.Event) { ev.Data.Personal = map[string]any{"a": []any{map[string]any{"mrn": 1}}} },
		"a number": func(ev *events.Event) { ev.Data.Personal = map[string]any{"a": 4111111111111111} },
	} {
		ev := base()
		change(&ev)
		b, err := events.MarshalProtobufBatch([]events.Event{base(), ev})
		if err != nil {
			t.Fatal(err)
		}
		one, _ := events.MarshalProtobuf(&ev)
		for _, raw := range [][]byte{b, one} {
			if r := events.Offends(raw); (r == nil) != (name == "") {
				t.Errorf("%q: %v", name, r)
			}
		}
	}
}

func TestContentTypeOfAnEvent(t *testing.T) {
	t.Parallel()
	for n := range 300 {
		ev := base()
		ev.ID = strings.Repeat("i", n)
		asProto, err := events.MarshalProtobuf(&ev)
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := events.MarshalEvent(&ev)
		if err != nil {
			t.Fatal(err)
		}
		for body, want := range map[string]string{
			string(asProto): events.ContentTypeProtobuf, string(asJSON): events.ContentTypeEvent, "\n" + string(asJSON): events.ContentTypeEvent,
			string(asProto[:len(asProto)-1]): events.ContentTypeEvent, "": events.ContentTypeEvent, "7": events.ContentTypeEvent,
		} {
			if got := events.ContentTypeOf([]byte(body)); got != want {
				t.Errorf("id of %d bytes: %s, want %s: %q", n, got, want, body)
			}
		}
	}
}

func TestSplitLeavesAloneWhatIsNoBatch(t *testing.T) {
	t.Parallel()
	for _, m := range []events.Message{
		{ContentType: events.ContentTypeEvent, Body: []byte("{}")}, {ContentType: events.ContentTypeBatch, Body: []byte("[")},
		{ContentType: events.ContentTypeBatch, Body: []byte("[]")}, {ContentType: "text/plain"}, {ContentType: events.ContentTypeProtobufBatch, Body: []byte{0xff}},
		{Header: map[string][]string{"ce-specversion": {"1.0"}}, Body: []byte("{}")},
	} {
		if d := cmp.Diff([]events.Message{m}, events.Split(m)); d != "" {
			t.Error(d)
		}
	}
	var bodies []string
	for _, m := range events.Split(events.Message{ContentType: events.ContentTypeBatch + ";charset=utf-8", Tenant: "acme", Type: events.TokenIssued, Body: []byte(` [ {"a":1} ,2, [3]]`)}) {
		bodies = append(bodies, fmt.Sprint(m.ContentType, m.Tenant, m.Type, string(m.Body)))
	}
	want := []string{}
	for _, s := range []string{`{"a":1}`, "2", "[3]"} {
		want = append(want, fmt.Sprint(events.ContentTypeEvent, "acme", events.TokenIssued, s))
	}
	if d := cmp.Diff(want, bodies); d != "" {
		t.Error(d)
	}
}

func FuzzProtobuf(f *testing.F) {
	ev := base()
	ev.Data.Attributes, ev.Data.Consent = map[string]string{"a": "b"}, &events.Consent{ID: "c", Purposes: []string{"p"}}
	ev.Data.Personal, ev.Data.Audience, ev.Data.View = map[string]any{"a": []any{1.5}}, events.Audience{"x", ""}, 7
	one, _ := events.MarshalProtobuf(&ev)
	f.Add(false, one)
	f.Add(true, events.AppendJoined(nil, [][]byte{one, {0xff}, nil, one[:9], one}))
	f.Add(false, []byte("\x0a\x01e\x1a\x031.0\x2a\x10\x0a\x04time\x12\x08\x3a\x06\x08\x80\xd8\x8e\xe8\x06\x3a\x02{}"))
	p := compileProto(f)
	policy := events.Policy{Environment: "dev"}
	f.Fuzz(func(t *testing.T, batch bool, body []byte) {
		m := events.Message{ContentType: events.ContentTypeProtobuf, Body: body, Tenant: "acme"}
		if batch {
			m.ContentType = events.ContentTypeProtobufBatch
		}
		got, err := events.Decode(m)
		if r, ok := err.(*events.Refusal); err != nil && (!ok || got != nil || r.Reason == "") {
			t.Fatalf("%d events, %v", len(got), err)
		}
		for _, d := range got {
			events.CheckDecoded(t, policy, d)
			if d.Refusal != nil {
				continue
			}
			// Whatever is accepted, the oracle reads too.
			if err := proto.Unmarshal(d.Raw, dynamicpb.NewMessage(p.event)); err != nil {
				t.Fatalf("accepted what is no CloudEvent: %v", err)
			}
			again, err := events.MarshalProtobuf(&d.Event)
			if err != nil {
				t.Fatal(err)
			}
			if d.Event.Time.After(time.Unix(0, 0)) {
				wantEvent(t, d.Event, events.Message{ContentType: events.ContentTypeProtobuf, Body: again})
			}
		}
	})
}

// Whatever a field takes for its length: it is not known when it is begun.
func TestFieldsOfEveryLengthComeBack(t *testing.T) {
	t.Parallel()
	for _, around := range []int{0, 64, 128, 128 * 128} {
		for n := max(1, around-40); n < around+40; n++ {
			text := strings.Repeat("x", n)
			ev := workloadEvents()[0]
			ev.Environment, ev.Tenant = text, ""
			ev.Data.Attributes, ev.Data.Consent = map[string]string{"a": text, "b": ""}, &events.Consent{ID: text}
			raw, err := events.MarshalProtobuf(&ev)
			if err != nil {
				t.Fatal(err)
			}
			got, err := events.Decode(events.Message{ContentType: events.ContentTypeProtobuf, Body: raw})
			if err != nil || got[0].Refusal != nil {
				t.Fatalf("%d bytes: %v, %v", n, err, got[0].Refusal)
			}
			e := got[0].Event
			if e.Environment != text || e.Data.Consent.ID != text || e.Data.Attributes["a"] != text || len(e.Data.Attributes) != 2 || e.Data.UserAgent != ev.Data.UserAgent {
				t.Fatalf("%d bytes: came back as something else", n)
			}
		}
	}
}
