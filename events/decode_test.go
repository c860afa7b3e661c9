package events

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// now is the intake's clock in these tests.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const issued = `{"specversion":"1.0","id":"e-1","source":"https://issuer.example","type":"dev.rescind.token.issued.v1",` +
	`"time":"2026-03-01T11:59:59.123456789Z","rescindenv":"dev","datacontenttype":"application/json",` +
	`"data":{"iss":"https://issuer.example","sub":"alice@example.org","jti":"0198b7f2-8d2a","iat":1772366399.5,"aud":"api"}}`

// wantIssued is the event that every mode of issued must give.
func wantIssued() Event {
	return Event{
		ID: "e-1", Source: "https://issuer.example", Type: TokenIssued, Tenant: "acme", Environment: "dev",
		Time: time.Date(2026, 3, 1, 11, 59, 59, 123456000, time.UTC),
		Data: Data{
			Issuer: "https://issuer.example", Subject: "alice@example.org", TokenID: "0198b7f2-8d2a",
			IssuedAt: 1772366399500, Audience: Audience{"api"},
		},
	}
}

// binaryHeader is the binary mode of issued.
func binaryHeader() map[string][]string {
	return map[string][]string{
		"ce-specversion": {"1.0"}, "CE-ID": {"e-1"}, "Ce-Source": {"https://issuer.example"}, "ce-type": {string(TokenIssued)},
		"ce-time": {"2026-03-01T11:59:59.123456789Z"}, "ce-rescindenv": {"dev"}, "Nats-Msg-Id": {"x"},
	}
}

func dataOf(event string) string {
	var e struct{ Data json.RawMessage }
	if err := json.Unmarshal([]byte(event), &e); err != nil {
		panic(err)
	}
	return string(e.Data)
}

