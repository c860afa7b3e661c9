package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rescindhq/rescind/internal/app"
	"github.com/rescindhq/rescind/internal/config"
)

// process is the projector in a process of its own: intake, audit and revoke,
// without the API, and without the servers and publishers that are here.
type process struct {
	command []string

	mu   sync.Mutex
	pid  int
	heap float64  // MiB that the garbage collector found in use, the most so far
	last []string // of its log
}

// run is app.Run elsewhere.
func (p *process) run(ctx context.Context, c app.Config) error {
	if err := c.Listener.Close(); err != nil {
		return err
	}
	c.Config.Roles = []string{config.RoleIntake, config.RoleAudit, config.RoleRevoke}
	c.Config.HTTP.OperationAddr = "127.0.0.1:0"
	c.Config.Log = "info" // it says when it is ready
	cmd := exec.CommandContext(ctx, p.command[0], p.command[1:]...)
	cmd.Env = append(environ(c.Config), "GODEBUG=gctrace=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the projector: %w", err)
	}
	p.mu.Lock()
	p.pid = cmd.Process.Pid
	p.mu.Unlock()
	p.follow(out, c.Ready)
	if err := cmd.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("the projector's process: %w\n%s", err, strings.Join(p.last, "\n"))
	}
	return nil
}

var (
	isReady = []byte(`"msg":"ready"`)
	// gcTrace is runtime's line about a collection: MiB when it began.
	gcTrace = regexp.MustCompile(`^gc \d+ @.* (\d+)->\d+->\d+ MB`)
)

// follow reads what the process says until it ends.
func (p *process) follow(out io.Reader, ready func()) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for once := false; lines.Scan(); {
		line := lines.Bytes()
		if !once && bytes.Contains(line, isReady) {
			once = true
			ready()
		}
		p.note(line)
	}
	_, _ = io.Copy(io.Discard, out) // a line that is too long must not block it
}

const lastLines = 20

func (p *process) note(line []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := gcTrace.FindSubmatch(line); m != nil {
		mib, _ := strconv.ParseFloat(string(m[1]), 64) // digits
		p.heap = max(p.heap, mib)
		return
	}
	p.last = append(p.last, string(line))
	p.last = p.last[max(0, len(p.last)-lastLines):]
}

// peakHeap is the most that was in use when a collection began, in MiB.
func (p *process) peakHeap() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heap
}

// rss is what the process holds now, and the most it has held, in MiB.
func (p *process) rss() (now, peak float64, err error) {
	p.mu.Lock()
	path := fmt.Sprintf("/proc/%d/status", p.pid)
	p.mu.Unlock()
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, fmt.Errorf("memory of the projector, which only Linux tells: %w", err)
	}
	now, peak = kib(b, "VmRSS:"), kib(b, "VmHWM:")
	if now == 0 || peak == 0 {
		err = errors.New("memory of the projector: its process has ended")
	}
	return now, peak, err
}

// kib is the value of a line of /proc/PID/status, in MiB.
func kib(status []byte, name string) float64 {
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			v, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64) // 0 is reported
			return v / 1024
		}
	}
	return 0
}

// environ is c as the environment of `rescind serve`, and nothing else of ours
// but where to find things.
func environ(c config.Config) []string {
	env := settings("RESCIND", reflect.ValueOf(c))
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GOMEMLIMIT", "GOGC", "GOMAXPROCS"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func settings(prefix string, v reflect.Value) (env []string) {
	for i := range v.NumField() {
		name, f := prefix+"_"+strings.ToUpper(v.Type().Field(i).Tag.Get("koanf")), v.Field(i)
		switch list, isList := f.Interface().([]string); {
		case f.Kind() == reflect.Struct:
			env = append(env, settings(name, f)...)
		case isList:
			env = append(env, name+"="+strings.Join(list, ","))
		case !f.IsZero():
			env = append(env, fmt.Sprintf("%s=%v", name, f.Interface()))
		}
	}
	return env
}
