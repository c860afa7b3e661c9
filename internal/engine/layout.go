package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// layout is where things are in Config.Dir.
type layout struct{ dir, data, tmp, files, logDir, config, users, start, log string }

func newLayout(dir string) (layout, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return layout{}, fmt.Errorf("resolve folder: %w", err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	return layout{
		dir: dir, data: in("data"), tmp: in("tmp"), files: in("files"), logDir: in("log"),
		config: in("config.xml"), users: in("users.xml"), start: in("start.sql"),
		log: filepath.Join(in("log"), "engine.log"),
	}, nil
}

// claim makes the folder and takes it for this engine, so that a second one
// cannot write its configuration over this one's.
func (l layout) claim() (unlock func(), err error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	return tryLock(filepath.Join(l.dir, "engine.lock"))
}

// awaitLeft waits until no server uses the data: one whose parent was killed
// may still be on its way out. The server holds this lock for as long as it
// runs, and gives up at once when it cannot have it.
func (l layout) awaitLeft(ctx context.Context) error {
	status := filepath.Join(l.data, "status")
	if _, err := os.Stat(status); errors.Is(err, os.ErrNotExist) {
		return nil // made by us, it would pass for the trace of a crash
	}
	unlock, err := lockFile(ctx, status, func() {})
	if err != nil {
		return fmt.Errorf("wait for the previous server to leave: %w", err)
	}
	unlock()
	return nil
}

// write makes the folders (0700) and the configuration files (0600).
func (l layout) write(s settings) error {
	for _, dir := range []string{l.data, l.tmp, l.files, l.logDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("create folder: %w", err)
		}
	}
	return errors.Join(
		writeFile(l.config, s.configXML()),
		writeFile(l.users, s.usersXML()),
		writeFile(l.start, []byte(startSQL)),
	)
}

// writeFile replaces path as a whole, readable by us alone.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // fails once it has been renamed
	_, err = f.Write(content)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// lastLogLines returns the end of the server's log, if it was written since.
func (l layout) lastLogLines(since time.Time) string {
	const window = 32 << 10
	f, err := os.Open(l.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	// File times are coarser than the clock.
	if err != nil || info.ModTime().Before(since.Add(-time.Second)) {
		return ""
	}
	text, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-window), window))
	if err != nil {
		return ""
	}
	if info.Size() > window { // the first line is cut
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return lastLines(text, 8)
}