func TestEveryModeGivesTheSameEvent(t *testing.T) {
	t.Parallel()
	inData := strings.Replace(issued, `"data":{`, `"data":{"tenant":"acme",`, 1)
	for name, m := range map[string]Message{
		"structured":                {ContentType: ContentTypeEvent, Body: []byte(issued), Tenant: "acme", Type: TokenIssued},
		"structured with parameter": {ContentType: ContentTypeEvent + "; charset=utf-8", Body: []byte(issued), Tenant: "acme"},
		"application/json":          {ContentType: "application/json", Body: []byte(issued), Tenant: "acme"},
		"no content type":           {Body: []byte(issued), Tenant: "acme", Type: TokenIssued},
		"batch":                     {ContentType: ContentTypeBatch, Body: []byte("[" + issued + "]"), Tenant: "acme"},
		"binary":                    {ContentType: "application/json", Header: binaryHeader(), Body: []byte(dataOf(issued)), Tenant: "acme"},
		"binary, no content type":   {Header: binaryHeader(), Body: []byte(dataOf(issued)), Tenant: "acme"},
		"tenant as attribute":       {Body: []byte(strings.Replace(issued, `{`, `{"rescindtenant":"acme",`, 1))},
		"tenant said twice":         {Body: []byte(strings.Replace(issued, `{`, `{"rescindtenant":"acme",`, 1)), Tenant: "acme"},
		"nulls":                     {Body: []byte(strings.NewReplacer(`"data":{`, `"subject":null,"data":{"sid":null,"exp":null,"consent":null,"view":null,`).Replace(issued)), Tenant: "acme"},
	} {
		got, err := Decode(m)
		if err != nil || len(got) != 1 || got[0].Refusal != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		if d := cmp.Diff(wantIssued(), got[0].Event); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	got, _ := Decode(Message{Body: []byte(inData)})
	if got[0].Refusal != nil || got[0].Event.Tenant != "acme" {
		t.Errorf("tenant in data: %+v", got[0])
	}
}

func TestBinaryAttributesArePercentDecoded(t *testing.T) {
	t.Parallel()
	h := binaryHeader()
	h["CE-ID"] = []string{"a%20b%25%C3%A9"}
	got, _ := Decode(Message{Header: h, Tenant: "acme"}) // and a body may be empty
	if got[0].Refusal != nil || got[0].Event.ID != "a b%é" {
		t.Errorf("%+v", got[0])
	}
	h["CE-ID"] = []string{"100%"}
	got, _ = Decode(Message{Header: h, Tenant: "acme"})
	if got[0].Event.ID != "100%" {
		t.Errorf("id %q", got[0].Event.ID)
	}
}

func TestHeadersThatDifferInCaseAreReadTheSameEveryTime(t *testing.T) {
	t.Parallel()
	h := binaryHeader()
	h["ce-id"], h["cE-id"] = []string{"two"}, []string{"three"}
	for range 50 {
		got, _ := Decode(Message{Header: h, Tenant: "acme"})
		if got[0].Event.ID != "e-1" {
			t.Fatalf("id %q", got[0].Event.ID)
		}
	}
}

func TestMessagesRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		m    Message
		want Reason
	}{
		"one byte too many":  {Message{Body: make([]byte, MaxMessageBytes+1)}, ReasonTooLarge},
		"text":               {Message{ContentType: "text/plain", Body: []byte("x")}, ReasonContentType},
		"avro":               {Message{ContentType: "application/cloudevents+avro"}, ReasonContentType},
		"no media type":      {Message{ContentType: ";;"}, ReasonContentType},
		"batch: object":      {Message{ContentType: ContentTypeBatch, Body: []byte(issued)}, ReasonNotJSON},
		"batch: null":        {Message{ContentType: ContentTypeBatch, Body: []byte("null")}, ReasonNotJSON},
		"batch: empty body":  {Message{ContentType: ContentTypeBatch}, ReasonNotJSON},
		"batch: cut":         {Message{ContentType: ContentTypeBatch, Body: []byte("[" + issued)}, ReasonNotJSON},
		"batch: two of them": {Message{ContentType: ContentTypeBatch, Body: []byte("[][]")}, ReasonNotJSON},
		"batch: too many":    {Message{ContentType: ContentTypeBatch, Body: []byte("[" + strings.Repeat("0,", MaxMessageEvents) + "0]")}, ReasonTooLarge},
		"batch: dense":       {Message{ContentType: ContentTypeBatch, Body: []byte("[" + strings.Repeat("{},", 99) + "{}]")}, ReasonTooLarge},
		"protobuf: dense":    {Message{ContentType: ContentTypeProtobufBatch, Body: []byte(strings.Repeat("\x0a\x00", 100))}, ReasonTooLarge},
	} {
		got, err := Decode(c.m)
		var r *Refusal
		if !errors.As(err, &r) || r.Reason != c.want || got != nil {
			t.Errorf("%s: %d events, %v; want %s", name, len(got), err, c.want)
		}
	}
	if got, err := Decode(Message{ContentType: ContentTypeBatch, Body: []byte(" [ ] ")}); err != nil || len(got) != 0 {
		t.Errorf("an empty batch: %v, %v", got, err)
	}
}

