//go:build !nolibchdb

package engine

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/ebitengine/purego"
)

// swapStdin puts a new pseudo-terminal in the place of stdin and returns what
// stdin was, and the terminal's controlling side. It goes through libc, which
// is the same on Linux and macOS; the ioctls behind it are not.
func swapStdin() (parent, terminal *os.File, err error) {
	libc, err := openLibc()
	if err != nil {
		return nil, nil, err
	}
	controller := libc.posixOpenpt(syscall.O_RDWR | syscall.O_NOCTTY)
	if controller < 0 {
		return nil, nil, errors.New("posix_openpt: no pseudo-terminal to be had (is /dev/pts mounted?)")
	}
	if libc.grantpt(controller) != 0 || libc.unlockpt(controller) != 0 {
		return nil, nil, errors.New("grantpt, unlockpt: refused")
	}
	name := libc.ptsname(controller)
	// We lead a session: without O_NOCTTY this would become its controlling
	// terminal, and hanging up would kill us before we have ended in good order.
	line, err := syscall.Open(name, syscall.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", name, err)
	}
	pipe, err := syscall.Dup(0)
	if err != nil {
		return nil, nil, fmt.Errorf("duplicate stdin: %w", err)
	}
	if libc.dup2(int32(line), 0) < 0 {
		return nil, nil, fmt.Errorf("replace stdin by %s", name)
	}
	// Only a non-blocking file can be closed under a goroutine that reads it.
	if err := syscall.SetNonblock(int(controller), true); err != nil {
		return nil, nil, fmt.Errorf("make pseudo-terminal non-blocking: %w", err)
	}
	return os.NewFile(uintptr(pipe), "parent"), os.NewFile(uintptr(controller), name), syscall.Close(line)
}

// libc holds the calls that Go's syscall package lacks on one system or another.
type libc struct {
	posixOpenpt func(flags int32) int32
	grantpt     func(fd int32) int32
	unlockpt    func(fd int32) int32
	ptsname     func(fd int32) string
	dup2        func(from, to int32) int32
}

func openLibc() (*libc, error) {
	var c libc
	for name, fn := range map[string]any{
		"posix_openpt": &c.posixOpenpt, "grantpt": &c.grantpt, "unlockpt": &c.unlockpt,
		"ptsname": &c.ptsname, "dup2": &c.dup2,
	} {
		symbol, err := purego.Dlsym(purego.RTLD_DEFAULT, name)
		if err != nil {
			return nil, fmt.Errorf("find %s in libc: %w", name, err)
		}
		purego.RegisterFunc(fn, symbol)
	}
	return &c, nil
}
