package verify_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/verify"
	"github.com/rescindhq/rescind/internal/workload"
)

// TestOneHistory verifies a deployment, and copies of its log and feed that were
// tampered with. The deployment itself stays as it was.
func TestOneHistory(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.history(60)
	t.Run("at rest", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *bench){
			"is clean": testHistoryIsClean, "leaves nothing behind": testNothingStaysBehind, "tampered log": testTamperedLog,
			"tampered set": testTamperedSet, "tampered heads": testTamperedHeads, "silent feed": testSilentFeed,
			"waits no longer than it must": testWaitEndsWhenAllIsThere,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t, b.of(t)) })
		}
	})
	t.Run("at work", func(t *testing.T) { testAtWork(t, b.of(t)) })
}

// testHistoryIsClean verifies a deployment with every kind of record.
func testHistoryIsClean(t *testing.T, b *bench) {
	r := b.verify(verify.Config{})
	finds(t, r)
	if r.Log.Records < 120 || r.ClickHouse.Events != r.Log.Records || r.ClickHouse.Payloads == 0 || r.Feed.Entries < 5 || r.Feed.Deltas == 0 || len(r.Log.Root) != 64 {
		t.Errorf("it looked at %+v", r)
	}
}

// testAtWork verifies while events and revocations come in: what is on its way
// is no difference. The next come when the intake has had the last, so that
// something is under way all the time and the log does not outgrow the looks at
// it.
func testAtWork(t *testing.T, b *bench) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		gen := workload.New(workload.Config{Seed: 9, Subjects: 50})
		for {
			select {
			case <-stop:
				return
			default:
				b.publish(gen.Batch(60))
				devtest.Drained(t, b.Stack)
			}
		}
	}()
	for range 5 {
		finds(t, b.verify(verify.Config{}))
	}
	close(stop)
	<-done
	b.projected()
	finds(t, b.verify(verify.Config{}))
}

// testNothingStaysBehind looks at the folder for temporary files.
func testNothingStaysBehind(t *testing.T, b *bench) {
	dir := t.TempDir()
	b.verify(verify.Config{Scratch: dir})
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestFaultsOfConfig names every fault at once.
func TestFaultsOfConfig(t *testing.T) {
	t.Parallel()
	_, err := verify.Run(t.Context(), verify.Config{From: 2, To: 1, Limit: -1, Shards: 65, Only: []uint16{3, 3, 66}})
	for _, want := range []string{"nats", "clickhouse", "feed key", "to is below", "limit", "shards 65", "shard 3 twice", "shard 66"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// TestSharesNoCode holds this package to its own reading of the formats. What
// it may not import is in deps_test.go; this is what it may not call of the
// packages that revocation needs.
func TestSharesNoCode(t *testing.T) {
	t.Parallel()
	allowed := map[string]string{
		"events":     " Ref ",
		"revocation": " OpenDelta OpenSnapshot Sum Head Delta Snapshot Entry SnapshotObject ",
	}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := s.X.(*ast.Ident); ok && allowed[pkg.Name] != "" && !strings.Contains(allowed[pkg.Name], " "+s.Sel.Name+" ") {
					t.Errorf("%s uses %s.%s", name, pkg.Name, s.Sel.Name)
				}
			}
			return true
		})
	}
}