func TestEventsRefusedOnDecoding(t *testing.T) {
	t.Parallel()
	replace := func(pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(issued, pairs[i]) {
				panic(pairs[i])
			}
		}
		return strings.NewReplacer(pairs...).Replace(issued)
	}
	for name, c := range map[string]struct {
		body string
		want Reason
	}{
		"nothing":                {"", ReasonNotJSON},
		"text":                   {"hello", ReasonNotJSON},
		"cut":                    {issued[:len(issued)-1], ReasonNotJSON},
		"array":                  {"[" + issued + "]", ReasonNotJSON},
		"number":                 {"1", ReasonNotJSON},
		"two of them":            {issued + issued, ReasonNotJSON},
		"not UTF-8":              {replace("alice", "ali\xffce"), ReasonNotJSON},
		"not UTF-8 in a name":    {replace(`"sub"`, "\"s\xc3ub\""), ReasonNotJSON},
		"null":                   {"null", ReasonSchema},
		"empty object":           {"{}", ReasonSchema},
		"no specversion":         {replace(`"specversion":"1.0",`, ""), ReasonSchema},
		"other specversion":      {replace(`"1.0"`, `"0.3"`), ReasonSchema},
		"specversion a number":   {replace(`"1.0"`, `1.0`), ReasonSchema},
		"id a number":            {replace(`"e-1"`, `1`), ReasonSchema},
		"source an object":       {replace(`"source":"https://issuer.example"`, `"source":{}`), ReasonSchema},
		"name in another case":   {replace(`"specversion"`, `"SpecVersion"`), ReasonSchema},
		"no time":                {replace(`"time":"2026-03-01T11:59:59.123456789Z",`, ""), ReasonMissing},
		"time of another format": {replace("2026-03-01T11:59:59.123456789Z", "2026-03-01 11:59:59"), ReasonSchema},
		"time without zone":      {replace("59.123456789Z", "59"), ReasonSchema},
		"time with comma":        {replace("59.123456789Z", "59,1Z"), ReasonSchema},
		"hour of one digit":      {replace("T11:", "T1:"), ReasonSchema},
		"offset of 25 hours":     {replace("59.123456789Z", "59+25:00"), ReasonSchema},
		"time a number":          {replace(`"2026-03-01T11:59:59.123456789Z"`, "1772366399"), ReasonSchema},
		"a subject":              {replace(`"id"`, `"subject":"alice","id"`), ReasonExposed},
		"data_base64":            {replace(`"id"`, `"data_base64":"e30=","id"`), ReasonContentType},
		"data a string":          {replace(`"data":{`, `"x":{`, `}}`, `},"data":"{}"}`), ReasonSchema},
		"data an array":          {replace(`"data":{`, `"x":{`, `}}`, `},"data":[]}`), ReasonSchema},
		"sub a number":           {replace(`"alice@example.org"`, "17"), ReasonSchema},
		"jti an array":           {replace(`"0198b7f2-8d2a"`, `["a"]`), ReasonSchema},
		"iat a string":           {replace("1772366399.5", `"1772366399"`), ReasonSchema},
		"iat in milliseconds":    {replace("1772366399.5", "1772366399500"), ReasonSchema},
		"iat negative":           {replace("1772366399.5", "-1"), ReasonSchema},
		"iat beyond floats":      {replace("1772366399.5", "1e999"), ReasonSchema},
		"aud a number":           {replace(`"aud":"api"`, `"aud":1`), ReasonSchema},
		"aud of a number":        {replace(`"aud":"api"`, `"aud":[1]`), ReasonSchema},
		"attributes a list":      {replace(`"aud":"api"`, `"attributes":["a"]`), ReasonSchema},
		"attribute a number":     {replace(`"aud":"api"`, `"attributes":{"a":1}`), ReasonSchema},
		"attribute nested":       {replace(`"aud":"api"`, `"attributes":{"a":{"b":"c"}}`), ReasonSchema},
		"personal a string":      {replace(`"aud":"api"`, `"personal":"x"`), ReasonSchema},
		"consent a number":       {replace(`"aud":"api"`, `"consent":1`), ReasonSchema},
		"consent of more":        {replace(`"aud":"api"`, `"consent":{"id":"c","more":1}`), ReasonSchema},
		"view negative":          {replace(`"aud":"api"`, `"view":-1`), ReasonSchema},
		"view beyond 64 bits":    {replace(`"aud":"api"`, `"view":18446744073709551616`), ReasonSchema},
		"a claim said twice":     {replace(`"aud":"api"`, `"email":"a","personal":{"email":"b"}`), ReasonSchema},
		"another tenant":         {replace(`"id"`, `"rescindtenant":"globex","id"`), ReasonMismatch},
		"another tenant in data": {replace(`"aud":"api"`, `"tenant":"globex"`), ReasonMismatch},
		"another type":           {replace("token.issued", "token.revoked"), ReasonMismatch},
		"token in an extension":  {replace(`"id"`, `"authorization":"Bearer `+rawJWT+`","id"`), ReasonRawToken},
		"health in an extension": {replace(`"id"`, `"diagnosis":"flu","id"`), ReasonHealth},
		"card in an extension":   {replace(`"id"`, `"order":{"pan":4111111111111111},"id"`), ReasonCardNumber},
	} {
		got, err := Decode(Message{Body: []byte(c.body), Tenant: "acme", Type: TokenIssued})
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %d events, %v", name, len(got), err)
			continue
		}
		r := got[0].Refusal
		if r == nil || r.Reason != c.want {
			t.Errorf("%s: %v, want %s", name, r, c.want)
			continue
		}
		if string(got[0].Raw) != c.body {
			t.Errorf("%s: the raw event was not kept", name)
		}
		for _, value := range []string{"alice", "0198b7f2", "17723", "globex", "eyJ", "4111"} {
			if strings.Contains(r.Detail, value) {
				t.Errorf("%s: the refusal repeats a value: %s", name, r.Detail)
			}
		}
	}
}

func TestBinaryRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(h map[string][]string)
		body   string
		want   Reason
	}{
		"body is not JSON":       {func(map[string][]string) {}, "{", ReasonNotJSON},
		"body is not UTF-8":      {func(map[string][]string) {}, "{\"sub\":\"\xff\"}", ReasonNotJSON},
		"no time":                {func(h map[string][]string) { delete(h, "ce-time") }, "{}", ReasonMissing},
		"a subject":              {func(h map[string][]string) { h["ce-subject"] = []string{"alice"} }, "{}", ReasonExposed},
		"another tenant":         {func(h map[string][]string) { h["ce-rescindtenant"] = []string{"globex"} }, "{}", ReasonMismatch},
		"token in an extension":  {func(h map[string][]string) { h["Ce-Auth"] = []string{"x", rawJWT} }, "{}", ReasonRawToken},
		"escaped token":          {func(h map[string][]string) { h["ce-auth"] = []string{strings.ReplaceAll(rawJWT, ".", "%2E")} }, "{}", ReasonRawToken},
		"health in an extension": {func(h map[string][]string) { h["ce-diagnosis"] = []string{"flu"} }, "{}", ReasonHealth},
	} {
		h := binaryHeader()
		c.change(h)
		got, err := Decode(Message{Header: h, Body: []byte(c.body), Tenant: "acme"})
		if err != nil || len(got) != 1 || got[0].Refusal == nil || got[0].Refusal.Reason != c.want {
			t.Errorf("%s: %+v, %v; want %s", name, got, err, c.want)
		}
	}
}

func TestOneFaultyEventDoesNotSpoilABatch(t *testing.T) {
	t.Parallel()
	body := "[" + issued + `,{"id":"bad","source":"s"},17,` + issued + "]"
	got, err := Decode(Message{ContentType: ContentTypeBatch, Body: []byte(body), Tenant: "acme"})
	if err != nil || len(got) != 4 {
		t.Fatalf("%d events, %v", len(got), err)
	}
	for _, i := range []int{0, 3} {
		if d := cmp.Diff(wantIssued(), got[i].Event); got[i].Refusal != nil || d != "" {
			t.Errorf("event %d: %v\n%s", i, got[i].Refusal, d)
		}
	}
	want := []*Refusal{{ID: "bad", Source: "s", Reason: ReasonSchema}, {Reason: ReasonNotJSON}}
	if d := cmp.Diff(want, []*Refusal{got[1].Refusal, got[2].Refusal}, cmpopts.IgnoreFields(Refusal{}, "Detail")); d != "" {
		t.Error(d)
	}
}

func TestUnknownMembersArePersonal(t *testing.T) {
	t.Parallel()
	body := strings.Replace(issued, `"aud":"api"`, `"email":"a@b","Sub":"bob","ſub":"carol","address":{"zip":["1",2]},"personal":{"phone":null}`, 1)
	got, _ := Decode(Message{Body: []byte(body), Tenant: "acme"})
	if got[0].Refusal != nil {
		t.Fatal(got[0].Refusal)
	}
	d := got[0].Event.Data
	want := map[string]any{
		"email": "a@b", "Sub": "bob", "ſub": "carol", "phone": nil,
		"address": map[string]any{"zip": []any{"1", int64(2)}},
	}
	if diff := cmp.Diff(want, d.Personal); diff != "" || d.Subject != "alice@example.org" {
		t.Errorf("sub %q, %s", d.Subject, diff)
	}
}

