package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// built is the command that was built for this run.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// command is the path of the rescind command, built once in a run of tests
// from what is there, without the race detector: it is what users get.
func command() (string, error) {
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "rescind-crash-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", built.dir, "github.com/rescindhq/rescind/cmd/rescind")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the command: %w\n%s", err, out)
		}
	})
	return filepath.Join(built.dir, "rescind"), built.err
}

// Clean removes what was built. TestMain calls it last.
func Clean() error {
	if built.dir == "" {
		return nil
	}
	return os.RemoveAll(built.dir)
}
