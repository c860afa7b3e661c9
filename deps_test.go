package rescind

import (
	"fmt"
	"go/build"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/rescindhq/rescind"

// bans states which package must not import which, directly or through
// others, and why. A prefix ending in /... covers what is below.
var bans = []struct{ pkg, banned, why string }{
	{"events", "net", "the model is pure: no I/O"},
	{"events", "github.com/nats-io/nats.go", "the model is pure: no I/O"},
	{"events", "github.com/ClickHouse/clickhouse-go/v2", "the model is pure: no I/O"},
	{"events/envelope", "github.com/nats-io/nats.go", "encrypting is pure: whoever calls it has the keys"},
	{"events/stream", "github.com/ClickHouse/clickhouse-go/v2", "the SDK that issuers import must not carry a database driver"},
	{"events/stream", "github.com/labstack/echo/v4", "the SDK that issuers import must not carry a web server"},
	{"events/stream", "github.com/nats-io/nats-server/v2/server", "the SDK that issuers import must not carry a server"},
	{"events/seal", "github.com/nats-io/nats.go", "sealing knows a small store interface, not a store"},
	{"events/seal", "github.com/aws/aws-sdk-go-v2/...", "sealing knows a small interface of a root, not a cloud"},
	{"events/stream", "github.com/aws/aws-sdk-go-v2/...", "the SDK that issuers import must not carry a cloud's"},
	{"projector/controls", "github.com/nats-io/nats.go", "rules are pure"},
	{"projector/ledger", "github.com/nats-io/nats.go", "the tree is pure"},
	{"projector/intake", "github.com/ClickHouse/clickhouse-go/v2", "the log never waits for the audit side"},
	{"projector/revoke", "github.com/ClickHouse/clickhouse-go/v2", "revocation never waits for the audit side"},
	{"projector/audit", module + "/revocation", "audit and revocation meet only in the log"},
	{"revocation", "github.com/nats-io/nats.go", "the set is a pure state machine"},
	{"revocation/feed", "github.com/ClickHouse/clickhouse-go/v2", "a verifier must not carry a database driver"},
	{"revocation/feed", "github.com/nats-io/nats-server/v2/server", "a verifier must not carry a server"},
	{"revocation/guard", "github.com/ClickHouse/clickhouse-go/v2", "an application must not carry a database driver"},
	{"revocation/guard", "github.com/labstack/echo/v4", "an application on net/http must not carry Echo"},
	{"revocation/guard", "google.golang.org/grpc", "an application on net/http must not carry gRPC"},
	{"revocation/guard/guardecho", "google.golang.org/grpc", "an application on Echo must not carry gRPC"},
	{"revocation/guard/guardgrpc", "github.com/labstack/echo/v4", "an application on gRPC must not carry Echo"},
	{"revocation/guard", module + "/projector/...", "an application must not carry the projector"},
	{"query", "github.com/ClickHouse/clickhouse-go/v2", "query declares its stores; query/store implements them"},
	{"query", module + "/projector/intake", "the API publishes events like everybody else"},
	{"query/erasure", "github.com/ClickHouse/clickhouse-go/v2", "erasure is folded from the log, not from the audit side"},
	{"query/receipt", "net", "a receipt is verified with nothing but the file and the key"},
	{"internal/crash/checker", module + "/events/...", "a checker that shares code with the writer shares its faults"},
	{"internal/crash/checker", module + "/projector/...", "a checker that shares code with the writer shares its faults"},
	{"internal/crash/checker", module + "/internal/eventrow", "a checker that shares code with the writer shares its faults"},
	{"internal/engine", module + "/events", "the engine knows nothing of events"},
	{"schemas", "net", "schemas is only the files"},
	{"internal/verify", module + "/projector/...", "a checker that shares the writer's code repeats its faults"},
	{"internal/verify", module + "/internal/eventrow", "a checker that shares the writer's code repeats its faults"},
	{"internal/verify", module + "/events/stream", "a checker that shares the writer's code repeats its faults"},
	{"internal/verify", module + "/query/...", "a checker that shares the reader's code repeats its faults"},
}

func TestBannedImports(t *testing.T) {
	t.Parallel()
	deps := map[string][]string{}
	for _, b := range bans {
		if _, done := deps[b.pkg]; !done {
			deps[b.pkg] = depsOf(t, b.pkg)
		}
		for _, d := range deps[b.pkg] {
			if matches(d, b.banned) {
				t.Errorf("%s imports %s: %s", b.pkg, d, b.why)
			}
		}
	}
}

func depsOf(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./"+pkg).CombinedOutput()
	if err != nil {
		t.Fatalf("go list ./%s: %v\n%s", pkg, err, out)
	}
	return strings.Fields(string(out))
}

func matches(dep, banned string) bool {
	if prefix, all := strings.CutSuffix(banned, "/..."); all {
		return dep == prefix || strings.HasPrefix(dep, prefix+"/")
	}
	return dep == banned
}

// TestLayout holds the top level to what users were promised, and every
// package to a package comment.
func TestLayout(t *testing.T) {
	t.Parallel()
	allowed := " cmd events projector revocation query schemas internal docs deploy bench docker-compose.yml Dockerfile go.mod go.sum README.md CHANGELOG.md LICENSE deps_test.go doc.go "
	entries, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e, ".") && ours(e) && !strings.Contains(allowed, " "+e+" ") {
			t.Errorf("%s does not belong at the top level", e)
		}
	}
	for _, dir := range packages(t) {
		p, err := build.ImportDir(dir, build.ImportComment)
		if err == nil && p.Doc == "" {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

// TestDependenciesAreDefended holds docs/dependencies.md to the direct
// requirements of go.mod, both ways.
func TestDependenciesAreDefended(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{if not (or .Indirect .Main)}}{{.Path}}{{end}}", "all").Output()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := strings.Fields(string(out))
	for _, path := range direct {
		if !strings.Contains(string(b), path) {
			t.Errorf("%s is not in docs/dependencies.md", path)
		}
	}
	for _, path := range regexp.MustCompile(`(github\.com|google\.golang\.org|golang\.org|go\.uber\.org|pgregory\.net)/[\w./-]+`).FindAllString(string(b), -1) {
		if !slices.Contains(direct, path) && !strings.Contains(path, "oapi-codegen/v2") {
			t.Errorf("docs/dependencies.md lists %s, which go.mod does not require", path)
		}
	}
}

// TestNamedTestsAreThere holds what the documents say is tested to the tests that
// there are.
func TestNamedTestsAreThere(t *testing.T) {
	t.Parallel()
	declared, named := map[string]bool{}, map[string]string{}
	name := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`)
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		test, document := strings.HasSuffix(path, "_test.go"), strings.HasSuffix(path, ".md") || strings.HasSuffix(path, "doc.go") && !strings.HasSuffix(path, "test/doc.go")
		if err != nil || !test && !document || strings.HasPrefix(path, ".") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, n := range name.FindAllString(string(b), -1) {
			if document {
				named[n] = path
			} else if strings.Contains(string(b), "\nfunc "+n+"(") {
				declared[n] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for n, path := range named {
		if !declared[n] {
			t.Errorf("%s names %s, which is no test", path, n)
		}
	}
	if len(named) < 50 {
		t.Errorf("only %d tests are named", len(named))
	}
}

// TestEveryPitfallOfErasureIsTested: docs/guarantees.md lists all twenty, in order,
// each with a test that is named after it.
func TestEveryPitfallOfErasureIsTested(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (E\d\d) \| (.*)$`).FindAllStringSubmatch(string(b), -1)
	for i := range 20 {
		number := fmt.Sprintf("E%02d", i+1)
		if len(rows) <= i || rows[i][1] != number {
			t.Fatalf("%s is not row %d of docs/guarantees.md", number, i+1)
		}
		if !strings.Contains(rows[i][2], "`Test"+number) {
			t.Errorf("%s names no test", number)
		}
	}
}

// ours reports whether a name is one that somebody would commit: not a binary
// or an output that was left behind.
func ours(name string) bool {
	info, err := os.Stat(name)
	return err == nil && (info.IsDir() || slices.Contains([]string{".go", ".md", ".yml", ".yaml", ".mod", ".sum", ".sh"}, filepath.Ext(name)))
}

func packages(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); name == "testdata" || len(name) > 1 && strings.HasPrefix(name, ".") {
			return filepath.SkipDir
		}
		if goFiles, _ := filepath.Glob(filepath.Join(path, "*.go")); len(goFiles) > 0 {
			dirs = append(dirs, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}