func TestNumbersInPersonalStayWhatTheyWere(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]any{
		"0": int64(0), "-7": int64(-7), "9007199254740993": int64(9007199254740993), "18446744073709551615": uint64(18446744073709551615),
		"18446744073709551616": "18446744073709551616", "0.1": 0.1, "-2.50": -2.5, "1e3": 1000.0, "0.30000000000000004": 0.30000000000000004,
		"3.14159265358979323846": "3.14159265358979323846", "1e400": "1e400", "1e-400": "1e-400", "4.9e-324": "4.9e-324", "5e-324": 5e-324,
		"100000000000000000000": 1e20, "0e7": 0.0,
	} {
		body := strings.Replace(issued, `"aud":"api"`, `"x":`+in+`,"personal":{"y":[`+in+`]}`, 1)
		got, _ := Decode(Message{Body: []byte(body), Tenant: "acme"})
		if got[0].Refusal != nil {
			t.Errorf("%s: %v", in, got[0].Refusal)
			continue
		}
		if d := cmp.Diff(map[string]any{"x": want, "y": []any{want}}, got[0].Event.Data.Personal); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
}

func TestConsentAndAudienceHaveTwoForms(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Data{
		`"aud":["a","b"]`: {Audience: Audience{"a", "b"}},
		`"aud":null`:      {},
		`"consent":"c-1"`: {Consent: &Consent{ID: "c-1"}},
		`"consent":{"id":"c-1","purposes":["p"]}`: {Consent: &Consent{ID: "c-1", Purposes: []string{"p"}}},
	} {
		d, r := decodeData(json.RawMessage("{" + in + "}"))
		if diff := cmp.Diff(want, d, cmpopts.EquateEmpty()); r != nil || diff != "" {
			t.Errorf("%s: %v\n%s", in, r, diff)
		}
	}
}

