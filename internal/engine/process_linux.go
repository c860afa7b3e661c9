package engine

import "syscall"

// selfPath names this executable for a re-exec, even after the file on disk was
// replaced by an upgrade.
func selfPath() (string, error) { return "/proc/self/exe", nil }

// childAttributes gives the child a session of its own: ^C in a terminal reaches
// us and not it, and it has no terminal to draw on; and has the kernel kill it when we die.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}
