package crash_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// trap waits, as a debugger would, until a process is about to rename a file,
// and kills it before that is done: the one moment in an insert of ClickHouse's
// that random kills do not find, as it lasts microseconds.
type trap struct {
	pid   int
	match func(path string) bool
	set   chan error  // when every thread is watched
	hit   chan string // the path that was to be renamed; closed without, if the process ended before
}

// setTrap watches pid, a descendant of ours that nobody of us waits for, and
// returns once every thread of it is watched.
func setTrap(t *testing.T, pid int, match func(path string) bool) <-chan string {
	t.Helper()
	tr := &trap{pid: pid, match: match, set: make(chan error, 1), hit: make(chan string, 1)}
	go tr.run()
	if err := <-tr.set; err != nil {
		t.Fatalf("trace pid=%d: %v", pid, err)
	}
	return tr.hit
}

// Of ptrace(2), which package syscall has in parts.
const (
	ptraceSeize          = 0x4206
	ptraceInterrupt      = 0x4207
	ptraceGetSyscallInfo = 0x420e
	optSysgood           = 1
	optClone             = 8
	waitAll              = 0x40000000 // __WALL
	waitOwn              = 0x20000000 // __WNOTHREAD: only what this thread traces
	syscallStop          = syscall.SIGTRAP | 0x80
	eventStop            = 128
	entry                = 1
)

// pathOf is which argument of a system call is the old path.
var pathOf = map[uint64]int{82: 0, 264: 1, 316: 1} // rename, renameat, renameat2

// The first thread of the program belongs to its main goroutine. Go never ends
// that thread, so that a trap which had come to run on it would never let go.
func init() { runtime.LockOSThread() }

// run traces from one thread, as ptrace wants it. The thread ends with it, and
// with the thread the kernel lets go of what is still traced.
func (tr *trap) run() {
	defer close(tr.hit)
	runtime.LockOSThread()
	threads, err := tr.seize()
	tr.set <- err
	for err == nil && threads > 0 {
		var status syscall.WaitStatus
		var tid int
		tid, err = syscall.Wait4(-1, &status, waitAll|waitOwn, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			err = nil
		case err != nil:
		case !status.Stopped():
			threads--
		case status.StopSignal() == syscallStop && tr.caught(tid):
			return
		default:
			if status.TrapCause() == syscall.PTRACE_EVENT_CLONE {
				threads++
			}
			_ = syscall.PtraceSyscall(tid, deliver(status)) // fails where the thread has just been killed
		}
	}
}

// deliver is the signal that a stop keeps from the thread.
func deliver(status syscall.WaitStatus) int {
	sig := status.StopSignal()
	if sig == syscallStop || sig == syscall.SIGTRAP || int(status)>>16 == eventStop {
		return 0
	}
	return int(sig)
}

// seize begins to trace every thread, again and again until there is no new
// one, and stops each so that it goes on from system call to system call.
func (tr *trap) seize() (threads int, err error) {
	known := map[int]bool{}
	for {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", tr.pid))
		if err != nil || len(tasks) == 0 {
			return 0, fmt.Errorf("no threads: %v", err)
		}
		before := len(known)
		for _, task := range tasks {
			tid, err := strconv.Atoi(filepath.Base(task))
			if err != nil || known[tid] {
				continue
			}
			known[tid] = true
			if err := ptrace(ptraceSeize, tid, 0, optSysgood|optClone); err == syscall.ESRCH {
				continue // it has ended
			} else if err != nil && err != syscall.EPERM { // traced already, as the clone of one that is
				return 0, err
			} else if err == nil {
				threads++
				_ = ptrace(ptraceInterrupt, tid, 0, 0)
			}
		}
		if len(known) == before {
			return threads, nil
		}
	}
}

func ptrace(request, tid int, addr, data uintptr) error {
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// caught reports whether tid is about to make the call that is waited for, and
// has killed the process then: a call whose thread is killed at its entry is
// not made.
func (tr *trap) caught(tid int) bool {
	var info [88]byte // struct ptrace_syscall_info: op, 3 bytes, arch, ip, sp, nr, args
	if err := ptrace(ptraceGetSyscallInfo, tid, uintptr(len(info)), uintptr(unsafe.Pointer(&info))); err != nil || info[0] != entry {
		return false
	}
	number := binary.LittleEndian.Uint64(info[24:])
	arg, is := pathOf[number]
	if !is {
		return false
	}
	path := tr.read(binary.LittleEndian.Uint64(info[32+8*arg:]))
	if !tr.match(path) {
		return false
	}
	if err := syscall.Kill(tr.pid, syscall.SIGKILL); err != nil {
		return false
	}
	tr.hit <- path
	return true
}

// read is the string at an address of the process.
func (tr *trap) read(addr uint64) string {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", tr.pid))
	if err != nil {
		return ""
	}
	defer mem.Close()
	buf := make([]byte, 4096)
	n, _ := mem.ReadAt(buf, int64(addr)) // as much as is there
	path, _, _ := strings.Cut(string(buf[:n]), "\x00")
	return path
}
