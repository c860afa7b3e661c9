package secrets_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/internal/secrets"
)

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
		if info, _ := e.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %o, want 600", e.Name(), info.Mode().Perm())
		}
	}
	return out
}

func TestInitTwiceKeepsTheKeys(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := secrets.Init(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	before := contents(t, dir)
	if len(before) != 4 {
		t.Fatalf("files: %v", before)
	}
	f, err := secrets.Init(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, contents(t, dir)); d != "" {
		t.Fatal(d)
	}
	if _, kid, err := f.APIKey(); err != nil || kid == "" {
		t.Fatalf("kid %q, %v", kid, err)
	}
	if _, err := secrets.ParseFeedKey([]byte(before["feed.pem"])); err != nil {
		t.Fatal(err)
	}
}

func TestWrongKeyIsNamedAndKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "api.pem")
	if err := os.WriteFile(path, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secrets.Init(dir); err == nil {
		t.Fatal("accepted")
	}
	if b, _ := os.ReadFile(path); string(b) != "not a key" {
		t.Fatal("the file was replaced")
	}
	if _, err := secrets.ParseFeedKey([]byte("x")); err == nil {
		t.Fatal("accepted a feed key that is none")
	}
}
