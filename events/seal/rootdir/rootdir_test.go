package rootdir_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/rootdir"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

func open(t *testing.T, path string) *rootdir.Dir {
	t.Helper()
	d, err := rootdir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func folder(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDirIsARoot(t *testing.T) {
	t.Parallel()
	path := folder(t)
	sealtest.TestRoot(t, func(t *testing.T) seal.Root { return open(t, path) })
}

var secret = []byte("0123456789abcdef0123456789abcdef")

func TestE07DestroyLeavesNoFileAndNoByte(t *testing.T) {
	t.Parallel()
	path := folder(t)
	d := open(t, path)
	w, err := d.Wrap(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, w.Key+".key")
	key, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	same := filepath.Join(t.TempDir(), "the same blocks") // what is left on the disk when the name is gone
	if err := os.Link(file, same); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Destroy(t.Context(), w.Key); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(path); err != nil || len(left) != 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
	if after, err := os.ReadFile(same); err != nil || bytes.Contains(after, key[:16]) || len(after) != len(key) {
		t.Errorf("the blocks hold %q, %v; they held %q", after, err, key)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	path := folder(t)
	d := open(t, path)
	w, err := d.Wrap(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, w.Key+".key")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a key's mode: %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Unwrap(t.Context(), w); err == nil || errors.Is(err, seal.ErrRootKey) || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("a key that others can read: %v", err)
	}
	if err := os.Chmod(path, 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := rootdir.Open(path); err == nil || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("a folder that others can write to: %v", err)
	}
}

// TestAFolderThatIsNotThere: a volume that is not mounted must not look like
// keys that were destroyed.
func TestAFolderThatIsNotThere(t *testing.T) {
	t.Parallel()
	path := folder(t)
	d := open(t, path)
	w, err := d.Wrap(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+"-elsewhere"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Unwrap(t.Context(), w); err == nil || errors.Is(err, seal.ErrRootKey) {
		t.Errorf("unwrap: %v, want an error that is not ErrRootKey", err)
	}
	if _, err := d.Destroy(t.Context(), w.Key); err == nil {
		t.Error("destroy: no error")
	}
	if _, err := rootdir.Open(path); err == nil {
		t.Error("open: no error")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := rootdir.Open(file); err == nil {
		t.Error("open of a file: no error")
	}
}

// TestADamagedKeyIsNotOneThatWasDestroyed: what is half overwritten, or cut by a
// full disk, is an error of its own.
func TestADamagedKeyIsNotOneThatWasDestroyed(t *testing.T) {
	t.Parallel()
	path := folder(t)
	d := open(t, path)
	w, err := d.Wrap(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(path, w.Key+".key"), 10); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Unwrap(t.Context(), w); err == nil || errors.Is(err, seal.ErrRootKey) {
		t.Errorf("unwrap: %v", err)
	}
	if _, err := d.Destroy(t.Context(), w.Key); err != nil {
		t.Errorf("destroy: %v", err)
	}
	if _, err := d.Unwrap(t.Context(), w); !errors.Is(err, seal.ErrRootKey) {
		t.Errorf("unwrap after destroy: %v", err)
	}
}
