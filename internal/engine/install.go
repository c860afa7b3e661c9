package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// libraryVersion is the package version that we install; its server calls
// itself 26.7.2.
const libraryVersion = "26.7.3-stable.1"

const libraryName = "libchdb.so"

// artifact is one platform's npm package.
type artifact struct {
	name string
	// integrity is the sha512 of the packed package, as npm writes it; "" where
	// we have not been able to see the package. Then npm's own check is all.
	integrity string
	// sha256 of libchdb.so within, hexadecimal; "" as above.
	sha256 string
	// packed and unpacked sizes in bytes, for progress; 0 is unknown.
	packed, unpacked int64
}

// artifactFor returns the package for a platform. All need glibc or macOS.
func artifactFor(goos, goarch string) (artifact, error) {
	switch goos + "/" + goarch {
	case "linux/amd64":
		return artifact{
			name:      "@chdb/lib-linux-x64-gnu",
			integrity: "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
			sha256:    "36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5",
			packed:    178 << 20,
			unpacked:  566330096,
		}, nil
	case "linux/arm64":
		return artifact{name: "@chdb/lib-linux-arm64-gnu"}, nil
	case "darwin/arm64":
		return artifact{name: "@chdb/lib-darwin-arm64"}, nil
	case "darwin/amd64":
		return artifact{name: "@chdb/lib-darwin-x64"}, nil
	}
	return artifact{}, fmt.Errorf("there is no library for %s/%s", goos, goarch)
}

// InstallConfig says how to install. The zero value works.
type InstallConfig struct {
	// Getenv stands for os.Getenv: PATH (npm), HOME and XDG_CACHE_HOME (where to).
	Getenv func(string) string
	// Progress receives lines for people. nil is silent.
	Progress func(string)
	// Force installs again even over a library that is whole.
	Force bool
}

// Library is an installed libchdb.
type Library struct {
	Path    string
	Version string
	Size    int64  // bytes
	SHA256  string // hexadecimal
	// Fresh is true when this call installed it, false when it was there.
	Fresh bool
}

// Install fetches the library with npm, checks it against the pinned integrity
// and puts it into the user's cache folder, whole or not at all. It returns at
// once when a whole one is there. Processes that install at the same time wait
// for the first one, and use what it installed.
func Install(ctx context.Context, cfg InstallConfig) (Library, error) {
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	return newFinder(cfg.Getenv).install(ctx, cfg)
}

func (f finder) install(ctx context.Context, cfg InstallConfig) (Library, error) {
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	dir, err := f.cacheDir()
	if err != nil {
		return Library{}, fmt.Errorf("install engine: %w", err)
	}
	library, err := f.installIn(ctx, dir, cfg)
	if err != nil {
		return Library{}, fmt.Errorf("install engine in %s: %w", dir, err)
	}
	return library, nil
}

func (f finder) installIn(ctx context.Context, dir string, cfg InstallConfig) (Library, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Library{}, err
	}
	unlock, err := lockFile(ctx, filepath.Join(dir, "install.lock"), func() {
		cfg.Progress("waiting for another process to install the ClickHouse engine")
	})
	if err != nil {
		return Library{}, err
	}
	defer unlock()
	if library, err := f.cached(); err == nil && !cfg.Force {
		return library, nil
	}
	return f.fetch(ctx, dir, cfg.Progress)
}

// fetch downloads and unpacks in a folder beside the target and renames. The
// caller holds the lock.
func (f finder) fetch(ctx context.Context, dir string, progress func(string)) (Library, error) {
	art, err := artifactFor(f.goos, f.goarch)
	if err != nil {
		return Library{}, err
	}
	stage, err := freshStage(dir)
	if err != nil {
		return Library{}, err
	}
	defer os.RemoveAll(stage)
	tarball, err := f.npmPack(ctx, art, stage, progress)
	if err != nil {
		return Library{}, err
	}
	if art.integrity == "" {
		progress("no integrity is pinned for " + art.name + ": npm's own check is all there is")
	}
	progress("checking and unpacking " + art.name)
	library, err := unpack(tarball, filepath.Join(stage, libraryName), art)
	if err != nil {
		return Library{}, fmt.Errorf("unpack %s@%s: %w", art.name, libraryVersion, err)
	}
	if err := place(library, filepath.Join(dir, libraryName)); err != nil {
		return Library{}, err
	}
	library.Path, library.Fresh = filepath.Join(dir, libraryName), true
	progress(fmt.Sprintf("installed the ClickHouse engine in %s (%d MB)", dir, library.Size>>20))
	return library, nil
}

// freshStage makes an empty folder, and removes those of installs that were
// killed: we hold the lock, so nobody uses them.
func freshStage(dir string) (string, error) {
	old, err := filepath.Glob(filepath.Join(dir, "stage-*"))
	if err != nil {
		return "", err
	}
	for _, path := range old {
		if err := os.RemoveAll(path); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(dir, "stage-")
}

// npmPack has npm fetch the package from whatever registry it is set up for.
// npm's cache is put into the stage: nothing of 178 MB stays behind in the
// user's, and its growth is what progress is read from.
func (f finder) npmPack(ctx context.Context, art artifact, stage string, progress func(string)) (string, error) {
	npm := f.lookPath("npm")
	if npm == "" {
		return "", errors.New("npm is not on PATH")
	}
	spec := art.name + "@" + libraryVersion
	cmd := exec.CommandContext(ctx, npm, "pack", spec, "--pack-destination", stage,
		"--cache", filepath.Join(stage, "npm"), "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel", "error")
	cmd.Dir = stage
	cmd.Env = append(os.Environ(), "PATH="+f.getenv("PATH"), "HOME="+f.getenv("HOME"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = 5 * time.Second
	stop := watchGrowth(stage, art, progress)
	err := cmd.Run()
	stop()
	if err != nil {
		return "", fmt.Errorf("npm pack %s: %w\n%s", spec, errors.Join(err, ctx.Err()), lastLines(said.Bytes(), 6))
	}
	found, err := filepath.Glob(filepath.Join(stage, "*.tgz"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("npm pack %s: %d packages in %s, want 1", spec, len(found), stage)
	}
	return found[0], nil
}

// watchGrowth tells how much has arrived in stage, every second until stopped.
func watchGrowth(stage string, art artifact, progress func(string)) (stop func()) {
	progress(fmt.Sprintf("fetching the ClickHouse engine with npm: %s@%s (once)", art.name, libraryVersion))
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		ticks := time.NewTicker(time.Second)
		defer ticks.Stop()
		for said := ""; ; {
			select {
			case <-done:
				return
			case <-ticks.C:
				if line := growth(folderSize(filepath.Join(stage, "npm")), art.packed); line != said {
					said = line
					progress(line)
				}
			}
		}
	})
	return func() {
		close(done)
		watching.Wait()
	}
}

func growth(have, want int64) string {
	if want == 0 {
		return fmt.Sprintf("fetching the ClickHouse engine: %d MB", have>>20)
	}
	return fmt.Sprintf("fetching the ClickHouse engine: %d of %d MB", min(have, want)>>20, want>>20)
}

// folderSize adds up what is there; files may come and go meanwhile.
func folderSize(dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // gone between listing and looking
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}
