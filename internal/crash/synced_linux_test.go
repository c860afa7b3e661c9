package crash_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
)

// copySynced copies what a power loss would have left of a file: pages that
// were written and not synced are zeros, as those of a file are that had grown.
// That the old content of a page would be there, that a file would be shorter,
// or a name gone, is not in it.
func copySynced(to, from string) error {
	if err := copyFile(to, from); err != nil {
		return err
	}
	lost, err := unsynced(from)
	if err != nil || len(lost) == 0 {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	info, err := out.Stat()
	if err != nil {
		return err
	}
	for _, at := range lost {
		if n := min(pageBytes, info.Size()-at); n > 0 {
			if _, err := out.WriteAt(make([]byte, n), at); err != nil {
				return err
			}
		}
	}
	return nil
}

const pageBytes = 4096

// unsynced is where the pages of a file begin that are not on the disk.
func unsynced(path string) (at []int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if some, err := dirty(f, 0, info.Size()); !some || err != nil {
		return nil, err
	}
	for off := int64(0); off < info.Size(); off += pageBytes {
		some, err := dirty(f, off, pageBytes)
		if err != nil {
			return nil, err
		}
		if some {
			at = append(at, off)
		}
	}
	return at, nil
}

// cachestat is the number of cachestat(2), of Linux 6.5, on amd64 and arm64.
const cachestat = 451

// dirty reports whether a part of a file was written and is not on the disk.
func dirty(f *os.File, off, n int64) (bool, error) {
	of := [2]uint64{uint64(off), uint64(n)}
	var stat struct{ cache, dirty, writeback, evicted, recentlyEvicted uint64 }
	_, _, errno := syscall.Syscall6(cachestat, f.Fd(), uintptr(unsafe.Pointer(&of)), uintptr(unsafe.Pointer(&stat)), 0, 0, 0)
	if errno != 0 {
		return false, os.NewSyscallError("cachestat", errno)
	}
	return stat.dirty+stat.writeback > 0, nil
}

// unsyncedBlocks reports whether a block of a stream has what is not on the
// disk.
func unsyncedBlocks(t *testing.T, dir string) (some bool) {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(dir, "nats/data/jetstream/*/streams/*/msgs/*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("no blocks: %v", err)
	}
	for _, b := range blocks {
		at, err := unsynced(b)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		some = some || len(at) > 0
	}
	return some
}

// onDisk is a folder of the test's own on a disk, also where TMPDIR is memory: of
// that nothing can be told apart that was synced.
func onDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		t.Fatal(err)
	}
	const tmpfs = 0x01021994
	if stat.Type != tmpfs {
		return dir
	}
	dir, err := os.MkdirTemp("/var/tmp", "rescind-crash-") // is kept over a restart of the machine
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestUnsyncedIsSeen: a disk on which that cannot be told would make
// TestPowerLoss prove nothing.
func TestUnsyncedIsSeen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(onDisk(t), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 3*pageBytes)); err != nil {
		t.Fatal(err)
	}
	if at, err := unsynced(path); err != nil || len(at) != 3 {
		t.Errorf("written: %d pages are not on the disk, want 3: %v", len(at), err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if at, err := unsynced(path); err != nil || len(at) != 0 {
		t.Errorf("synced: %d pages are not on the disk: %v (TMPDIR, or else /var/tmp, has to be on a disk, and Linux 6.5 or later)", len(at), err)
	}
}
