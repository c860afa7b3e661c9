package crash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// How long a process that ended by itself stays down: twice as long each time,
// as a supervisor would have it. One that was killed is back at once.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Second
	steady     = 5 * time.Second // having run so long, it starts anew with the first
)

// stopWait is how long a process may take to end in good order.
const stopWait = 20 * time.Second

// Process is a program that is started again whenever it ends.
type Process struct {
	Name string

	command func() *exec.Cmd
	log     string // file of its stderr, of all starts

	mu       sync.Mutex
	changed  *sync.Cond
	cmd      *exec.Cmd // that runs now; nil between two
	kills    int
	freezes  int
	starts   int
	ends     []string // why it ended by itself
	killed   bool     // this one is ending because of Kill or Restart
	stopping bool
	gone     bool
}

// startProcess runs command until the test ends.
func startProcess(t testing.TB, name, dir string, command func() *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Name: name, command: command, log: filepath.Join(dir, name+".log")}
	p.changed = sync.NewCond(&p.mu)
	go p.run()
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("last lines of %s:\n%s", name, strings.Join(p.lines(15), "\n"))
		}
	})
	return p
}

// run starts the program again and again, on one thread: Linux sends the signal
// of a parent's death when the thread that forked is gone.
func (p *Process) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pause := firstPause
	for {
		began := time.Now()
		why, again := p.once()
		if !again {
			break
		}
		if why == "" {
			continue
		}
		if time.Since(began) > steady {
			pause = firstPause
		}
		p.idle(pause)
		pause = min(2*pause, lastPause)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.changed.Broadcast()
}

// once runs the program to its end, and is why that came, unless it was killed,
// and whether it is to be started again.
func (p *Process) once() (why string, again bool) {
	cmd := p.command()
	cmd.SysProcAttr = attributes()
	out, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err.Error(), p.ended(err.Error())
	}
	defer out.Close()
	cmd.Stderr = out
	p.mu.Lock()
	if p.stopping {
		p.mu.Unlock()
		return "", false
	}
	if err = cmd.Start(); err == nil {
		p.cmd, p.killed = cmd, false
		p.starts++
		p.changed.Broadcast()
	}
	p.mu.Unlock()
	if err == nil {
		err = cmd.Wait()
	}
	return p.note(err)
}

// note takes down how the program ended.
func (p *Process) note(err error) (why string, again bool) {
	last := strings.Join(p.lines(1), "")
	p.mu.Lock()
	killed := p.killed
	p.cmd = nil
	p.mu.Unlock()
	if killed {
		return "", p.ended("")
	}
	why = fmt.Sprintf("%v: %s", err, last)
	return why, p.ended(why)
}

func (p *Process) ended(why string) (again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if why != "" && !p.stopping {
		p.ends = append(p.ends, why)
	}
	p.changed.Broadcast()
	return !p.stopping
}

// idle waits, or returns once the process is to stop.
func (p *Process) idle(d time.Duration) {
	over := false
	t := time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		over = true
		p.changed.Broadcast()
	})
	defer t.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !over && !p.stopping {
		p.changed.Wait()
	}
}

// Kill ends the program with SIGKILL wherever it is, waiting first until it
// runs, and returns when it is gone. It is started again at once.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.cmd == nil && !p.gone {
		p.changed.Wait()
	}
	if p.gone {
		return
	}
	cmd := p.cmd
	p.killed = true
	if err := cmd.Process.Kill(); err == nil { // an error: it ended by itself just now
		p.kills++
	}
	for p.cmd == cmd {
		p.changed.Wait()
	}
}

// Freeze stops the program for a while, all threads of it, as a pause of the
// machine would: what it was about to do it does later. It may be killed
// meanwhile.
func (p *Process) Freeze(d time.Duration) {
	p.mu.Lock()
	for p.cmd == nil && !p.gone {
		p.changed.Wait()
	}
	cmd := p.cmd
	if cmd == nil || cmd.Process.Signal(syscall.SIGSTOP) != nil { // it ended by itself just now
		p.mu.Unlock()
		return
	}
	p.freezes++
	p.mu.Unlock()
	p.idle(d)
	_ = cmd.Process.Signal(syscall.SIGCONT) // fails where it was killed
}

// Restart ends the program in good order, as an operator would, and returns
// when it is gone. It is started again at once.
func (p *Process) Restart() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := p.cmd
	if cmd == nil {
		return nil
	}
	p.killed = true
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("restart %s: %w", p.Name, err)
	}
	for p.cmd == cmd {
		p.changed.Wait()
	}
	return nil
}

// Pid is the process id of the program that runs now, or 0.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Stop ends the program in good order and for good.
func (p *Process) Stop() error {
	p.mu.Lock()
	p.stopping = true
	cmd := p.cmd
	p.changed.Broadcast()
	p.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Signal(syscall.SIGTERM) // fails where it has ended
	}
	late := time.AfterFunc(stopWait, func() {
		if cmd != nil {
			_ = cmd.Process.Kill()
		}
	})
	defer late.Stop()
	p.mu.Lock()
	for !p.gone {
		p.changed.Wait()
	}
	p.mu.Unlock()
	if cmd != nil && !late.Stop() {
		return fmt.Errorf("%s did not stop within %s", p.Name, stopWait)
	}
	return nil
}

// Kills, Starts and Ends are what happened to it: how often it was killed and
// started, and why it ended by itself.
func (p *Process) Kills() int { p.mu.Lock(); defer p.mu.Unlock(); return p.kills }

// Freezes is how often it was made to stand still.
func (p *Process) Freezes() int { p.mu.Lock(); defer p.mu.Unlock(); return p.freezes }

// Starts is how often it was started.
func (p *Process) Starts() int { p.mu.Lock(); defer p.mu.Unlock(); return p.starts }

// Ends is why it ended, each time that it was not killed.
func (p *Process) Ends() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.ends)
}

// Said reports whether a line of its log holds all the texts, and is that
// line.
func (p *Process) Said(texts ...string) (string, bool) {
	for _, line := range p.lines(0) {
		if !slices.ContainsFunc(texts, func(s string) bool { return !strings.Contains(line, s) }) {
			return line, true
		}
	}
	return "", false
}

// lines is the last n lines of its log, or all where n is 0.
func (p *Process) lines(n int) []string {
	b, err := os.ReadFile(p.log)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []string{err.Error()}
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if n > 0 {
		all = all[max(0, len(all)-n):]
	}
	return all
}
