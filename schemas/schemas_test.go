package schemas_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/schemas"
)

const suffix = ".schema.json"

// document is one schema file.
func document(t testing.TB, name string) map[string]any {
	t.Helper()
	b, err := schemas.FS.ReadFile("events/" + name + suffix)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

// at is what stands in v under the names of path.
func at(v any, path ...string) any {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// compiled is every schema of an event, by the name of its type.
func compiled(t testing.TB) map[string]*jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	names, err := fs.Glob(schemas.FS, "events/*"+suffix)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, file := range names {
		name := strings.TrimSuffix(path.Base(file), suffix)
		doc := document(t, name)
		ids[name], _ = doc["$id"].(string)
		if path.Base(ids[name]) != path.Base(file) {
			t.Errorf("%s: $id %q", file, ids[name])
		}
		if err := c.AddResource(ids[name], doc); err != nil {
			t.Fatal(err)
		}
	}
	delete(ids, "defs")
	out := map[string]*jsonschema.Schema{}
	for name, id := range ids {
		if out[name], err = c.Compile(id); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestEveryTypeHasASchemaAndEverySchemaAType(t *testing.T) {
	t.Parallel()
	var want []string
	for _, typ := range events.Types() {
		want = append(want, typ.Name())
	}
	slices.Sort(want)
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(compiled(t)))); d != "" {
		t.Error(d)
	}
	for _, typ := range events.Types() {
		doc := document(t, typ.Name())
		if doc["title"] != typ.Name() || at(doc, "properties", "type", "const") != string(typ) || doc["description"] == nil {
			t.Errorf("%s: title, type or description is missing or another's", typ.Name())
		}
	}
}

func TestSchemaAndDataNameTheSameMembers(t *testing.T) {
	t.Parallel()
	for name, typ := range map[string]reflect.Type{"data": reflect.TypeFor[events.Data]()} {
		var want []string
		for f := range typ.Fields() {
			member, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			want = append(want, member)
		}
		slices.Sort(want)
		properties, _ := at(document(t, "defs"), "$defs", name, "properties").(map[string]any)
		if d := cmp.Diff(want, slices.Sorted(maps.Keys(properties))); d != "" {
			t.Error(d)
		}
		for member, schema := range properties {
			if schema, _ := schema.(map[string]any); schema["$ref"] == nil && schema["description"] == nil && schema["enum"] == nil {
				t.Errorf("data.%s: no description", member)
			}
		}
	}
}

func TestSchemaRequiresWhatGoRequires(t *testing.T) {
	t.Parallel()
	for _, typ := range events.Types() {
		doc := document(t, typ.Name())
		got := slices.DeleteFunc(texts(at(doc, "properties", "data", "required")), func(s string) bool { return s == "attributes" })
		for _, name := range texts(at(doc, "properties", "data", "properties", "attributes", "required")) {
			got = append(got, "attributes."+name)
		}
		want := events.Required(typ)
		if d := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))); d != "" {
			t.Errorf("%s: %s", typ.Name(), d)
		}
	}
}

func texts(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, s := range list {
		out = append(out, s.(string))
	}
	return out
}

func TestFSHoldsEverything(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"events/*.schema.json", "clickhouse/*.sql", "openapi.yaml", "asyncapi.yaml"} {
		if found, err := fs.Glob(schemas.FS, pattern); err != nil || len(found) == 0 {
			t.Errorf("%s: %d files, %v", pattern, len(found), err)
		}
	}
}

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// accepts reports whether Decode and Validate accept an event, and why not.
func accepts(raw []byte) (bool, string) {
	got, err := events.Decode(events.Message{ContentType: events.ContentTypeEvent, Body: raw, Tenant: "acme"})
	if err != nil {
		return false, err.Error()
	}
	r := got[0].Refusal
	if r == nil {
		r = events.Policy{Environment: "dev"}.Validate(&got[0].Event, now)
	}
	if r != nil {
		return false, r.Error()
	}
	return true, ""
}

