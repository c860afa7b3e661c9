package events

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// saysTwice reports whether an object in raw, which is JSON, has two members of
// one name: by the token reader of encoding/json.
func saysTwice(raw []byte) bool {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	twice := false
	var value func(t json.Token)
	next := func() json.Token {
		t, err := d.Token()
		if err != nil {
			panic(err)
		}
		return t
	}
	value = func(t json.Token) {
		switch t {
		case json.Delim('{'):
			names := map[string]bool{}
			for d.More() {
				name := next().(string)
				twice = twice || names[name]
				names[name] = true
				value(next())
			}
			next()
		case json.Delim('['):
			for d.More() {
				value(next())
			}
			next()
		}
	}
	value(next())
	return twice
}

// readsLikeOracle asks that raw is JSON for us if it is for encoding/json, and
// the same value.
func readsLikeOracle(t testing.TB, raw []byte) {
	t.Helper()
	valid := json.Valid(raw)
	skipped := jsonReader{b: raw}
	skipped.skip()
	if err := skipped.end(); (err == nil) != valid {
		t.Fatalf("%q: JSON is %t, we say %v", raw, valid, err)
	}
	in := jsonReader{b: raw}
	got, twice := in.value()
	if err := in.end(); (err == nil) != valid {
		t.Fatalf("%q: JSON is %t, we read it with %v", raw, valid, err)
	}
	if !valid {
		return
	}
	if twice != saysTwice(raw) {
		t.Fatalf("%q: two members of one name: we say %t", raw, twice)
	}
	var want any
	if err := oldUnmarshalExact(raw, &want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(oldExact(want), got); d != "" && !twice && utf8.Valid(raw) { // who reads asks that first
		t.Fatalf("%q: %s", raw, d)
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		issued, "", "null", " [ 1 , -0 , 0.5e+3 , true , {} ] ", `{"a":{"b":[]},"a":1}`, `"\ud83d\ude00 \ud800 \udc00\ud83d \u0041\"\\\/\b\f\n\r\t"`,
		"\"a\x00b\"", "01", "1.", "-", "1e", "[1,]", "{,}", `{"a"}`, `{"a":}`, "nul", "\"\xff\"", "[[[[[[]]]]]]", "\x00", `"\u12"`, `"\x"`, "[1\x00]",
		"18446744073709551615", "9223372036854775808", "1e400", "123456789.123456789012345678", "\"12345678\x1f\"", `"1234567\\12345678"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { readsLikeOracle(t, raw) })
}

func TestJSONAsDeepAsTheOracleGoes(t *testing.T) {
	t.Parallel()
	for _, open := range []string{"[", `{"a":`} {
		shut := map[string]string{"[": "]", `{"a":`: "}"}[open]
		for _, n := range []int{maxJSONDepth, maxJSONDepth + 1} {
			raw := strings.Repeat(open, n) + "1" + strings.Repeat(shut, n)
			r := jsonReader{b: []byte(raw)}
			r.skip()
			if err := r.end(); (err == nil) != json.Valid([]byte(raw)) {
				t.Errorf("%d times %s: %v", n, open, err)
			}
		}
	}
}

// decodesLikeOracle asks that a message gives the events that it gave when it
// was read by encoding/json, but for members that are said twice.
func decodesLikeOracle(t rapid.TB, m Message) {
	t.Helper()
	got, err := Decode(m)
	old := oldMessage{m}
	want, oldErr := old.decodeBatch()
	if m.ContentType != ContentTypeBatch {
		want, oldErr = []Decoded{old.decodeOne(m.Body)}, nil
	}
	if reasonOf(err) != reasonOf(oldErr) || len(got) != len(want) {
		t.Fatalf("%d events, %v; the oracle has %d, %v", len(got), err, len(want), oldErr)
	}
	for i := range got {
		sameDecoded(t, want[i], got[i])
	}
}

func reasonOf(err error) Reason {
	if r, ok := err.(*Refusal); ok && r != nil {
		return r.Reason
	}
	return ""
}

func sameDecoded(t rapid.TB, want, got Decoded) {
	t.Helper()
	if !bytes.Equal(want.Raw, got.Raw) {
		t.Fatalf("raw is %q, want %q", got.Raw, want.Raw)
	}
	if json.Valid(got.Raw) && saysTwice(got.Raw) {
		if got.Refusal == nil {
			t.Fatalf("%s: accepted", got.Raw)
		}
		return
	}
	if (want.Refusal == nil) != (got.Refusal == nil) || got.Refusal != nil && got.Refusal.Reason != want.Refusal.Reason {
		t.Fatalf("%s: %v, the oracle says %v", got.Raw, got.Refusal, want.Refusal)
	}
	if got.Refusal != nil {
		got.Refusal.Detail, want.Refusal.Detail = "", ""
		want.Event.Data, got.Event.Data = Data{}, Data{} // as far as they were read
		want.Event.Tenant, got.Event.Tenant = "", ""
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("%s: %s", got.Raw, d)
	}
}

func FuzzDecodeLikeOracle(f *testing.F) {
	f.Add(false, issued)
	f.Add(true, "["+issued+`,{},null,1,{"id":"a","id":"b"}]`)
	f.Add(true, "[")
	f.Add(false, strings.Replace(issued, `"aud":"api"`, `"aud":["a"],"Sub":1e400,"personal":{"a":[[[{}]]]},"consent":"c"`, 1))
	f.Add(false, strings.Replace(issued, `"aud":"api"`, `"consent":{"id":"c","purposes":["p"]},"attributes":{"a":null,"b":"c"},"view":7,"iat":1.5`, 1))
	f.Add(false, strings.Replace(issued, `"id"`, `"traceparent":"00-0af7","x":{"pan":[1]},"id"`, 1))
	f.Add(false, strings.Replace(issued, "alice", `\ud83d\ude00\ud800`, 1))
	f.Fuzz(func(t *testing.T, batch bool, body string) {
		m := Message{ContentType: ContentTypeEvent, Body: []byte(body), Tenant: "acme"}
		if batch {
			m.ContentType = ContentTypeBatch
		}
		decodesLikeOracle(t, m)
	})
}

// odd are values that some member takes and others do not.
var odd = []string{
	"null", `""`, `"x"`, "0", "1", "-1", "1.5", "1e3", "18446744073709551615", "18446744073709551616", "253402300800", "12345678901", "true", "{}", "[]",
	`["a"]`, `["a",null]`, `[1]`, `{"a":"b"}`, `{"a":null}`, `{"a":1}`, `{"id":"c"}`, `{"id":null,"purposes":null}`, `{"id":"c","purposes":["p"]}`,
	`{"purposes":[1]}`, `{"ID":"c"}`, `"\u0061"`, `{"a":{"b":[1,{"c":null}]}}`, "acme", `"acme"`, `"1.0"`, `"2026-03-01T11:59:59Z"`,
}

func TestDecodesLikeTheOracle(t *testing.T) {
	t.Parallel()
	names := append(memberNames[:], "Sub", "email", "ſub", "", "a\\u0062")
	attributes := append(envelopeNames[:], "data", "ID", "traceparent", "diagnosis")
	rapid.Check(t, func(t *rapid.T) {
		body := issued
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			where, name := `"data":{`, rapid.SampledFrom(names).Draw(t, "member")
			if rapid.Bool().Draw(t, "outside") {
				where, name = `{`, rapid.SampledFrom(attributes).Draw(t, "attribute")
			}
			value := rapid.SampledFrom(odd).Draw(t, "value")
			body = strings.Replace(body, `"`+name+`":`, `"was `+name+`":`, 1)
			body = strings.Replace(body, where, where+`"`+name+`":`+value+`,`, 1)
		}
		decodesLikeOracle(t, Message{ContentType: ContentTypeEvent, Body: []byte(body), Tenant: "acme"})
	})
}

func TestMembersSaidTwiceAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"attribute":            {`"id"`, `"id":"other","id"`},
		"data":                 {`"data"`, `"data":{},"data"`},
		"extension":            {`"id"`, `"x":1,"x":2,"id"`},
		"inside an extension":  {`"id"`, `"x":[{"a":1,"a":2}],"id"`},
		"member":               {`"sub"`, `"sub":"bob","sub"`},
		"member, null":         {`"sub"`, `"sub":null,"sub"`},
		"unknown member":       {`"sub"`, `"email":"a","email":"b","sub"`},
		"inside one":           {`"sub"`, `"email":{"a":1,"a":1},"sub"`},
		"personal claim":       {`"sub"`, `"personal":{"a":1,"a":2},"sub"`},
		"inside a claim":       {`"sub"`, `"personal":{"a":[{"b":1,"b":2}]},"sub"`},
		"data attribute":       {`"sub"`, `"attributes":{"a":"1","a":"2"},"sub"`},
		"consent":              {`"sub"`, `"consent":{"id":"a","id":"b"},"sub"`},
		"purposes":             {`"sub"`, `"consent":{"id":"a","purposes":[],"purposes":[]},"sub"`},
		"by an escape":         {`"sub"`, `"s\u0075b":"bob","sub"`},
		"tenant, both in data": {`"sub"`, `"tenant":"acme","tenant":"acme","sub"`},
	} {
		body := strings.Replace(issued, change[0], change[1], 1)
		got, err := Decode(Message{Body: []byte(body), Tenant: "acme"})
		if err != nil || got[0].Refusal == nil || got[0].Refusal.Reason != ReasonSchema {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// The members that are read are those of Data, each into its own.
func TestMembersAreThoseOfData(t *testing.T) {
	t.Parallel()
	i := 0
	for f := range reflect.TypeFor[Data]().Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); !strings.Contains(" "+strings.Join(memberNames[:], " ")+" ", " "+name+" ") {
			t.Errorf("%s is not read", name)
		}
		i++
	}
	if i != len(memberNames) {
		t.Errorf("%d members are read, Data has %d", len(memberNames), i)
	}
}
