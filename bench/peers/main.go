// Command peers appends the same events to Rescind and to PostgreSQL 15, each
// durably, asks both the same questions, and prints the figures side by side.
// README.md says how that is fair and how it is not.
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
	"text/tabwriter"

	"github.com/rescindhq/rescind/internal/engine"
)

// config says how much to measure.
type config struct {
	events   int    // appended in batches
	singles  int    // appended one by one
	queries  int    // of each question
	subjects uint64 // people
	progress func(format string, args ...any)
}

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
	cfg := config{progress: func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }}
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&cfg.events, "events", 1_000_000, "events appended in batches")
	flags.IntVar(&cfg.singles, "singles", 3_000, "events appended one by one")
	flags.IntVar(&cfg.queries, "queries", 200, "times each question is asked")
	flags.Uint64Var(&cfg.subjects, "subjects", 100_000, "people they are about")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if cfg.events < 1 || cfg.singles < 1 || cfg.queries < 1 || cfg.subjects < 2 {
		return fmt.Errorf("--events, --singles and --queries want 1 or more, --subjects 2 or more")
	}
	rows, err := compare(ctx, cfg)
	if err != nil {
		return err
	}
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(rows)
	}
	return table(stdout, rows)
}

func table(w io.Writer, rows []row) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "FIGURE\tUNIT\tRESCIND\tP99\tPOSTGRESQL 15\tP99\tRATIO")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%.4g\t%s\t%.4g\t%s\t%.2f\n", r.Figure, r.Unit, r.Rescind.Value, p99(r.Rescind), r.Postgres.Value, p99(r.Postgres), r.Ratio)
	}
	return t.Flush()
}

func p99(m measured) string {
	if m.P99 == 0 {
		return ""
	}
	return fmt.Sprintf("%.4g", m.P99)
}
