package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// ErrNotFound says that this machine has no engine; the error around it names
// the ways to get one.
var ErrNotFound = errors.New("no ClickHouse engine found")

// The oldest server that the migrations and queries are written for.
const (
	minMajor = 25
	minMinor = 8
)

const systemLibrary = "/usr/local/lib/libchdb.so"

// Kind is the form an engine comes in.
type Kind string

// The kinds.
const (
	KindBinary  Kind = "binary"  // a clickhouse executable, run as `clickhouse server`
	KindLibrary Kind = "library" // libchdb, run in a re-executed child
)

// Location is an engine that was found.
type Location struct {
	Kind    Kind
	Path    string
	Version string // "" where only running it would tell
	Source  string // how it was found: "PATH", "RESCIND_LIBCHDB", "cache", "system" or "npm"
	// Passed lists what was looked at before and why it was not taken.
	Passed []string
}

// Locate finds the engine that Start would run, without installing one: a
// clickhouse on PATH, then RESCIND_LIBCHDB, then the cache, then
// /usr/local/lib/libchdb.so. nil for getenv means os.Getenv.
func Locate(ctx context.Context, getenv func(string) string) (Location, error) {
	if getenv == nil {
		getenv = os.Getenv
	}
	return newFinder(getenv).locate(ctx)
}

// findOrInstall is Locate, then Install.
func findOrInstall(ctx context.Context, cfg Config) (Location, error) {
	f := newFinder(cfg.Getenv)
	location, err := f.locate(ctx)
	if !errors.Is(err, ErrNotFound) {
		return location, f.runnable(location, err)
	}
	if !libraryBuilt {
		return Location{}, err
	}
	library, installErr := f.install(ctx, InstallConfig{Progress: cfg.Progress})
	if installErr != nil {
		return Location{}, fmt.Errorf("%w\ninstalling one failed: %w", err, installErr)
	}
	location = Location{Kind: KindLibrary, Path: library.Path, Version: library.Version, Source: "npm"}
	return location, f.runnable(location, nil)
}

// finder holds what the search depends on, so that a test can set it.
type finder struct {
	getenv        func(string) string
	goos, goarch  string
	systemLibrary string
	checked       func() bool
}

func newFinder(getenv func(string) string) finder {
	return finder{
		getenv: getenv, goos: runtime.GOOS, goarch: runtime.GOARCH,
		systemLibrary: systemLibrary, checked: checked.Load,
	}
}

// runnable refuses a library in a process that could not become its child.
func (f finder) runnable(location Location, err error) error {
	switch {
	case err != nil || location.Kind != KindLibrary:
		return err
	case !libraryBuilt:
		return fmt.Errorf("%s: this binary was built with -tags nolibchdb and cannot run a library", location.Path)
	case !f.checked():
		return errors.New("engine.MainIfChild was not called first in main or TestMain")
	}
	return nil
}

func (f finder) locate(ctx context.Context) (Location, error) {
	var passed []string
	for _, look := range []func(context.Context) (Location, error){f.onPath, f.inEnvironment, f.inCache, f.inSystem} {
		location, err := look(ctx)
		var skip *passedError
		switch {
		case err == nil:
			location.Passed = passed
			return location, nil
		case !errors.As(err, &skip):
			return Location{}, err
		case skip.reason != "":
			passed = append(passed, skip.reason)
		}
	}
	return Location{Passed: passed}, notFound(passed)
}

// passedError makes the search go on. An empty reason is not worth telling.
type passedError struct{ reason string }

func (p *passedError) Error() string { return "passed over: " + p.reason }

func passed(format string, args ...any) error {
	return &passedError{reason: fmt.Sprintf(format, args...)}
}

func (f finder) onPath(ctx context.Context) (Location, error) {
	path := f.lookPath("clickhouse")
	if path == "" {
		return Location{}, passed("")
	}
	version, err := binaryVersion(ctx, path)
	if err != nil {
		return Location{}, passed("%s: %v", path, err)
	}
	if !recent(version) {
		return Location{}, passed("%s is version %s, older than %d.%d", path, version, minMajor, minMinor)
	}
	return Location{Kind: KindBinary, Path: path, Version: version, Source: "PATH"}, nil
}

// inEnvironment takes what somebody named on purpose: a wrong name is an error,
// not a reason to take something else.
func (f finder) inEnvironment(context.Context) (Location, error) {
	path := f.getenv("RESCIND_LIBCHDB")
	if path == "" {
		return Location{}, passed("")
	}
	if err := regularFile(path); err != nil {
		return Location{}, fmt.Errorf("RESCIND_LIBCHDB: %w", err)
	}
	return Location{Kind: KindLibrary, Path: path, Source: "RESCIND_LIBCHDB"}, nil
}

func (f finder) inCache(context.Context) (Location, error) {
	library, err := f.cached()
	if errors.Is(err, os.ErrNotExist) {
		return Location{}, passed("")
	}
	if err != nil {
		return Location{}, passed("cache: %v", err)
	}
	return Location{Kind: KindLibrary, Path: library.Path, Version: library.Version, Source: "cache"}, nil
}

func (f finder) inSystem(context.Context) (Location, error) {
	if regularFile(f.systemLibrary) != nil {
		return Location{}, passed("")
	}
	return Location{Kind: KindLibrary, Path: f.systemLibrary, Source: "system"}, nil
}

func regularFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	return nil
}

// lookPath is exec.LookPath over our own PATH; "" when there is none.
func (f finder) lookPath(name string) string {
	for _, dir := range filepath.SplitList(f.getenv("PATH")) {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if filepath.IsAbs(path) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

var versionPattern = regexp.MustCompile(`version (\d+\.\d+[0-9.]*)`)

func binaryVersion(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "server", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask for its version: %w", err)
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return "", fmt.Errorf("ask for its version: cannot read %q", lastLines(out, 1))
	}
	return string(match[1]), nil
}

// recent reports whether version, which matches versionPattern, is new enough.
func recent(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	major, majorErr := strconv.Atoi(parts[0])
	minor, minorErr := strconv.Atoi(parts[1])
	if majorErr != nil || minorErr != nil {
		return false
	}
	return major > minMajor || major == minMajor && minor >= minMinor
}

// notFound names the ways to an engine, and what was passed over.
func notFound(passed []string) error {
	var b strings.Builder
	for _, reason := range passed {
		b.WriteString("\n  passed over: " + reason)
	}
	return fmt.Errorf(`%w. Any one of these gives you one:
  1. put a clickhouse binary, %d.%d or later, on PATH
  2. set RESCIND_LIBCHDB to a libchdb.so
  3. put npm on PATH; then it is installed by itself, or by rescind engine install%s`,
		ErrNotFound, minMajor, minMinor, b.String())
}
