package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/bench"
)

func newBench(environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure against floors on this machine, in the same run", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchIngest(), newBenchRevoke())
	return cmd
}

func newBenchIngest() *cobra.Command {
	var cfg bench.IngestConfig
	cmd := &cobra.Command{
		Use: "ingest", Short: "From the publisher to a row that can be queried", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cfg.Events < 1 || cfg.Runs < 1 || cfg.Subjects < 2 {
				return usage("bench ingest: --events and --runs want 1 or more, --subjects 2 or more")
			}
			return measure(cmd, func(ctx context.Context, dir string) (*bench.Report, error) {
				cfg.Dir, cfg.Progress = dir, progress(cmd)
				return bench.Ingest(ctx, cfg)
			})
		},
	}
	cmd.Flags().IntVar(&cfg.Events, "events", 50_000, "events a run")
	cmd.Flags().IntVar(&cfg.Runs, "runs", 3, "runs of each figure")
	cmd.Flags().Uint64Var(&cfg.Subjects, "subjects", 100_000, "people they are about")
	return cmd
}

func newBenchRevoke() *cobra.Command {
	var cfg bench.RevokeConfig
	cmd := &cobra.Command{
		Use: "revoke", Short: "From a revocation to a verifier that refuses, and the set itself", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cfg.Revocations < 1 || cfg.Entries < 1 {
				return usage("bench revoke: --revocations and --entries want 1 or more")
			}
			return measure(cmd, func(ctx context.Context, dir string) (*bench.Report, error) {
				cfg.Dir, cfg.Progress = dir, progress(cmd)
				return bench.Revoke(ctx, cfg)
			})
		},
	}
	cmd.Flags().IntVar(&cfg.Revocations, "revocations", 200, "revocations timed one by one")
	cmd.Flags().IntVar(&cfg.Entries, "entries", 1_000_000, "entries of the set whose lookups are timed")
	return cmd
}

// measure runs a benchmark in a folder of its own and prints the report.
func measure(cmd *cobra.Command, run func(ctx context.Context, dir string) (*bench.Report, error)) error {
	dir, err := os.MkdirTemp("", "rescind-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	report, err := run(cmd.Context(), dir)
	if err != nil {
		return err
	}
	return show(cmd, report, func(w io.Writer) { printReport(w, report) })
}

func printReport(w io.Writer, r *bench.Report) {
	rows := make([][]string, len(r.Results))
	for i, x := range r.Results {
		rows[i] = []string{x.Name, figure(x.Value), figure(x.Min), figure(x.Max), strconv.Itoa(x.N), x.Unit, figure(x.Floor), fmt.Sprintf("%.2f", x.Ratio), x.FloorName}
	}
	table(w, []string{"NAME", "MEDIAN", "MIN", "MAX", "N", "UNIT", "FLOOR", "RATIO", "FLOOR IS"}, rows)
	fmt.Fprintf(w, "%s, %d cores, %s/%s, %s\n", r.Machine.CPU, r.Machine.Cores, r.Machine.OS, r.Machine.Arch, r.Machine.Go)
}

// figure is a number with three digits that matter.
func figure(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}
