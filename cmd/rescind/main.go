// Command rescind runs every part of Rescind and talks to a running one:
// `rescind demo` shows what it is for, `rescind dev` keeps such a stack,
// `rescind serve` runs it against a NATS and a ClickHouse of yours. Everything
// that prints a result takes --json. It exits 0 when the thing was done, 1 when
// it failed, 2 when the command line was wrong, and 3 when the answer is no:
// refused, revoked or invalid.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/rescindhq/rescind/internal/engine"
)

func main() {
	engine.MainIfChild()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := exitCode(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr), os.Stderr)
	stop()
	os.Exit(code)
}
