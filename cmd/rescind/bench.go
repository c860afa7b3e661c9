package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/bench"
	"github.com/rescindhq/rescind/internal/heap"
)

func newBench(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure against floors on this machine, in the same run", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchIngest(env), newBenchRevoke(env), newBenchForget(env))
	return cmd
}

// madeAhead is about what the events take that are made before the clock starts:
// no deployment has them in its memory.
const madeAhead = 256 << 20

func newBenchIngest(env environment) *cobra.Command {
	var cfg bench.IngestConfig
	var profiler string
	cmd := &cobra.Command{
		Use: "ingest", Short: "From the publisher to a row that can be queried", Args: cobra.NoArgs,
		Long: `Ingest measures one profile, or several, on a stack of its own:
  single      one publisher that waits for each event to be durable
  concurrent  100 of them at once
  batch       batches of the SDK, until every row can be queried
  lone        from the acknowledgement of a lone event to its row
  latency     the same under a steady load, by default half of what batch measured
  stored      bytes an event takes in ClickHouse and in the log
  memory      what intake, audit and revoke hold while they get all they can take
  growth      the rate million by million into one store; only when named

Memory and growth run the projector in a process of its own, as everything does
with --apart. A run that loses an event fails.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if slices.Contains(cfg.Profiles, "all") {
				cfg.Profiles = nil
			}
			exe, err := os.Executable()
			if err != nil {
				return err
			}
			cfg.Serve = []string{exe, "serve"}
			if cfg.Events < 1 || cfg.Runs < 1 || cfg.Subjects < 2 || cfg.Duration <= 0 {
				return usage("bench ingest: --events and --runs want 1 or more, --subjects 2 or more, --duration more than 0")
			}
			if err := cfg.Validate(); err != nil {
				return usage("bench ingest: %w", err)
			}
			defer heap.Keep(env.getenv, heap.Goal+madeAhead)() // as serve and dev do
			return profiled(profiler, func() error {
				return measure(cmd, func(ctx context.Context, dir string) (*bench.Report, error) {
					cfg.Dir, cfg.Progress = dir, progress(cmd)
					return bench.Ingest(ctx, cfg)
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Profiles, "profile", []string{"all"}, "what to measure: "+strings.Join(bench.Profiles(), ", ")+"; all is all but growth")
	f.IntVar(&cfg.Events, "events", 200_000, "events a run of batch, and of growth in all")
	f.IntVar(&cfg.Runs, "runs", 3, "runs of each rate")
	f.Uint64Var(&cfg.Subjects, "subjects", 100_000, "people they are about")
	f.DurationVar(&cfg.Duration, "duration", time.Minute, "how long latency and memory take")
	f.Float64Var(&cfg.Rate, "rate", 0, "events/s of latency, 0 for half of what batch measured")
	f.BoolVar(&cfg.Apart, "apart", false, "run intake, audit and revoke in a process of their own, without the API")
	f.StringVar(&profiler, "cpuprofile", "", "write a CPU profile of this process to `file`")
	return cmd
}

// profiled runs do and writes where its time went, if a file is named.
func profiled(path string, do func() error) error {
	if path == "" {
		return do()
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	err = do()
	pprof.StopCPUProfile()
	return errors.Join(err, f.Close())
}

func newBenchRevoke(env environment) *cobra.Command {
	var cfg bench.RevokeConfig
	var profiler string
	cmd := &cobra.Command{
		Use: "revoke", Short: "From a revocation to a verifier that refuses, and the set itself", Args: cobra.NoArgs,
		Long: `Revoke measures one profile, or several:
  propagate  from the acknowledgement of a revocation to a verifier that refuses
  fanout     the same for many verifiers with connections of their own, while
             other events come at a rate
  bulk       many revocations at once, until a verifier refuses every one
  set        memory, and decisions beside lookups in a Go map of the same keys
  readers    the slowest decisions while 50,000 revocations a second are applied
  cold       starting a verifier from a snapshot`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if slices.Contains(cfg.Profiles, "all") {
				cfg.Profiles = nil
			}
			if cfg.Revocations < 1 || cfg.Verifiers < 1 || cfg.Rate <= 0 || cfg.Entries < 1 || cfg.Bulk < 1 {
				return usage("bench revoke: --revocations, --verifiers, --entries and --bulk want 1 or more, --rate more than 0")
			}
			if err := cfg.Validate(); err != nil {
				return usage("bench revoke: %w", err)
			}
			defer heap.Keep(env.getenv, heap.Goal)()
			return profiled(profiler, func() error {
				return measure(cmd, func(ctx context.Context, dir string) (*bench.Report, error) {
					cfg.Dir, cfg.Progress = dir, progress(cmd)
					return bench.Revoke(ctx, cfg)
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Profiles, "profile", []string{"all"}, "what to measure: "+strings.Join(bench.RevokeProfiles(), ", ")+", or all")
	f.IntVar(&cfg.Revocations, "revocations", 200, "revocations timed one by one in propagate and fanout")
	f.IntVar(&cfg.Verifiers, "verifiers", 100, "verifiers of fanout")
	f.Float64Var(&cfg.Rate, "rate", 10_000, "other events/s in fanout")
	f.IntVar(&cfg.Entries, "entries", 1_000_000, "entries of set, readers and cold")
	f.IntVar(&cfg.Bulk, "bulk", 100_000, "revocations of bulk")
	f.StringVar(&profiler, "cpuprofile", "", "write a CPU profile of this process to `file`")
	return cmd
}

func newBenchForget(env environment) *cobra.Command {
	var cfg bench.ForgetConfig
	var profiler string
	cmd := &cobra.Command{
		Use: "forget", Short: "Until a person cannot be read, and what it takes to be able to forget", Args: cobra.NoArgs,
		Long: `Forget measures one profile, or several:
  dictionary  guesses of addresses, and every digest of them that needs no key,
              tried on all that a stack stores; one that is found is an error
  time        from the approval until what is sealed opens to nobody, and until
              the request is completed, of people with few and many events
  keyring     what a person takes in the keyring, on the disk and in memory
  sealing     personal parts that one core seals in a second, beside AES-256-GCM`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if slices.Contains(cfg.Profiles, "all") {
				cfg.Profiles = nil
			}
			if min(cfg.Runs, cfg.People, cfg.Candidates, cfg.Known) < 1 || len(cfg.Events) == 0 || slices.Min(cfg.Events) < 1 {
				return usage("bench forget: --events, --runs, --people, --candidates and --known want 1 or more")
			}
			if err := cfg.Validate(); err != nil {
				return usage("bench forget: %w", err)
			}
			defer heap.Keep(env.getenv, heap.Goal)()
			return profiled(profiler, func() error {
				return measure(cmd, func(ctx context.Context, dir string) (*bench.Report, error) {
					cfg.Dir, cfg.Progress = dir, progress(cmd)
					return bench.Forget(ctx, cfg)
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Profiles, "profile", []string{"all"}, "what to measure: "+strings.Join(bench.ForgetProfiles(), ", ")+", or all")
	f.IntSliceVar(&cfg.Events, "events", []int{1, 1000, 1_000_000}, "events of somebody who is forgotten in time, one size after the other")
	f.IntVar(&cfg.Runs, "runs", 20, "runs of each size, as long as they have at most 2,000,000 events together")
	f.IntVar(&cfg.People, "people", 1_000_000, "people of keyring")
	f.IntVar(&cfg.Candidates, "candidates", 1_000_000, "guesses of dictionary")
	f.IntVar(&cfg.Known, "known", 5_000, "people of dictionary whose addresses are among the guesses")
	f.StringVar(&profiler, "cpuprofile", "", "write a CPU profile of this process to `file`")
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
		rows[i] = []string{
			x.Name, figure(x.Value), figure(x.Min), figure(x.Max), given(x.P99, figure), strconv.Itoa(x.N), x.Unit,
			given(x.Floor, figure), given(x.Ratio, func(v float64) string { return fmt.Sprintf("%.2f", v) }), x.FloorName,
		}
	}
	table(w, []string{"NAME", "MEDIAN", "MIN", "MAX", "P99", "N", "UNIT", "FLOOR", "RATIO", "FLOOR IS"}, rows)
	printGrowth(w, r.Growth)
	fmt.Fprintf(w, "%s, %d cores, %s/%s, %s\n", r.Machine.CPU, r.Machine.Cores, r.Machine.OS, r.Machine.Arch, r.Machine.Go)
}

// printGrowth writes what a plot needs, as CSV, and the plot in a line.
func printGrowth(w io.Writer, growth []bench.Growth) {
	if len(growth) == 0 {
		return
	}
	fmt.Fprintln(w, "events,events_per_s,rss_mib")
	for _, g := range growth {
		fmt.Fprintf(w, "%d,%.0f,%.0f\n", g.Events, g.Rate, g.RSS)
	}
	fmt.Fprintln(w, bench.Sparkline(growth))
}

// given is v as format writes it, or nothing where there is none.
func given(v float64, format func(float64) string) string {
	if v == 0 {
		return ""
	}
	return format(v)
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
