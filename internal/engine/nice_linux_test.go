package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rescindhq/rescind/internal/engine"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
)

// TestNice: every thread stands back, but for the one that ClickHouse itself puts
// before all others where it may (it watches the memory), and where the kernel
// shares the cores among sessions, the session does.
func TestNice(t *testing.T) {
	t.Parallel()
	const nice = 7
	priority, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint(min(20-priority+nice, 19))
	e := enginetest.Own(t, engine.Config{Nice: nice})
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", e.Pid()))
	if err != nil || len(threads) < 10 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		after := string(stat[strings.LastIndexByte(string(stat), ')')+1:])
		if is := strings.Fields(after)[16]; is != want && is != "-20" {
			t.Errorf("%s: nice %s", path, is)
		}
	}
	group, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", e.Pid()))
	if err == nil && !strings.HasSuffix(strings.TrimSpace(string(group)), fmt.Sprintf("nice %d", nice)) {
		t.Errorf("session: %s", group)
	}
}
