package engine

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sha256Hex(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// pack writes an npm package with the given files, in order.
func pack(t *testing.T, path string, files ...string) {
	t.Helper()
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	zipped := gzip.NewWriter(out)
	archive := tar.NewWriter(zipped)
	for i := 0; i < len(files); i += 2 {
		name, content := files[i], files[i+1]
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}
		if err := errors.Join(archive.WriteHeader(header), write(archive, content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

func write(w *tar.Writer, content string) error {
	_, err := w.Write([]byte(content))
	return err
}

// withNPM gives the machine an npm that counts its calls and packs files.
func (m machine) withNPM(t *testing.T, files ...string) (calls func() int) {
	t.Helper()
	tarball, log := filepath.Join(m.bin, "package.tgz"), filepath.Join(m.bin, "npm.log")
	pack(t, tarball, files...)
	// pack NAME --pack-destination FOLDER …
	m.command(t, "npm", `echo "$1 $2" >> '`+log+`'
[ "$3" = --pack-destination ] || exit 9
/bin/cp '`+tarball+`' "$4/some-name.tgz"
`)
	return func() int {
		content, _ := os.ReadFile(log)
		for line := range strings.Lines(string(content)) {
			if diff := cmp.Diff("pack @chdb/lib-linux-arm64-gnu@"+libraryVersion+"\n", line); diff != "" {
				t.Errorf("npm called (-want +got):\n%s", diff)
			}
		}
		return strings.Count(string(content), "\n")
	}
}

func (m machine) entries(t *testing.T) []string {
	t.Helper()
	dir, err := m.cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestInstall(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	calls := m.withNPM(t, "package/index.js", "js", "package/libchdb.so", "the library")
	var lines []string
	cfg := InstallConfig{Progress: func(line string) { lines = append(lines, line) }}

	first, err := m.install(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := Library{
		Path:    filepath.Join(m.env["HOME"], ".cache", "rescind", "engine", libraryVersion, libraryName),
		Version: libraryVersion, Size: 11, SHA256: sha256Hex("the library"), Fresh: true,
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("library (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"install.lock", libraryName, libraryName + ".stamp.json"}, m.entries(t)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	if told := strings.Join(lines, "\n"); !strings.Contains(told, "fetching") || !strings.Contains(told, "no integrity is pinned") || !strings.Contains(told, "installed") {
		t.Errorf("progress:\n%s", told)
	}

	second, err := m.install(t.Context(), cfg)
	if err != nil || second.Fresh || calls() != 1 {
		t.Errorf("second install: %+v, %v, npm called %d times", second, err, calls())
	}
	cfg.Force = true
	if third, err := m.install(t.Context(), cfg); err != nil || !third.Fresh || calls() != 2 {
		t.Errorf("forced install: %+v, %v, npm called %d times", third, err, calls())
	}
}

func TestInstallOnceForAll(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	calls := m.withNPM(t, "package/libchdb.so", "the library")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if library, err := m.install(t.Context(), InstallConfig{}); err != nil || library.SHA256 != sha256Hex("the library") {
				t.Errorf("install: %+v, %v", library, err)
			}
		})
	}
	all.Wait()
	if got := calls(); got != 1 {
		t.Errorf("npm called %d times", got)
	}
}

// TestDamageIsNoticed harms the cached library in every way that leaves a file,
// and expects it to be passed over when looking and replaced when installing.
func TestDamageIsNoticed(t *testing.T) {
	t.Parallel()
	harm := map[string]func(path string) error{
		"shorter":   func(path string) error { return os.Truncate(path, 3) },
		"longer":    func(path string) error { return os.WriteFile(path, []byte("the library, and more"), 0o600) },
		"one byte":  func(path string) error { return os.WriteFile(path, []byte("the librarY"), 0o600) },
		"no stamp":  func(path string) error { return os.Remove(stampPath(path)) },
		"bad stamp": func(path string) error { return os.WriteFile(stampPath(path), []byte("{"), 0o600) },
	}
	for name, do := range harm {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			calls := m.withNPM(t, "package/libchdb.so", "the library")
			path := m.putCached(t, "the library")
			if err := do(path); err != nil {
				t.Fatal(err)
			}
			got, err := m.locate(t.Context())
			if !errors.Is(err, ErrNotFound) || len(got.Passed) != 1 || !strings.Contains(got.Passed[0], path) {
				t.Errorf("locate = %+v, %v", got, err)
			}
			library, err := m.install(t.Context(), InstallConfig{})
			if err != nil || !library.Fresh || calls() != 1 {
				t.Errorf("install = %+v, %v, npm called %d times", library, err, calls())
			}
			if content, err := os.ReadFile(path); err != nil || string(content) != "the library" {
				t.Errorf("library is %q, %v", content, err)
			}
			if got, err := m.locate(t.Context()); err != nil || got.Source != "cache" {
				t.Errorf("locate after install = %+v, %v", got, err)
			}
		})
	}
}

// TestTouchedLibraryIsHashedOnce: another time is no damage.
func TestTouchedLibraryIsHashedOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	path := m.putCached(t, "the library")
	then := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
	if got, err := m.locate(t.Context()); err != nil || got.Source != "cache" {
		t.Fatalf("locate = %+v, %v", got, err)
	}
	known, err := readStamp(path, artifact{})
	if err != nil || known.ModTime != then.UnixNano() {
		t.Errorf("stamp = %+v, %v", known, err)
	}
}

// TestPinsAreHeld: where a package is pinned, nothing else gets in, whatever a
// stamp says.
func TestPinsAreHeld(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.finder.goarch = "amd64"
	tarball := filepath.Join(m.bin, "package.tgz")
	pack(t, tarball, "package/libchdb.so", "another library")
	m.command(t, "npm", `/bin/cp '`+tarball+`' "$4"`)
	_, err := m.install(t.Context(), InstallConfig{})
	if err == nil || !strings.Contains(err.Error(), "integrity") || !strings.Contains(err.Error(), "XP97mMqnc5tZ") {
		t.Errorf("install = %v", err)
	}
	if diff := cmp.Diff([]string{"install.lock"}, m.entries(t)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	m.putCached(t, "another library")
	if got, err := m.locate(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("a library with a stamp of its own was taken: %+v", got)
	}
}

func TestBadPackages(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		npm  string
		want string
	}{
		"npm fails":      {"echo 'E404 not found' >&2; exit 1", "E404 not found"},
		"nothing packed": {"exit 0", "0 packages"},
		"not an archive": {`echo this is no archive at all > "$4/a.tgz"`, "gzip"},
		"no library":     {`/bin/cp "$(/usr/bin/dirname "$0")/empty.tgz" "$4/a.tgz"`, "no libchdb.so"},
		"cut off":        {`/usr/bin/head -c 60 "$(/usr/bin/dirname "$0")/good.tgz" > "$4/a.tgz"`, "unexpected EOF"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			pack(t, filepath.Join(m.bin, "empty.tgz"), "package/index.js", "js", "libchdb.so", "at the wrong place")
			pack(t, filepath.Join(m.bin, "good.tgz"), "package/libchdb.so", "the library")
			m.command(t, "npm", tt.npm)
			_, err := m.install(t.Context(), InstallConfig{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("install = %v, want %q", err, tt.want)
			}
			if diff := cmp.Diff([]string{"install.lock"}, m.entries(t)); diff != "" {
				t.Errorf("what is left (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInstallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.command(t, "npm", "exec /bin/sleep 600")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := m.install(ctx, InstallConfig{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("install = %v", err)
	}
	if diff := cmp.Diff([]string{"install.lock"}, m.entries(t)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

// TestInstallAfterAKilledOne: what it left behind goes.
func TestInstallAfterAKilledOne(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.withNPM(t, "package/libchdb.so", "the library")
	dir, err := m.cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	m.file(t, filepath.Join(dir, "stage-123", "half.tgz"), "half")
	if _, err := m.install(t.Context(), InstallConfig{}); err != nil {
		t.Fatal(err)
	}
	if got := m.entries(t); len(got) != 3 {
		t.Errorf("what is left: %q", got)
	}
}

func TestWaitingForAnotherInstall(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	dir, err := m.cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	m.file(t, filepath.Join(dir, "other"), "")
	unlock, err := tryLock(filepath.Join(dir, "install.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	told := 0
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = m.install(ctx, InstallConfig{Progress: func(string) { told++ }})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errLocked) || told != 1 {
		t.Errorf("install = %v, told %d times", err, told)
	}
}

func TestCacheDir(t *testing.T) {
	end := filepath.Join("rescind", "engine", libraryVersion)
	tests := []struct {
		goos string
		env  map[string]string
		want string
	}{
		{"linux", map[string]string{"HOME": "/h"}, "/h/.cache/" + end},
		{"linux", map[string]string{"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/" + end},
		{"darwin", map[string]string{"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/h/Library/Caches/" + end},
		{"linux", map[string]string{}, ""},
		{"linux", map[string]string{"XDG_CACHE_HOME": "relative"}, ""},
	}
	for _, tt := range tests {
		f := finder{goos: tt.goos, getenv: func(k string) string { return tt.env[k] }}
		got, err := f.cacheDir()
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s %v: %q, %v, want %q", tt.goos, tt.env, got, err, tt.want)
		}
	}
}

func TestArtifacts(t *testing.T) {
	for platform, want := range map[string]string{
		"linux/amd64": "@chdb/lib-linux-x64-gnu", "linux/arm64": "@chdb/lib-linux-arm64-gnu",
		"darwin/arm64": "@chdb/lib-darwin-arm64", "darwin/amd64": "@chdb/lib-darwin-x64",
		"windows/amd64": "", "linux/riscv64": "",
	} {
		goos, goarch, _ := strings.Cut(platform, "/")
		got, err := artifactFor(goos, goarch)
		if got.name != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", platform, got.name, err)
		}
	}
}

func TestGrowth(t *testing.T) {
	for _, tt := range []struct {
		have, want int64
		line       string
	}{
		{5 << 20, 0, "5 MB"}, {5 << 20, 10 << 20, "5 of 10 MB"}, {11 << 20, 10 << 20, "10 of 10 MB"},
	} {
		if got := growth(tt.have, tt.want); !strings.HasSuffix(got, tt.line) {
			t.Errorf("growth(%d, %d) = %q", tt.have, tt.want, got)
		}
	}
	dir := t.TempDir()
	for i := range 3 {
		path := filepath.Join(dir, fmt.Sprint(i), "file")
		if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, make([]byte, 10), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if got := folderSize(dir); got != 30 {
		t.Errorf("folderSize = %d", got)
	}
}
