package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// tailSize is how much of the child's stderr is kept.
const tailSize = 8 << 10

// launchSpec is what to execute.
type launchSpec struct {
	path string
	args []string
	env  []string
	dir  string
	// stdinStops: closing stdin ends the child in good order (the library);
	// otherwise SIGTERM does (clickhouse server).
	stdinStops bool
	nice       int // see Config.Nice
}

// child is one process. err and state are valid once exited is closed.
type child struct {
	cmd     *exec.Cmd
	spec    launchSpec
	stdin   io.Closer
	tail    *tail
	started time.Time
	exited  chan struct{}
	err     error
}

// spawn starts the process on a thread of its own, which stays until the
// process has ended: Linux sends the parent-death signal when the *thread* that
// forked goes, and Go retires threads.
func spawn(spec launchSpec) (*child, error) {
	c := &child{spec: spec, tail: &tail{}, started: time.Now(), exited: make(chan struct{})}
	c.cmd = exec.Command(spec.path, spec.args...)
	c.cmd.Env, c.cmd.Dir, c.cmd.Stderr = spec.env, spec.dir, c.tail
	c.cmd.SysProcAttr = childAttributes()
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("open pipe to engine: %w", err)
	}
	c.stdin = stdin
	startErr := make(chan error)
	go c.run(startErr)
	if err := <-startErr; err != nil {
		return nil, fmt.Errorf("execute engine %s: %w", spec.path, err)
	}
	return c, nil
}

func (c *child) run(startErr chan<- error) {
	runtime.LockOSThread()
	if c.spec.nice == 0 {
		defer runtime.UnlockOSThread() // another thread ends here: it may not come back from being nice
	}
	err := beNice(c.spec.nice)
	if err == nil {
		err = c.cmd.Start()
	}
	if err == nil {
		beNiceAs(c.pid(), c.spec.nice)
	}
	startErr <- err
	if err != nil {
		return
	}
	c.err = c.cmd.Wait()
	close(c.exited)
}

func (c *child) pid() int { return c.cmd.Process.Pid }

func (c *child) signal(sig os.Signal) error { return c.cmd.Process.Signal(sig) }

// terminate asks the child to end in good order. A paused child is woken first,
// or it would never hear.
func (c *child) terminate() {
	_ = c.signal(syscall.SIGCONT)
	if c.spec.stdinStops {
		_ = c.stdin.Close()
		return
	}
	_ = c.signal(syscall.SIGTERM)
}

// kill ends the child at once and waits for it. A dead child is no error.
func (c *child) kill() error {
	if err := c.signal(os.Kill); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-c.exited
	return nil
}

// wasKilled says that SIGKILL ended the child.
func (c *child) wasKilled() bool {
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// refused says that the child complained that a port is taken.
func (c *child) refused() bool { return strings.Contains(c.tail.String(), "Address already in use") }

// failure describes how the child ended, with the last lines of its stderr.
func (c *child) failure(what string) error {
	state := "is still running"
	select {
	case <-c.exited:
		state = c.cmd.ProcessState.String()
	default:
	}
	err := fmt.Errorf("%s: pid=%d %s", what, c.pid(), state)
	if said := c.tail.lines(8); said != "" {
		err = fmt.Errorf("%w\nlast lines of stderr:\n%s", err, said)
	}
	return err
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

func (t *tail) lines(n int) string { return lastLines([]byte(t.String()), n) }

// lastLines returns the last n lines of text that say something: stack frames
// of a stripped library ("3. ? @ 0x…") are left out.
func lastLines(text []byte, n int) string {
	var kept []string
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) > 0 && !bytes.Contains(line, []byte(". ? @ 0x")) {
			kept = append(kept, string(line))
		}
	}
	return strings.Join(kept[max(0, len(kept)-n):], "\n")
}