// least is an event of type t with what it requires.
func least(t events.Type) map[string]any {
	data := map[string]any{}
	for _, name := range events.Required(t) {
		key, isAttribute := strings.CutPrefix(name, "attributes.")
		switch {
		case isAttribute:
			attributes, _ := data["attributes"].(map[string]any)
			if attributes == nil {
				attributes = map[string]any{}
			}
			attributes[key] = map[string]any{"hash": "0a" + strings.Repeat("00", 15), "revocation": strings.Repeat("0B", 16), "scope": "token", "position": "7", "feed_key": "1"}[key]
			if attributes[key] == nil {
				attributes[key] = "v"
			}
			data["attributes"] = attributes
		default:
			data[name] = "v-" + name
		}
	}
	return map[string]any{
		"specversion": "1.0", "id": "e", "source": "s", "type": string(t), "time": "2026-03-01T11:00:00Z", "data": data,
	}
}

func TestLeastEventsAreAcceptedByBoth(t *testing.T) {
	t.Parallel()
	all := compiled(t)
	for _, typ := range events.Types() {
		agree(t, all[typ.Name()], least(typ), func(schema, code bool, why string) {
			if !schema || !code {
				t.Errorf("%s: schema %t, code %t: %s", typ.Name(), schema, code, why)
			}
		})
	}
}

// agree asks the schema and the code.
func agree(t testing.TB, s *jsonschema.Schema, doc map[string]any, report func(schema, code bool, why string)) {
	t.Helper()
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	schemaErr := s.Validate(v)
	code, why := accepts(raw)
	if schemaErr != nil {
		why += " | " + schemaErr.Error()
	}
	report(schemaErr == nil, code, why+"\n"+string(raw))
}

// TestSchemaAndCodeAcceptTheSame changes events at random, so that about half
// of them are wrong, and asks both.
func TestSchemaAndCodeAcceptTheSame(t *testing.T) {
	t.Parallel()
	all := compiled(t)
	var accepted, refused int
	rapid.Check(t, func(rt *rapid.T) {
		for range 8 {
			typ := rapid.SampledFrom(events.Types()).Draw(rt, "type")
			doc := least(typ)
			for range rapid.IntRange(0, 3).Draw(rt, "changes") {
				change(rt, doc)
			}
			agree(t, all[typ.Name()], doc, func(schema, code bool, why string) {
				if schema && !code && beyondSchemas(doc, why) {
					return
				}
				if schema != code {
					rt.Fatalf("schema %t, code %t: %s", schema, code, why)
				}
				if schema {
					accepted++
				} else {
					refused++
				}
			})
		}
	})
	if 4*min(accepted, refused) < accepted+refused {
		t.Errorf("%d accepted, %d refused: the cases say too little", accepted, refused)
	}
}

// beyondSchemas reports whether the code saw what no schema can: a value that
// stands in two places, or the members of two objects counted together.
func beyondSchemas(doc map[string]any, why string) bool {
	return strings.HasPrefix(why, string(events.ReasonExposed)) || claimsTogether(doc) > events.MaxPersonalMembers
}

// claimsTogether is how many members are taken as personal: those of
// data.personal, and those of data that are not ours.
func claimsTogether(doc map[string]any) int {
	data, _ := doc["data"].(map[string]any)
	personal, _ := data["personal"].(map[string]any)
	n := len(personal)
	for name := range data {
		if !slices.ContainsFunc(reflect.VisibleFields(reflect.TypeFor[events.Data]()), func(f reflect.StructField) bool {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			return tag == name
		}) {
			n++
		}
	}
	return n
}

