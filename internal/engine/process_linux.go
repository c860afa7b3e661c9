package engine

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// selfPath names this executable for a re-exec, even after the file on disk was
// replaced by an upgrade.
func selfPath() (string, error) { return "/proc/self/exe", nil }

// childAttributes gives the child a session of its own: ^C in a terminal reaches
// us and not it, and it has no terminal to draw on; and has the kernel kill it when we die.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// maxNice is as far as a thread can stand back.
const maxNice = 19

// beNice has the calling thread stand back by so much more, and what it executes
// from now on. Less than we do ourselves nothing may, without being root.
func beNice(nice int) error {
	if nice == 0 {
		return nil
	}
	priority, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return os.NewSyscallError("getpriority", err)
	}
	is := 20 - priority // as the system call has it, and not the C library
	return os.NewSyscallError("setpriority", syscall.Setpriority(syscall.PRIO_PROCESS, 0, min(is+nice, maxNice)))
}

// beNiceAs has the session of pid be nice: where the kernel shares the cores
// among sessions first (sched(7), autogroups), what its threads say counts only
// among themselves. Where it does not, there is nothing to say.
func beNiceAs(pid, nice int) {
	if nice != 0 {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), strconv.AppendInt(nil, int64(nice), 10), 0)
	}
}
