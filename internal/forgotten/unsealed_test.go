package forgotten

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rescindhq/rescind/internal/canary"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
)

// module is from where files are named.
const module = "../.."

// unsealed is what has to be changed for nothing to be encrypted: in the source of
// a build of its own, as nothing that is shipped can be told not to.
var unsealed = []struct{ file, was, is string }{
	{"events/seal/siv.go", "func (s *siv) crypt(w *sivScratch, data []byte) {\n", "func (s *siv) crypt(w *sivScratch, data []byte) {\n\treturn\n"},
	{"events/stream/line.go", `out.msg.Header.Set("Content-Type", envelope.ContentType)`, `out.msg.Header.Set("Content-Type", events.ContentTypeProtobufBatch)`},
	{"events/stream/line.go", "body, err := envelope.Seal(k, events.ContentTypeProtobufBatch, out.plain)", "body, err := out.plain, error(nil)"},
}

// TestE02WithoutEncryptionTheSearchFindsThem tells a build that encrypts nothing
// of the same person, in the same ways: each store has their values, and the
// search of the other tests finds them.
func TestE02WithoutEncryptionTheSearchFindsThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tell, k := teller{t, run(t, build(t), dir)}, zebedee()
	tell.allOf(k)
	tell.await(k, 5)
	n := 0
	devtest.Eventually(t, "them in the intake, where nothing stays", func() (bool, error) {
		n++
		tell.overHTTP(k.events(fmt.Sprint("again", n)), 0)
		hits, err := canary.Scan(filepath.Join(dir, "nats"), k.values()...)
		return slices.ContainsFunc(hits, func(h canary.Hit) bool { return strings.Contains(h.Path, "RESCIND_INTAKE") }), err
	})
	hits, err := canary.Scan(dir, k.values()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{"RESCIND_LOG", "RESCIND_QUARANTINE", filepath.Join("clickhouse", "data", "store")} {
		if !slices.ContainsFunc(hits, func(h canary.Hit) bool { return strings.Contains(h.Path, place) }) {
			t.Errorf("nothing was found in %s: %v", place, hits)
		}
	}
}

// build is the command without encryption.
func build(t *testing.T) (command string) {
	t.Helper()
	dir, overlay := t.TempDir(), map[string]string{}
	for _, u := range unsealed {
		path, err := filepath.Abs(filepath.Join(module, u.file))
		if err != nil {
			t.Fatal(err)
		}
		from := path
		if changed := overlay[path]; changed != "" {
			from = changed
		}
		source, err := os.ReadFile(from)
		if err != nil || strings.Count(string(source), u.was) != 1 {
			t.Fatalf("%s: %q is not there once: %v", u.file, u.was, err)
		}
		overlay[path] = filepath.Join(dir, strings.ReplaceAll(u.file, "/", "_"))
		if err := os.WriteFile(overlay[path], []byte(strings.Replace(string(source), u.was, u.is, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replace, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), replace, 0o600); err != nil {
		t.Fatal(err)
	}
	command = filepath.Join(dir, "rescind")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay="+filepath.Join(dir, "overlay.json"), "-ldflags=-s -w", "-o", command, "./cmd/rescind")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return command
}

// run runs a stack of its own in dir until the test ends, with all that it prints
// beside its stores.
func run(t *testing.T, command, dir string) *dev.File {
	t.Helper()
	printed, err := os.Create(filepath.Join(dir, "printed"))
	if err != nil {
		t.Fatal(err)
	}
	defer printed.Close()
	cmd := exec.Command(command, "dev", "--data", dir)
	cmd.Stdout, cmd.Stderr = printed, printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("the command ended: %v", err)
		}
	})
	var f *dev.File
	devtest.Eventually(t, "dev.json", func() (bool, error) {
		select {
		case err := <-ended:
			ended <- err
			b, _ := os.ReadFile(filepath.Join(dir, "printed"))
			t.Fatalf("the command ended: %v\n%s", err, b)
		default:
		}
		f, err = dev.ReadFile(dir)
		return err == nil, err
	})
	return f
}
