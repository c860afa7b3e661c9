// Command server is NATS or ClickHouse of a crash.Site, in a process of its own.
// It is built without the race detector, as what users run is: instrumented, the
// servers took more of the processors than all that is tested with them.
package main

import (
	"fmt"
	"os"

	"github.com/rescindhq/rescind/internal/crash"
	"github.com/rescindhq/rescind/internal/engine"
)

func main() {
	engine.MainIfChild()
	if err := crash.Serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
