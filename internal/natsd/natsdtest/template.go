package natsdtest

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
)

// template is the folder of a server whose streams were just made. To make them
// takes a hundred syncs of the disk, to write their files none.
type template struct {
	once  sync.Once
	files map[string]file // by their path in the folder
	err   error
}

type file struct {
	mode fs.FileMode
	data []byte // nil for a folder
}

// templates are by topology.
var templates sync.Map

// copied says of which tests a server was copied already: the streams of a
// second one must not be as old as those of the first.
var copied sync.Map

// prepare fills the folder of cfg from a template, where it is empty and the
// test has no such server yet. It reports whether it did.
func prepare(t testing.TB, cfg natsd.Config, topology stream.Topology) bool {
	t.Helper()
	if cfg.Port != 0 || !empty(cfg.Dir) {
		return false
	}
	if _, again := copied.LoadOrStore(t, true); again {
		return false
	}
	t.Cleanup(func() { copied.Delete(t) })
	v, _ := templates.LoadOrStore(topology, new(template))
	of := v.(*template)
	of.once.Do(func() { of.err = of.make(topology) })
	if of.err != nil {
		t.Fatal(of.err)
	}
	for path, f := range of.files {
		if err := f.write(filepath.Join(cfg.Dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	return true
}

func empty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

func (f file) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if f.mode.IsDir() {
		return os.MkdirAll(path, f.mode.Perm())
	}
	return os.WriteFile(path, f.data, f.mode.Perm())
}

// make starts a server, has its streams made, stops it and reads its folder.
func (of *template) make(topology stream.Topology) error {
	dir, err := os.MkdirTemp("", "rescind-natsdtest-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := natsd.Start(ctx, natsd.Config{Dir: dir, Shards: topology.Shards})
	if err != nil {
		return err
	}
	err = ensure(ctx, s, topology)
	if stopped := s.Shutdown(ctx); err == nil {
		err = stopped
	}
	if err != nil {
		return err
	}
	of.files = map[string]file{}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return of.read(dir, path, d)
	})
}

func (of *template) read(dir, path string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	f := file{mode: info.Mode()}
	if !d.IsDir() {
		if f.data, err = os.ReadFile(path); err != nil {
			return err
		}
	}
	of.files[name] = f
	return nil
}

func ensure(ctx context.Context, s *natsd.Server, topology stream.Topology) error {
	nc, err := s.Connect(natsd.Operator)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return stream.Ensure(ctx, js, topology)
}
