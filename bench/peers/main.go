// Command peers does the same with Rescind and with what is used instead, in
// one run on one machine, and prints the figures side by side: events and
// questions beside PostgreSQL 15, revocations beside Redis 7, its pub/sub with
// local maps, and a Bloom filter. README.md says how that is fair and how not.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/rescindhq/rescind/internal/engine"
)

func main() {
	engine.MainIfChild()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	progress := func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }
	audit, revoked := config{progress: progress}, revocationConfig{progress: progress}
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	what := flags.String("what", "audit", "what is compared: audit or revocation")
	asJSON := flags.Bool("json", false, "print JSON")
	audit.flags(flags)
	revoked.flags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch *what {
	case "audit":
		return auditPeers(ctx, audit, stdout, *asJSON)
	case "revocation":
		return revocationPeers(ctx, revoked, stdout, *asJSON)
	default:
		return fmt.Errorf("--what %q: want audit or revocation", *what)
	}
}

func auditPeers(ctx context.Context, cfg config, stdout io.Writer, asJSON bool) error {
	if err := cfg.validate(); err != nil {
		return err
	}
	rows, err := compare(ctx, cfg)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(stdout, rows)
	}
	return table(stdout, rows)
}

func revocationPeers(ctx context.Context, cfg revocationConfig, stdout io.Writer, asJSON bool) error {
	if err := cfg.validate(); err != nil {
		return err
	}
	lines, err := compareRevocation(ctx, cfg)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(stdout, lines)
	}
	return sideBySide(stdout, lines)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
