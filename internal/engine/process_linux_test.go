package engine

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestNiceUnderNice: where we stand back ourselves the engine does so further,
// as only root may have it stand back less.
func TestNiceUnderNice(t *testing.T) {
	t.Parallel()
	for own, want := range map[int]string{3: "10", 15: "19", 19: "19"} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // and it ends with this goroutine
			if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, own); err != nil {
				t.Error(err)
			}
			if err := beNice(7); err != nil {
				t.Error(err)
			}
			stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", syscall.Gettid()))
			if err != nil {
				t.Error(err)
				return
			}
			after := string(stat[strings.LastIndexByte(string(stat), ')')+1:])
			if is := strings.Fields(after)[16]; is != want {
				t.Errorf("nice %d, by 7: %s, want %s", own, is, want)
			}
		}()
		<-done
	}
}
