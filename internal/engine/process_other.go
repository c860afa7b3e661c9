//go:build !linux

package engine

import (
	"os"
	"syscall"
)

// selfPath names this executable for a re-exec.
func selfPath() (string, error) { return os.Executable() }

// childAttributes gives the child a session of its own: ^C in a terminal reaches
// us and not it, and it has no terminal to draw on.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}

// beNice does nothing: priorities are of whole processes here, and this is ours.
func beNice(int) error { return nil }

func beNiceAs(int, int) {}
