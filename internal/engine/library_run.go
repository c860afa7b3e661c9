//go:build !nolibchdb

package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

// libraryBuilt says that this binary can run the library.
const libraryBuilt = true

// orphanGrace is how long the child may take to end in good order once its
// parent has gone or asked it to.
const orphanGrace = 20 * time.Second

// runLibrary runs `clickhouse local` until the parent closes our stdin, by
// will or by dying.
//
// The session must be interactive, on a terminal. In a session that is not,
// ClickHouse installs an error handler that ends the process at the first
// exception that leaves a connection's thread, and a wrong password over TCP is
// one. So we give it a pseudo-terminal as stdin: after start.sql has opened the
// listeners it waits there for a line that never comes, and hanging up is how
// it is told to end in good order.
func runLibrary(path string, args []string) error {
	parent, terminal, err := swapStdin()
	if err != nil {
		return fmt.Errorf("open pseudo-terminal: %w", err)
	}
	main, err := loadMain(path)
	if err != nil {
		return err
	}
	go drain(terminal)
	go hangUpAfter(parent, terminal)
	return main(append([]string{"clickhouse"}, args...))
}

// hangUpAfter waits for the parent to go, then hangs up the terminal. A child
// that does not end by that, because it is still starting, or hung, is ended.
func hangUpAfter(parent io.Reader, terminal io.Closer) {
	_, _ = io.Copy(io.Discard, parent)
	_ = terminal.Close()
	<-time.After(orphanGrace)
	os.Exit(1)
}

// drain reads what the session echoes, or it would block on a full terminal.
func drain(terminal io.Reader) { _, _ = io.Copy(io.Discard, terminal) }

// localResult is chDB's struct local_result_v2: a buffer and its length, the
// vector that holds it, elapsed time, rows and bytes read, and the error.
type localResult struct {
	_   [6]uint64
	err *byte
}

// loadMain opens the library and returns its `clickhouse local`.
func loadMain(path string) (func(args []string) error, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("load library: %w", err)
	}
	symbol, err := purego.Dlsym(handle, "query_stable_v2")
	if err != nil {
		return nil, fmt.Errorf("load library %s: %w", path, err)
	}
	var query func(argc int32, argv unsafe.Pointer) *localResult
	purego.RegisterFunc(&query, symbol)
	return func(args []string) error {
		argv, pinned := cStrings(args)
		defer pinned.Unpin()
		result := query(int32(len(args)), unsafe.Pointer(&argv[0]))
		if result != nil && result.err != nil {
			return errors.New(goString(result.err))
		}
		return nil
	}, nil
}

// cStrings returns args as a C argv, pinned until Unpin.
func cStrings(args []string) ([]*byte, *runtime.Pinner) {
	pinned := new(runtime.Pinner)
	argv := make([]*byte, len(args)+1)
	for i, arg := range args {
		argv[i] = unsafe.SliceData(append([]byte(arg), 0))
		pinned.Pin(argv[i])
	}
	pinned.Pin(&argv[0])
	return argv, pinned
}

func goString(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}
