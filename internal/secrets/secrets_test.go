package secrets_test

import (
	"io/fs"
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
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if info, _ := d.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %o, want 600", path, info.Mode().Perm())
		}
		name, _ := filepath.Rel(dir, path)
		out[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
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
	if len(before) != 8 {
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
