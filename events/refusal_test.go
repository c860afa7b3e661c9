package events

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// sized is one field of a protobuf message that has a length.
func sized(num protowire.Number, content string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), content))
}

// repeating is messages that are refused for something that is called or says v,
// which stands where a detail could repeat it.
func repeating(t *testing.T, v string) map[string]Message {
	t.Helper()
	quoted, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	q := string(quoted)
	with := func(old, new string) Message {
		return Message{Body: []byte(strings.Replace(issued, old, new, 1)), Tenant: "acme"}
	}
	data := func(members string) Message { return with(`"aud":"api"`, members) }
	event := func(members string) Message { return with(`"specversion"`, members+`,"specversion"`) }
	subject := with("", "")
	subject.Type = Type(v)
	ev := wantIssued()
	proto, err := AppendProtobuf(nil, &ev)
	if err != nil {
		t.Fatal(err)
	}
	attribute := sized(ceAttributes, sized(entryKey, v)+sized(entryValue, sized(attrString, "x")))
	none := sized(ceAttributes, sized(entryKey, v))
	entry := sized(attributesMember+1, sized(entryKey, v)+sized(entryValue, "x"))
	twice := sized(ceID, "e") + sized(ceSource, "s") + sized(ceSpecVersion, "1.0") + sized(ceType, string(TokenIssued)) +
		sized(ceAttributes, sized(entryKey, "time")+sized(entryValue, sized(attrString, "2026-03-01T11:59:59Z"))) +
		sized(ceProtoData, sized(anyType, dataTypeName)+sized(anyValue, sized(subMember+1, "user-112233")+entry+entry))
	inProtobuf := func(body string) Message {
		return Message{ContentType: ContentTypeProtobuf, Body: []byte(body), Tenant: "acme"}
	}
	return map[string]Message{
		"content type":            {ContentType: "application/" + v, Body: []byte(issued), Tenant: "acme"},
		"type":                    with(`"dev.rescind.token.issued.v1"`, q),
		"type in the subject":     subject,
		"rescindenv":              with(`"rescindenv":"dev"`, `"rescindenv":`+q),
		"attribute twice":         event(q + `:1,` + q + `:1`),
		"inside an attribute":     event(q + `:{"a":1,"a":1}`),
		"data attribute twice":    data(`"attributes":{` + q + `:"a",` + q + `:"b"}`),
		"member twice":            data(q + `:1,` + q + `:1`),
		"member in two places":    data(q + `:1,"personal":{` + q + `:1}`),
		"attribute too long":      data(`"attributes":{` + q + `:"` + strings.Repeat("x", 2000) + `"}`),
		"attribute controls":      data(`"attributes":{` + q + `:"\u0000"}`),
		"attribute with a token":  data(`"attributes":{` + q + `:"` + rawJWT + `"}`),
		"personal with a card":    data(`"personal":{` + q + `:{"a":[{"b":"4222222222222"}]}}`),
		"unknown with a card":     data(q + `:"4222222222222"`),
		"namespace of health":     data(`"attributes":{"` + strings.Trim(q, `"`) + `/diagnosis":"x"}`),
		"attribute that exposes":  data(`"attributes":{` + q + `:"of alice@example.org"}`),
		"protobuf twice":          inProtobuf(string(proto) + attribute + attribute),
		"protobuf no value":       inProtobuf(string(proto) + none),
		"protobuf data attribute": inProtobuf(twice),
	}
}

// TestARefusalRepeatsNothingPersonal puts what must not be kept where a detail could
// repeat it: nothing of that is in the refusal, not even its beginning.
func TestARefusalRepeatsNothingPersonal(t *testing.T) {
	t.Parallel()
	for _, v := range []string{
		"alice@example.org", "Alice@Example.Org", "bob@example.com", "+49 171 1234567", "tel:+491711234567", "tel/+491711234567", "of.+49-171-1234567", "4111111111111111", "req/4111-1111-1111-1111", rawJWT,
		"0198b7f2-8d2a", "two words", "line\nbreak \x1b[31m", "é", strings.Repeat("huge", 100<<10), "user-112233",
	} {
		for name, m := range repeating(t, v) {
			if v == "user-112233" && name != "protobuf data attribute" || v == "0198b7f2-8d2a" && (name == "content type" || name == "protobuf data attribute") {
				continue // personal where an event says so
			}
			r := refusalOf(m)
			if r == nil {
				t.Errorf("%s %.20q: accepted", name, v)
				continue
			}
			if shown := r.Detail + r.ID + r.Source; strings.Contains(strings.ToLower(shown), strings.ToLower(v[:min(len(v), 9)])) || len(r.Detail) > maxDetail {
				t.Errorf("%s: %d bytes that repeat %.20q: %.100q", name, len(r.Detail), v, r.Detail)
			}
		}
	}
}

// TestARefusalSaysWhatIsWrong: of names that hold nothing personal it says which.
func TestARefusalSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, m := range repeating(t, "dev.Some_name-1") {
		r := refusalOf(m)
		switch {
		case r == nil && name == "unknown with a card":
			t.Errorf("%s: accepted", name)
		case r == nil, name == "namespace of health":
		case !strings.Contains(strings.ToLower(r.Detail), "dev.some_name-1"):
			t.Errorf("%s: %q", name, r.Detail)
		}
	}
}

// refusalOf is why m, a message with one event, is refused.
func refusalOf(m Message) *Refusal {
	decoded, err := Decode(m)
	if err != nil {
		return err.(*Refusal)
	}
	if decoded[0].Refusal != nil {
		return decoded[0].Refusal
	}
	return validate(decoded[0].Event)
}