// TestSchemaAndCodeAgreeOnEveryValue changes one member at a time, through all
// the values that the random test draws from.
func TestSchemaAndCodeAgreeOnEveryValue(t *testing.T) {
	t.Parallel()
	all := compiled(t)
	for _, typ := range []events.Type{events.TokenRejected, events.ConsentGranted, events.RevocationLifted, events.RevocationRestored, events.KeyRevoked, events.SubjectRevoked} {
		ask := func(doc map[string]any) {
			agree(t, all[typ.Name()], doc, func(schema, code bool, why string) {
				if schema != code {
					t.Errorf("%s: schema %t, code %t: %s", typ.Name(), schema, code, why)
				}
			})
		}
		for name, values := range attributeValues {
			for _, v := range values {
				doc := least(typ)
				doc[name] = v
				ask(doc)
			}
		}
		for _, name := range dataNames() {
			for _, v := range dataValues("a000001", name) {
				doc := least(typ)
				doc["data"].(map[string]any)[name] = v
				ask(doc)
			}
		}
		for _, name := range attributeNames {
			for _, v := range inAttributes("a000001") {
				doc := least(typ)
				data := doc["data"].(map[string]any)
				attributes, _ := data["attributes"].(map[string]any)
				if attributes == nil {
					attributes = map[string]any{}
				}
				attributes[name], data["attributes"] = v, attributes
				ask(doc)
			}
		}
	}
}

// serial makes every text another one, so that no value repeats another.
var serial = rapid.Custom(func(rt *rapid.T) string {
	return fmt.Sprintf("%c%06d", rapid.RuneFrom([]rune("abcdefgh")).Draw(rt, "letter"), rapid.IntRange(0, 999999).Draw(rt, "serial"))
})

// change sets or removes one member of doc.
func change(rt *rapid.T, doc map[string]any) {
	data, _ := doc["data"].(map[string]any)
	where := rapid.SampledFrom([]string{"event", "data", "data", "data", "attributes"}).Draw(rt, "where")
	switch {
	case where == "event" || data == nil:
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(attributeValues))).Draw(rt, "attribute")
		set(rt, doc, name, attributeValues[name])
	case where == "data":
		name := rapid.SampledFrom(dataNames()).Draw(rt, "member")
		set(rt, data, name, dataValues(serial.Draw(rt, "text"), name))
	default:
		attributes, _ := data["attributes"].(map[string]any)
		if attributes == nil {
			attributes = map[string]any{}
			data["attributes"] = attributes
		}
		name := rapid.SampledFrom(attributeNames).Draw(rt, "name")
		set(rt, attributes, name, inAttributes(serial.Draw(rt, "text")))
	}
}

// attributeNames are names inside data.attributes.
var attributeNames = []string{
	"request", "hash", "feed_key", "scope", "revocation", "position", "purpose", "other", "Über", "", "a\tb", strings.Repeat("n", 64), strings.Repeat("n", 65),
}

func inAttributes(s string) []any {
	return append(textValues(s, 1024), strings.Repeat("0", 32), strings.Repeat("Fe", 16), "tenant", "grant", "0", "41", "041", "-1", strings.Repeat("9", 19), strings.Repeat("9", 20))
}

func set(rt *rapid.T, in map[string]any, name string, values []any) {
	i := rapid.IntRange(-1, len(values)-1).Draw(rt, "value")
	if i < 0 {
		delete(in, name)
		return
	}
	in[name] = values[i]
}

