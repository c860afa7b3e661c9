package crash_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rescindhq/rescind/internal/crash"
)

// TestPowerLoss starts sites on copies of the disks of another, which were made
// while that one was under load. What was acknowledged before a copy began is
// there once, and everything goes on.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	s := crash.NewSite(t, crash.Options{Dir: onDisk(t)})
	syscall.Sync() // the site has been there for a while
	l := crash.StartLoad(s, 1)
	s.Await("records", s.Records(10))
	losses := []*loss{
		// Every disk stops at the same instant. What was written and not synced is
		// gone. Writes that nobody was told of are there in part, and the notes that
		// JetStream keeps beside its blocks, and syncs when it sees fit, are old or
		// cut off.
		{name: "at one instant", around: paused, spoil: torn},
		// As a backup would: one file after the other while they change.
		{name: "file by file", around: func(_ *testing.T, _ *crash.Site, dup func(copying)) { dup(copyFile) }, spoil: func(*testing.T, string) {}},
	}
	for _, lost := range losses {
		lost.dir = t.TempDir()
		lost.around(t, s, func(dup copying) {
			lost.before = l.Heard()
			duplicate(t, lost.dir, s.Dir, dup)
		})
		s.Await("more events", l.More(200)) // the first site goes on: its disks were only read
	}
	l.Stop()
	for _, lost := range losses {
		t.Run(lost.name, func(t *testing.T) { lost.recover(t, l) })
	}
}

// loss is a copy of the disks.
type loss struct {
	name   string
	around func(t *testing.T, s *crash.Site, dup func(copying))
	spoil  func(t *testing.T, dir string)
	dir    string
	before crash.Heard // the copy
}

// recover starts a site on the copy.
func (lost *loss) recover(t *testing.T, l *crash.Load) {
	lost.before.Also(l) // what came later may be in the copy, in part
	lost.spoil(t, lost.dir)
	again := crash.NewSite(t, crash.Options{Dir: lost.dir})
	after := crash.StartLoad(again, 100)
	after.Join(lost.before)
	again.Await("records", again.Records(5))
	again.Verify(after)
	again.Sound()
}

// copying copies one file.
type copying func(to, from string) error

// paused stops the servers, all threads of them, and gives dup what leaves out
// what is not on the disk.
func paused(t *testing.T, s *crash.Site, dup func(copying)) {
	t.Helper()
	pids := []int{s.NATS.Pid(), engineOf(t, s)}
	defer func() {
		for _, pid := range pids {
			signal(t, pid, syscall.SIGCONT)
		}
	}()
	for attempts := 50; ; attempts-- {
		for _, pid := range pids {
			signal(t, pid, syscall.SIGSTOP)
		}
		for _, pid := range pids {
			s.Await("the pause", func() error { return stands(pid) })
		}
		// In the middle of a write the end of a block is not on the disk, while what
		// is before it in the same page is: that cannot be told apart.
		if attempts == 0 || !unsyncedBlocks(t, s.Dir) {
			break
		}
		signal(t, pids[0], syscall.SIGCONT)
	}
	dup(copySynced)
}

func signal(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// stands is nil once no thread of the process runs.
func stands(pid int) error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, thread := range threads {
		b, _ := os.ReadFile(thread) // a thread that has ended stands
		_, rest, _ := strings.Cut(string(b), ") ")
		if rest != "" && !strings.HasPrefix(rest, "T") {
			return fmt.Errorf("thread %s", b)
		}
	}
	return err
}

// order is what is copied before what: whatever is made from something else
// before it, so that no copy is ahead of that from which it would be made
// again, and keys behind all that is sealed with them. What consumers of the
// intake have acknowledged is before the messages: a consumer that is ahead of
// its stream takes what is published next for what it has had. A backup that is
// not of one instant must keep it, too.
var order = []string{
	"engine", "RESCIND_REVOCATIONS", "OBJ_RESCIND_SNAPSHOTS", "RESCIND_INTAKE/obs", "RESCIND_INTAKE", "RESCIND_LOG", "RESCIND_QUARANTINE", "RESCIND_KEYRING", "RESCIND_LOCKS",
}

// duplicate copies a site's folder, in that order and then all the rest.
func duplicate(t *testing.T, to, from string, dup copying) {
	t.Helper()
	files := map[int][]string{}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && (d.IsDir() || !d.Type().IsRegular()) {
			return nil
		}
		rank := slices.IndexFunc(order, func(name string) bool { return strings.Contains(path, "/"+name+"/") })
		if rank < 0 {
			rank = len(order)
		}
		files[rank] = append(files[rank], path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	copied := map[string]bool{} // not twice: the older one counts
	for _, rank := range slices.Sorted(maps.Keys(files)) {
		if rank < len(order) { // what has come since the walk began
			files[rank] = again(t, from, order[rank])
		}
		for _, path := range files[rank] {
			if copied[path] {
				continue
			}
			copied[path] = true
			if err := dup(filepath.Join(to, strings.TrimPrefix(path, from)), path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
}

func again(t *testing.T, from, name string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(path, "/"+name+"/") {
			files = append(files, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// torn puts part of a message that never was behind the last block of every
// stream, and cuts JetStream's index of it.
func torn(t *testing.T, dir string) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	indices, err := filepath.Glob(filepath.Join(dir, "nats/data/jetstream/*/streams/*/msgs/index.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range indices {
		if info, err := os.Stat(index); err != nil || os.Truncate(index, info.Size()/2) != nil {
			t.Fatal(index, err)
		}
	}
	blocks, err := filepath.Glob(filepath.Join(dir, "nats/data/jetstream/*/streams/*/msgs/*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("no blocks: %v", err)
	}
	last := map[string]string{}
	for _, b := range blocks {
		if folder := filepath.Dir(b); number(b) > number(last[folder]) {
			last[folder] = b
		}
	}
	for _, b := range last {
		f, err := os.OpenFile(b, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, 1+rnd.IntN(200))
		for i := range part {
			part[i] = byte(rnd.Uint32())
		}
		if _, err := f.Write(part); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

func number(block string) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(filepath.Base(block), ".blk")) // "" is before all
	return n
}

// engineOf is the process id of ClickHouse itself, below the process that
// supervises it.
func engineOf(t *testing.T, s *crash.Site) (pid int) {
	t.Helper()
	s.Await("a running clickhouse", func() error {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.ClickHouse.Pid()))
		if err != nil {
			return err
		}
		for _, f := range files {
			b, _ := os.ReadFile(f) // a thread that has ended has no children
			if pid, err = strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				return s.Database().Ping(t.Context())
			}
		}
		return fmt.Errorf("no child of %d", s.ClickHouse.Pid())
	})
	return pid
}
