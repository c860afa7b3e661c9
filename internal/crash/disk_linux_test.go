package crash_test

import (
	"math"
	"syscall"
	"testing"
	"unsafe"

	"github.com/rescindhq/rescind/internal/crash"
)

// fillDisk lets no file of the process grow: to it the disk is full. It needs
// no rights and no file system of its own, unlike a small one that is mounted.
func fillDisk(t *testing.T, pid int) { t.Helper(); limitFiles(t, pid, 0) }

func freeDisk(t *testing.T, pid int) { t.Helper(); limitFiles(t, pid, math.MaxUint64) }

// limitFiles sets the soft limit. The hard one stays, or it could not be raised
// again.
func limitFiles(t *testing.T, pid int, size uint64) {
	t.Helper()
	limit := [2]uint64{size, math.MaxUint64}
	_, _, errno := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		t.Fatalf("limit the files of pid=%d: %v", pid, errno)
	}
}

// TestDiskOfNATSIsFull: nobody is told that an event is stored that is not.
// nats-server takes no more writes to a stream whose files could not be
// written, also when there is room again: it must be started anew. Then
// everything goes on by itself.
func TestDiskOfNATSIsFull(t *testing.T) {
	t.Parallel()
	s := crash.NewSite(t, crash.Options{})
	l := crash.StartLoad(s, 1)
	s.Await("events", l.More(200))
	fillDisk(t, s.NATS.Pid())
	s.Await("publishers without an answer", l.Unsure(4))
	freeDisk(t, s.NATS.Pid())
	s.Await("nats says why, although there is room", said(s.NATS, "failed to store", "file too large"))
	if err := s.NATS.Restart(); err != nil {
		t.Fatal(err)
	}
	s.Await("events after the restart", l.More(200))
	s.Verify(l)
	s.Sound()
}
