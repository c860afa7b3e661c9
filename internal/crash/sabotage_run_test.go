//go:build sabotage

package crash_test

import (
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestSabotage breaks the code in each of the ways, in a build of its own, and
// wants the test that is named to fail.
func TestSabotage(t *testing.T) {
	for _, s := range sabotages {
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", s.test, "./"+cmp.Or(s.pkg, "internal/crash"))
			cmd.Dir = moduleRoot
			cmd.Env = append(os.Environ(), "GOFLAGS=-overlay="+s.overlay(t))
			began := time.Now()
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("it survived %s:\n%s", s.test, last(string(out), 6))
			}
			if strings.Contains(string(out), "[build failed]") || strings.Contains(string(out), "build the command") {
				t.Fatalf("it does not compile:\n%s", out)
			}
			t.Logf("found after %s:\n%s", time.Since(began).Round(time.Second), faultsIn(string(out)))
		})
	}
}

// overlay is a file for go build -overlay that breaks the code.
func (s sabotage) overlay(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(moduleRoot, s.file))
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	broken, overlay := filepath.Join(dir, filepath.Base(path)), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: broken}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{broken: strings.Replace(string(code), s.was, s.broken, 1), overlay: string(replace)} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}

// line is one that a test printed with its place in the source.
var line = regexp.MustCompile(`(?m)^\s+\w+\.go:\d+: .*$`)

// faultsIn is the first lines that a test printed when it failed.
func faultsIn(out string) string {
	all := line.FindAllString(out, 8)
	return strings.Join(all, "\n")
}

func last(out string, n int) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
