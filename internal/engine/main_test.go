package engine_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/internal/engine"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
)

// parentVariable makes this test binary start an engine in the folder that it
// names, print the child's process id, and wait to be killed.
const parentVariable = "RESCIND_ENGINE_TEST_PARENT"

func TestMain(m *testing.M) {
	engine.MainIfChild()
	if dir := os.Getenv(parentVariable); dir != "" {
		beParent(dir)
	}
	goleak.VerifyTestMain(enginetest.M{M: m})
}

func beParent(dir string) {
	e, err := engine.Start(context.Background(), engine.Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(e.Pid())
	<-e.Died()
	os.Exit(1)
}