func TestCanonicalTellsContentAndNothingElse(t *testing.T) {
	t.Parallel()
	canonical := func(body string, m Message) string {
		m.Body, m.Tenant = []byte(body), "acme"
		got, err := Decode(m)
		if err != nil || got[0].Refusal != nil {
			t.Fatalf("%v, %v", err, got)
		}
		b, err := got[0].Event.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	one := canonical(issued, Message{})
	for name, same := range map[string]string{
		"binary":         canonical(dataOf(issued), Message{Header: binaryHeader()}),
		"white space":    canonical(strings.ReplaceAll(issued, ",", " ,\n"), Message{}),
		"escapes":        canonical(strings.ReplaceAll(issued, "alice", `\u0061lice`), Message{}),
		"no environment": canonical(strings.ReplaceAll(issued, `"rescindenv":"dev",`, ""), Message{}),
		"tenant in data": canonical(strings.ReplaceAll(issued, `"data":{`, `"data":{"tenant":"acme",`), Message{}),
		"nanoseconds":    canonical(strings.ReplaceAll(issued, "123456789Z", "123456000Z"), Message{}),
		"another zone":   canonical(strings.ReplaceAll(issued, "T11:59:59.123456789Z", "T12:59:59.123456789+01:00"), Message{}),
	} {
		if same != one {
			t.Errorf("%s: %s\nwant %s", name, same, one)
		}
	}
	for name, other := range map[string]string{
		"sub":  canonical(strings.ReplaceAll(issued, "alice", "alicf"), Message{}),
		"iat":  canonical(strings.ReplaceAll(issued, "399.5", "399.501"), Message{}),
		"time": canonical(strings.ReplaceAll(issued, "123456789Z", "123457Z"), Message{}),
		"more": canonical(strings.ReplaceAll(issued, `"aud"`, `"x":1,"aud"`), Message{}),
	} {
		if other == one {
			t.Errorf("%s: another content has the same canonical form", name)
		}
	}
}

// TestABatchHoldsAsManyOfTheLeastEventsAsFit: what bounds the events of a batch by its
// bytes refuses none that are valid.
func TestABatchHoldsAsManyOfTheLeastEventsAsFit(t *testing.T) {
	t.Parallel()
	for _, typ := range Types() {
		ev := Event{ID: "a", Source: "b", Type: typ, Time: time.Unix(1, 0).UTC()}
		for _, name := range Required(typ) {
			ev.Data.fill(name)
		}
		evs := slices.Repeat([]Event{ev}, 1000)
		for contentType, marshal := range map[string]func([]Event) ([]byte, error){ContentTypeBatch: MarshalEvents, ContentTypeProtobufBatch: MarshalProtobufBatch} {
			body, err := marshal(evs)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Decode(Message{ContentType: contentType, Body: body, Tenant: "acme"}); err != nil || len(got) != len(evs) {
				t.Errorf("%s, %s: %d bytes each: %d events, %v", typ, contentType, len(body)/len(evs), len(got), err)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("", "", issued)
	f.Add(ContentTypeBatch, "", "["+issued+",{},null,1]")
	f.Add("application/json", "1.0", dataOf(issued))
	f.Add(ContentTypeEvent, "", strings.Replace(issued, `"aud":"api"`, `"aud":["a"],"Sub":1e400,"personal":{"a":[[[{}]]]},"consent":"c"`, 1))
	f.Add(ContentTypeEvent, "", strings.Replace(issued, "alice", rawJWT, 1))
	policy := Policy{Environment: "dev"}
	f.Fuzz(func(t *testing.T, contentType, specversion, body string) {
		m := Message{ContentType: contentType, Body: []byte(body), Tenant: "acme"}
		if specversion != "" {
			m.Header = binaryHeader()
			m.Header["ce-specversion"] = []string{specversion}
		}
		got, err := Decode(m)
		var r *Refusal
		if err != nil && (!errors.As(err, &r) || got != nil) {
			t.Fatalf("%d events, %v", len(got), err)
		}
		again, _ := Decode(m)
		if d := cmp.Diff(got, again); d != "" {
			t.Fatalf("decoding twice: %s", d)
		}
		for _, d := range got {
			checkDecoded(t, policy, d)
		}
	})
}

// checkDecoded holds what must be true of every event that was decoded.
func checkDecoded(t *testing.T, policy Policy, d Decoded) {
	t.Helper()
	r := d.Refusal
	if r == nil {
		r = policy.Validate(&d.Event, now)
	}
	if r != nil {
		if len(r.Detail) > maxDetail || len(r.ID) > 128 || strings.ContainsAny(r.Detail, "\n\r\x1b\x00") {
			t.Fatalf("refusal of %d bytes: %q", len(r.Detail), r.Detail)
		}
		return
	}
	if again := Offends(d.Raw); again != nil {
		t.Fatalf("accepted an event whose JSON offends: %v", again)
	}
	checkAccepted(t, &d.Event)
}

// checkAccepted holds what must be true of every event that is accepted: it
// can be logged, sealed and published again.
func checkAccepted(t *testing.T, ev *Event) {
	t.Helper()
	rec := NewRecord(ev, "dev", now)
	b, err := rec.Marshal()
	if err != nil || len(b) >= 64<<10 {
		t.Fatalf("record of %d bytes, %v", len(b), err)
	}
	back, err := UnmarshalRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(rec, back, cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("record: %s", d)
	}
	if p, ok := ev.Data.PersonalPart(); ok {
		checkPersonalPart(t, p)
	}
	published, err := MarshalEvent(ev)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(Message{Body: published, Tenant: ev.Tenant})
	if err != nil || got[0].Refusal != nil {
		t.Fatalf("published again: %v, %v", err, got)
	}
	one, _ := ev.Canonical()
	two, _ := got[0].Event.Canonical()
	if string(one) != string(two) {
		t.Fatalf("published again it is another event:\n%s\n%s", one, two)
	}
}

func checkPersonalPart(t *testing.T, p Personal) {
	t.Helper()
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := UnmarshalPersonal(b)
	if err != nil {
		t.Fatalf("the personal part cannot be read back: %v", err)
	}
	was, _ := json.Marshal(p)
	is, _ := json.Marshal(back)
	if string(was) != string(is) {
		t.Fatalf("the personal part changed:\n%s\n%s", was, is)
	}
}

func BenchmarkDecodeAndValidate(b *testing.B) {
	batch := []byte("[" + strings.Repeat(issued+",", 99) + issued + "]")
	policy := Policy{Environment: "dev"}
	b.ReportAllocs()
	for b.Loop() {
		got, err := Decode(Message{ContentType: ContentTypeBatch, Body: batch, Tenant: "acme", Type: TokenIssued})
		if err != nil {
			b.Fatal(err)
		}
		for _, d := range got {
			if r := policy.Validate(&d.Event, now); r != nil {
				b.Fatal(r)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/event")
}
