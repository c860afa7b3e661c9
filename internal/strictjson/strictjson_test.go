package strictjson

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct{ doc, what, member string }{
		{`{"a":1,"b":{"a":[{"a":1},{"a":"a"}]}}`, "", ""},
		{` 7 `, "", ""},
		{deep(MaxDepth), "", ""},
		{deep(MaxDepth + 1), Deep, ""},
		{`{"a":` + deep(MaxDepth) + `}`, Deep, ""},
		{`{"a":1,"a":2}`, Twice, "a"},
		{`{"a":1,"\u0061":2}`, Twice, "a"},
		{`[{"b":{"a":1,"a":2}}]`, Twice, "a"},
		{`{"a":1,"A":2}`, Foreign, "A"},
		{`{"sub":1,"ſub":2}`, Foreign, "ſub"},
		{`{"kid":1,"\u212aid":2}`, Foreign, "\u212aid"},
		{`{"a.b":1}`, Foreign, "a.b"},
		{`{"theirs":{"A":1,"a.b":[{"ſ":1}]},"a":1}`, "", ""},
		{`{"theirs":{"A":1,"A":1}}`, Twice, "A"},
		{`{"theirs":{},"B":1}`, Foreign, "B"},
		{`{} {}`, Behind, ""},
		{`{}x`, Behind, ""},
	} {
		err := Check([]byte(c.doc), func(in []string) bool { return !slices.Contains(in, "theirs") })
		var f *Fault
		switch errors.As(err, &f); {
		case c.what == "" && err != nil, c.what != "" && (f == nil || f.What != c.what || f.Member != c.member):
			t.Errorf("%.40s: %v", c.doc, err)
		case err != nil && c.member != "" && strings.Contains(err.Error(), c.member+"\""):
			t.Errorf("%.40s: names %v", c.doc, err)
		}
	}
	for _, doc := range []string{"", "{", `{"a"`, `{"a":}`, "nope", `{"a":1,}`} {
		var f *Fault
		if err := Check([]byte(doc), Ours); err == nil || errors.As(err, &f) {
			t.Errorf("%q: %v", doc, err)
		}
	}
}

// FuzzCheck: a reader that folds names reads what is accepted as one that does not.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"sub":"a","k":1}`))
	f.Add([]byte("{\"sub\":\"a\",\"\u017fub\":\"b\",\"\u212a\":2}"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if Check(doc, Ours) != nil {
			return
		}
		var folded struct {
			Sub any `json:"sub"`
			K   any `json:"k"`
		}
		var exact map[string]any
		if json.Unmarshal(doc, &exact) != nil {
			return // another kind of value
		}
		if err := json.Unmarshal(doc, &folded); err != nil || !reflect.DeepEqual(folded.Sub, exact["sub"]) || !reflect.DeepEqual(folded.K, exact["k"]) {
			t.Errorf("%v: %+v, %v", err, folded, exact)
		}
	})
}
