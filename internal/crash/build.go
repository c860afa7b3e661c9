package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// built is the programs that were built for this run.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// executable is the path of a program, the rescind command or the server of a
// site. Both are built once in a run of tests from what is there, without the
// race detector, as what users get, and without what a debugger wants.
func executable(name string) (string, error) {
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "rescind-crash-"); built.err != nil {
			return
		}
		const module = "github.com/rescindhq/rescind/"
		cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", built.dir, module+"cmd/rescind", module+"internal/crash/server")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the image is
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the command: %w\n%s", err, out)
		}
	})
	return filepath.Join(built.dir, name), built.err
}

// Clean removes what was built. TestMain calls it last.
func Clean() error {
	if built.dir == "" {
		return nil
	}
	return os.RemoveAll(built.dir)
}
