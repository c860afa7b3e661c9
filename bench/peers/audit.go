package main

import (
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
)

// config says how much to measure of the audit side.
type config struct {
	events   int    // appended in batches
	singles  int    // appended one by one
	queries  int    // of each question
	subjects uint64 // people
	progress func(format string, args ...any)
}

func (c *config) flags(f *flag.FlagSet) {
	f.IntVar(&c.events, "events", 1_000_000, "audit: events appended in batches")
	f.IntVar(&c.singles, "singles", 3_000, "audit: events appended one by one")
	f.IntVar(&c.queries, "queries", 200, "audit: times each question is asked")
	f.Uint64Var(&c.subjects, "subjects", 100_000, "audit: people they are about")
}

func (c *config) validate() error {
	if c.events < 1 || c.singles < 1 || c.queries < 1 || c.subjects < 2 {
		return fmt.Errorf("--events, --singles and --queries want 1 or more, --subjects 2 or more")
	}
	return nil
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
