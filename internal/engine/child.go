package engine

import (
	"fmt"
	"os"
	"sync/atomic"
)

// checked says that MainIfChild has run. Start asks: without that call the
// re-executed process would run main, or all the tests, again, and start
// another one.
var checked atomic.Bool

// MainIfChild must be the first call in main and in TestMain. In a process that
// Start has re-executed it runs the engine and never returns; in any other it
// returns at once.
func MainIfChild() {
	library := os.Getenv(childVariable)
	if library == "" {
		checked.Store(true)
		return
	}
	if err := runLibrary(library, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rescind engine:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
