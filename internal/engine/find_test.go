package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// machine is a finder in a world of its own: an empty home, a PATH with one
// empty folder and the system's (for sh), and a platform whose package is not
// pinned, so that a small stand-in can be installed.
type machine struct {
	finder
	bin string
	env map[string]string
}

func newMachine(t *testing.T) machine {
	t.Helper()
	root := t.TempDir()
	m := machine{bin: filepath.Join(root, "bin"), env: map[string]string{}}
	if err := os.Mkdir(m.bin, 0o700); err != nil {
		t.Fatal(err)
	}
	m.env["HOME"], m.env["PATH"] = filepath.Join(root, "home"), m.bin
	m.finder = finder{
		getenv: func(name string) string { return m.env[name] },
		goos:   "linux", goarch: "arm64",
		systemLibrary: filepath.Join(root, "system", libraryName),
		checked:       func() bool { return true },
	}
	return m
}

// command puts an executable script on the machine's PATH.
func (m machine) command(t *testing.T, name, script string) string {
	t.Helper()
	path := filepath.Join(m.bin, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // it must be executable
		t.Fatal(err)
	}
	return path
}

func (m machine) file(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// putCached makes a whole library in the cache.
func (m machine) putCached(t *testing.T, content string) string {
	t.Helper()
	dir, err := m.cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	path := m.file(t, filepath.Join(dir, libraryName), content)
	if err := writeStamp(path, sha256Hex(content)); err != nil {
		t.Fatal(err)
	}
	return path
}

const versionScript = `echo "ClickHouse server version %s (official build)."`

// TestSearchOrder takes away what was found and looks again, all the way down.
func TestSearchOrder(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	binary := m.command(t, "clickhouse", fmt.Sprintf(versionScript, "26.3.1.5"))
	named := m.file(t, filepath.Join(m.bin, "named.so"), "named")
	m.env["RESCIND_LIBCHDB"] = named
	cached := m.putCached(t, "cached")
	m.file(t, m.systemLibrary, "system")

	steps := []struct {
		want Location
		drop func() error
	}{
		{Location{Kind: KindBinary, Path: binary, Version: "26.3.1.5", Source: "PATH"}, func() error { return os.Remove(binary) }},
		{Location{Kind: KindLibrary, Path: named, Source: "RESCIND_LIBCHDB"}, func() error { delete(m.env, "RESCIND_LIBCHDB"); return nil }},
		{Location{Kind: KindLibrary, Path: cached, Version: libraryVersion, Source: "cache"}, func() error { return os.Remove(cached) }},
		{Location{Kind: KindLibrary, Path: m.systemLibrary, Source: "system"}, func() error { return os.Remove(m.systemLibrary) }},
	}
	for _, step := range steps {
		got, err := m.locate(t.Context())
		if err != nil {
			t.Fatalf("locate: %v", err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("location (-want +got):\n%s", diff)
		}
		if err := step.drop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.locate(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("nothing left: %v, want ErrNotFound", err)
	}
}

func TestNotFoundNamesTheThreeWays(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	_, err := findOrInstall(t.Context(), Config{Getenv: m.getenv, Progress: func(string) {}})
	if !errors.Is(err, ErrNotFound) {
		t.Fatalf("error %v, want ErrNotFound", err)
	}
	if strings.Contains(err.Error(), "RESCIND_CLICKHOUSE_ADDR") {
		t.Errorf("error names what nothing here reads:\n%v", err)
	}
	for _, way := range []string{"clickhouse binary", "RESCIND_LIBCHDB", "rescind engine install", "npm is not on PATH"} {
		if !strings.Contains(err.Error(), way) {
			t.Errorf("error does not name %q:\n%v", way, err)
		}
	}
}

func TestUnfitBinariesArePassedOver(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		fmt.Sprintf(versionScript, "18.16.1"):   "older than 25.8",
		fmt.Sprintf(versionScript, "25.7.99.1"): "older than 25.8",
		"echo 'something else'":                 "cannot read",
		"exit 3":                                "exit status 3",
	}
	for script, reason := range tests {
		m := newMachine(t)
		path := m.command(t, "clickhouse", script)
		m.file(t, m.systemLibrary, "system")
		got, err := m.locate(t.Context())
		if err != nil || got.Source != "system" {
			t.Errorf("%s: located %+v, %v", script, got, err)
		}
		if len(got.Passed) != 1 || !strings.Contains(got.Passed[0], reason) || !strings.Contains(got.Passed[0], path) {
			t.Errorf("%s: passed over %q, want %q", script, got.Passed, reason)
		}
	}
}

func TestRecent(t *testing.T) {
	for version, want := range map[string]bool{
		"25.8": true, "25.8.1.2": true, "25.10.1": true, "26.1": true, "100.0": true,
		"25.7.9": false, "24.12": false, "18.16.1": false,
	} {
		if got := recent(version); got != want {
			t.Errorf("recent(%s) = %v", version, got)
		}
	}
}

// TestNamedLibraryMustExist: what somebody asked for by name is not replaced in
// silence.
func TestNamedLibraryMustExist(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.file(t, m.systemLibrary, "system")
	for _, path := range []string{filepath.Join(m.bin, "nowhere.so"), m.bin} {
		m.env["RESCIND_LIBCHDB"] = path
		if got, err := m.locate(t.Context()); err == nil || !strings.Contains(err.Error(), "RESCIND_LIBCHDB") {
			t.Errorf("%s: located %+v, %v", path, got, err)
		}
	}
}

func TestLibraryNeedsMainIfChild(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.finder.checked = func() bool { return false }
	library := Location{Kind: KindLibrary}
	if err := m.runnable(library, nil); err == nil || !strings.Contains(err.Error(), "MainIfChild") {
		t.Errorf("library: %v", err)
	}
	if err := m.runnable(Location{Kind: KindBinary}, nil); err != nil {
		t.Errorf("binary: %v", err)
	}
}

// TestBinaryIsRunAsServer has a clickhouse that writes down how it was called,
// and ends.
func TestBinaryIsRunAsServer(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	record := filepath.Join(m.bin, "called")
	m.command(t, "clickhouse", `case "$*" in *--version) `+fmt.Sprintf(versionScript, "25.8.1.1")+`; exit;; esac
printf '%s\n' "$@" > '`+record+`'
echo "cannot go on" >&2
exit 7
`)
	dir := filepath.Join(t.TempDir(), "engine")
	_, err := Start(t.Context(), Config{
		Dir: dir, Getenv: m.getenv,
		Users: []User{{Name: "writer", Password: "battery-staple"}},
	})
	if err == nil || !strings.Contains(err.Error(), "cannot go on") || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("Start = %v, want what the server said", err)
	}
	got, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("server\n--config-file="+filepath.Join(dir, "config.xml")+"\n", string(got)); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	users, err := os.ReadFile(filepath.Join(dir, "users.xml"))
	if err != nil || strings.Contains(string(users), "<default><no_password>") || !strings.Contains(string(users), "<writer>") {
		t.Errorf("users.xml: %v\n%s", err, users)
	}
}

// TestHungBinaryIsEnded: a server that never answers is killed when the start
// runs out of time, and does not outlive it.
func TestHungBinaryIsEnded(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.command(t, "clickhouse", `case "$*" in *--version) `+fmt.Sprintf(versionScript, "25.8.1.1")+`; exit;; esac
exec /bin/sleep 600
`)
	_, err := Start(t.Context(), Config{Dir: t.TempDir(), Getenv: m.getenv, StartTimeout: 300_000_000})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("Start = %v", err)
	}
}