// attributeValues are values of an event's attributes. Environment and tenant
// have none that only the deployment could refuse.
var attributeValues = map[string][]any{
	"specversion":     {"1.0", "1.1", "", nil, 1.0},
	"id":              {"", nil, 17, "é", strings.Repeat("i", 512), strings.Repeat("i", 513), "a\nb", "a\u0085b", []any{}},
	"source":          {"", nil, true, "urn:x", strings.Repeat("s", 512), strings.Repeat("s", 513), "\x7f"},
	"type":            {"", nil, "token.issued", "dev.rescind.token.issued.v9", 1},
	"subject":         {"", nil, "alice", 1},
	"datacontenttype": {"application/json", "", nil, 1},
	"data_base64":     {"", nil, "e30=", map[string]any{}},
	"rescindenv":      {"", nil, "dev", 1},
	"rescindtenant":   {"", nil, "acme", "a.b", "ü", 1, strings.Repeat("t", 65)},
	"data":            {nil, map[string]any{}, []any{}, "x", 1, false},
	"traceparent":     {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", nil, 1, true},
	"ID":              {"x", 1, nil},
	"time": {
		"", nil, 1, "2026-03-01T11:00:00+01:00", "2026-03-01T11:00:00.123456789123+23:59", "2026-02-29T11:00:00Z", "2024-02-29T11:00:00Z",
		"2026-03-01T1:00:00Z", "2026-03-01 11:00:00Z", "2026-03-01T11:00:00", "2026-03-01T11:00:00,5Z", "2026-03-01T24:00:00Z", "2026-03-01T11:00:60Z",
		"2026-03-01T11:00:00+24:00", "2026-03-01T11:00:00+00:60", "2026-03-01t11:00:00z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2026-13-01T11:00:00Z",
		"2026-03-01T11:00Z", "Sun, 01 Mar 2026 11:00:00 GMT", "0026-03-01T11:00:00Z", "2026-03-01T11:00:00.Z",
	},
}

// dataNames is every member of Data, and some that are none.
func dataNames() []string {
	var names []string
	for f := range reflect.TypeFor[events.Data]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return append(names, "email", "Sub", "JTI", "", "a\nb", strings.Repeat("m", 64), strings.Repeat("m", 65))
}

func textValues(s string, limit int) []any {
	return []any{s, s, s + "é", "", nil, 17, 1.5, true, []any{}, map[string]any{}, s + strings.Repeat("x", limit-len(s)), s + strings.Repeat("x", limit), s + "\n", s + "\u0000", s + "\u009f"}
}

func dataValues(s, name string) []any {
	list := func(n int) []any {
		out := make([]any, n)
		for i := range out {
			out[i] = fmt.Sprint(s, i)
		}
		return out
	}
	object := func(n int, v any) map[string]any {
		out := map[string]any{}
		for i := range n {
			out[fmt.Sprint("name", i)] = v
		}
		return out
	}
	switch name {
	case "tenant":
		return []any{"acme", "", nil, "a.b", 1}
	case "aud":
		return []any{s, "", nil, 1, list(0), list(32), list(33), []any{nil}, []any{1}, []any{strings.Repeat("x", 513)}, []any{s + "\t"}, map[string]any{}}
	case "iat", "exp", "nbf":
		return []any{0, 1772366399, 1772366399.125, 253402300799, 253402300800, 1772366399000, -1, nil, "1772366399", true, []any{}, json.Number("1e11"), json.Number("1e12"), json.Number("1e999")}
	case "issued_before", "starts", "not_after":
		return []any{0, 1772366399, 1772366399.125, 253402300800, -0.5, nil, "1772366399", map[string]any{}}
	case "outcome":
		return []any{"success", "failure", "", nil, "Success", 1}
	case "view":
		return []any{0, 7, uint64(1 << 39), json.Number("18446744073709551616"), -1, 1.5, nil, "7"}
	case "consent":
		return []any{
			s, "", nil, 1, []any{s}, strings.Repeat("c", 512), strings.Repeat("c", 513), map[string]any{}, map[string]any{"id": s}, map[string]any{"id": ""},
			map[string]any{"id": nil}, map[string]any{"ID": s}, map[string]any{"id": s, "purposes": nil}, map[string]any{"id": s, "purposes": list(32)},
			map[string]any{"id": s, "purposes": list(33)}, map[string]any{"id": s, "purposes": []any{nil}}, map[string]any{"id": s, "more": 1}, map[string]any{"id": 1},
			map[string]any{"purposes": list(1)},
		}
	case "attributes":
		return []any{nil, map[string]any{}, object(32, s), object(33, s), object(1, 1), object(1, nil), []any{}, "x"}
	case "personal":
		return []any{nil, map[string]any{}, object(64, s), object(65, s), object(2, []any{object(2, nil), 1.5}), []any{}, "x", map[string]any{"a\nb": 1}, map[string]any{strings.Repeat("p", 65): 1}}
	case "note":
		return textValues(s, 4096)
	case "scope", "user_agent":
		return textValues(s, 4096)
	case "email", "Sub", "JTI", "", "a\nb", strings.Repeat("m", 64), strings.Repeat("m", 65):
		return []any{s, nil, 1, []any{1}, object(2, s)}
	default:
		return textValues(s, 512)
	}
}
