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

// beNice is for the calling thread, and for what it executes from now on.
func beNice(nice int) error {
	if nice == 0 {
		return nil
	}
	return os.NewSyscallError("setpriority", syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice))
}

// beNiceAs has the session of pid be nice: where the kernel shares the cores
// among sessions first (sched(7), autogroups), what its threads say counts only
// among themselves. Where it does not, there is nothing to say.
func beNiceAs(pid, nice int) {
	if nice != 0 {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), strconv.AppendInt(nil, int64(nice), 10), 0)
	}
}
