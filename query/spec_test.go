package query_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/rescindhq/rescind/schemas"
)

// spec is schemas/openapi.yaml, which is also a JSON Schema document: what
// travels in tests is held to it.
type spec struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
}

const specURL = "https://rescind.test/openapi.json"

func loadSpec(t testing.TB) *spec {
	t.Helper()
	raw, err := schemas.FS.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := yaml.Parser().Unmarshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	s := &spec{doc: doc.(map[string]any), compiler: jsonschema.NewCompiler()}
	s.compiler.DefaultDraft(jsonschema.Draft2020)
	s.compiler.AssertFormat()
	if err := s.compiler.AddResource(specURL, doc); err != nil {
		t.Fatal(err)
	}
	return s
}

// operation is one route of the specification.
type operation struct {
	id, method, path string
	scopes           []string
	node             map[string]any
}

func (s *spec) operations(t testing.TB) (out []operation) {
	t.Helper()
	for path, item := range s.doc["paths"].(map[string]any) {
		for method, node := range item.(map[string]any) {
			op := operation{id: node.(map[string]any)["operationId"].(string), method: strings.ToUpper(method), path: path, node: node.(map[string]any)}
			security, stated := op.node["security"]
			if !stated {
				t.Errorf("%s %s does not say its scopes", op.method, path)
				continue
			}
			for _, alternative := range security.([]any) {
				for _, scopes := range alternative.(map[string]any) {
					if len(scopes.([]any)) != 1 {
						t.Errorf("%s %s: want one scope in each alternative", op.method, path)
					}
					for _, scope := range scopes.([]any) {
						op.scopes = append(op.scopes, scope.(string))
					}
				}
			}
			out = append(out, op)
		}
	}
	slices.SortFunc(out, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return out
}

// find is the operation that a request is for.
func (s *spec) find(t testing.TB, method, path string) operation {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	for _, op := range s.operations(t) {
		if op.method == method && samePath(op.path, path) {
			return op
		}
	}
	t.Fatalf("%s %s is not in the specification", method, path)
	return operation{}
}

func samePath(template, path string) bool {
	a, b := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(a, b, func(x, y string) bool { return x == y || strings.HasPrefix(x, "{") && y != "" })
}

// checkAnswer holds an answer to what the specification says of it.
func (s *spec) checkAnswer(t testing.TB, op operation, status int, contentType string, body []byte) {
	t.Helper()
	responses := op.node["responses"].(map[string]any)
	key := fmt.Sprint(status)
	if _, stated := responses[key]; !stated {
		key = "default"
	}
	node, stated := responses[key]
	if !stated {
		t.Errorf("%s %s: status %d is not in the specification", op.method, op.path, status)
		return
	}
	at := "#/paths/" + escape(op.path) + "/" + strings.ToLower(op.method) + "/responses/" + key
	if ref, is := node.(map[string]any)["$ref"].(string); is {
		at = ref
	}
	media, _, _ := strings.Cut(contentType, ";")
	if media != "application/json" && media != "application/problem+json" {
		return
	}
	s.check(t, at+"/content/"+escape(media)+"/schema", body)
}

func escape(pointer string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(pointer)
}

func (s *spec) check(t testing.TB, at string, body []byte) {
	t.Helper()
	schema, err := s.compiler.Compile(specURL + at)
	if err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Errorf("%s: %v\n%s", at, err, body)
		return
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("%s: %v\n%s", at, err, body)
	}
}

func TestGeneratedCodeIsCurrent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config, err := os.ReadFile("oapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "api.gen.go")
	config = bytes.Replace(config, []byte("output: api.gen.go"), []byte("output: "+out), 1)
	if err := os.WriteFile(filepath.Join(dir, "oapi.yaml"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "tool", "oapi-codegen", "-config", filepath.Join(dir, "oapi.yaml"), "../schemas/openapi.yaml")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	got, err := os.ReadFile("api.gen.go")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Fatalf("run go generate ./query: %s", d)
	}
}

func TestEverySchemaCompiles(t *testing.T) {
	t.Parallel()
	s := loadSpec(t)
	for name := range s.doc["components"].(map[string]any)["schemas"].(map[string]any) {
		if _, err := s.compiler.Compile(specURL + "#/components/schemas/" + name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
