package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/app"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/verify"
)

func newVerify(env environment) *cobra.Command {
	var o verify.Config
	cmd := &cobra.Command{
		Use: "verify", Short: "Compare ClickHouse and the revocation feed with the log; or verify a receipt", Args: cobra.NoArgs,
		Long: `Verify reads the log, and says what ClickHouse or the revocation feed has
otherwise: missing, extra, changed or reordered, by index. It changes nothing.
Exit code 0: no difference; 3: there are some. What is not projected yet was not
compared: it is lag, and said so, and no difference until it is older than
--max-lag. So a deployment may go on working meanwhile. With --wait it first
waits until the stores have all that the log has now; what they still lack when
the time is up is missing.

Where tenants are split over shards it says so of each, or with --shard of one.

It finds the stores of a running rescind dev by --data, or those of rescind
serve by the same --config, RESCIND_* variables and flags.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runVerify(cmd, env, o) },
	}
	addStoreFlags(cmd)
	f := cmd.Flags()
	f.Uint64Var(&o.From, "from", 0, "first `index` to compare with ClickHouse")
	f.Uint64Var(&o.To, "to", 0, "last `index` to compare with ClickHouse, 0 for no bound")
	f.IntVar(&o.Limit, "limit", 100, "differences to show; all are counted")
	f.DurationVar(&o.MaxLag, "max-lag", 10*time.Minute, "how old what is not projected may be")
	f.DurationVar(&o.Wait, "wait", 0, "how long to wait for the stores to catch up")
	f.StringVar(&o.Scratch, "scratch", "", "`folder` for temporary files, about 200 bytes a record")
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage("%w (see %s --help)", err, c.CommandPath()) }) // it is a command by itself
	cmd.AddCommand(newVerifyReceipt(env))
	return cmd
}

func runVerify(cmd *cobra.Command, env environment, o verify.Config) error {
	if o.Limit < 1 || o.To != 0 && o.To < o.From || o.MaxLag <= 0 || o.Wait < 0 {
		return usage("--limit must be at least 1, --to not below --from, --max-lag above 0 and --wait not below")
	}
	cfg, err := storeConfig(cmd, env, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	stores, err := app.OpenStores(cfg)
	if err != nil {
		return err
	}
	defer stores.Close()
	o.NATS, o.ClickHouse, o.FeedKey = stores.NATS, stores.ClickHouse, stores.FeedKey
	o.Shards, o.Only = cfg.Shards, cfg.OwnShards()
	o.Progress = func(what string, done, of uint64) {
		if of > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "reading %s: %d of %d\n", what, done, of)
			return
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "reading %s: %d\n", what, done)
	}
	reports, err := verify.Run(cmd.Context(), o)
	if err != nil {
		return err
	}
	if err := show(cmd, reports, func(w io.Writer) { printAllVerified(w, reports, cfg.Shards) }); err != nil || reports.Clean() {
		return err
	}
	return errNo
}

func printAllVerified(w io.Writer, reports verify.Reports, shards int) {
	for _, r := range reports {
		if shards > 1 {
			fmt.Fprintf(w, "shard %d\n", r.Shard)
		}
		printVerified(w, r)
	}
}

func printVerified(w io.Writer, r *verify.Report) {
	n := func(v uint64) string { return fmt.Sprint(v) }
	table(w, []string{"STORE", "HOLDS", "REACHES", "BEHIND"}, [][]string{
		{"log", n(r.Log.Records) + " records in " + n(r.Log.Batches) + " batches", "seq " + n(r.Log.LastSeq), ""},
		{"clickhouse", n(r.ClickHouse.Events) + " events, " + n(r.ClickHouse.Payloads) + " payloads", "index " + n(r.ClickHouse.Position), "not yet projected: " + n(r.ClickHouse.NotProjected)},
		{"revocations", n(r.Feed.Entries) + " entries, " + n(r.Feed.Deltas) + " deltas", "index " + n(r.Feed.Position), "not yet in the feed: " + n(r.Feed.NotInFeed)},
	})
	if r.Log.Root != "" {
		fmt.Fprintf(w, "root %s\n", r.Log.Root)
	}
	for _, note := range lags(r) {
		fmt.Fprintln(w, note)
	}
	if r.Clean {
		fmt.Fprintln(w, "no difference")
		return
	}
	for _, d := range r.Differences {
		fmt.Fprintln(w, d)
	}
	fmt.Fprintf(w, "%d differences", r.Total)
	for i, c := range r.Counts {
		fmt.Fprintf(w, "%s%s %s: %d", map[bool]string{true: " (", false: ", "}[i == 0], c.Place, c.Kind, c.Count)
	}
	fmt.Fprintln(w, ")")
}

// lags is what a report did not compare.
func lags(r *verify.Report) (notes []string) {
	note := func(n uint64, what string, since *time.Time) {
		if n == 0 {
			return
		}
		line := fmt.Sprintf("%d %s", n, what)
		if since != nil {
			line += fmt.Sprintf(", the oldest for %s", time.Since(*since).Round(time.Second))
		}
		notes = append(notes, line)
	}
	note(r.ClickHouse.NotProjected, "events behind, not compared", r.ClickHouse.Since)
	note(r.ClickHouse.NotMarked, "duplicates not marked yet", nil)
	note(r.Feed.NotInFeed, "revocations and lifts behind, not compared", r.Feed.Since)
	return notes
}

// addStoreFlags declares how a command finds the stores themselves.
func addStoreFlags(cmd *cobra.Command) {
	addConfigFlags(cmd)
	cmd.Flags().String("data", "", "`folder` of a running rescind dev, whatever the variables say (RESCIND_DATA, default .rescind)")
}

// storeConfig is the configuration of the deployment whose stores are meant: the
// one that the command line names, then that of the variables, then that of a
// rescind dev.
func storeConfig(cmd *cobra.Command, env environment, log *slog.Logger) (out app.Config, err error) {
	out = app.Config{Getenv: env.getenv, Log: log}
	given := cmd.Flags().Lookup("data")
	data, setting := given.Value.String(), givenSetting(cmd)
	switch {
	case given.Changed && data == "":
		return out, usage("--data is empty (see %s --help)", cmd.CommandPath())
	case given.Changed && setting != "":
		return out, usage("%s: --data and --%s name two deployments: give one of them", cmd.CommandPath(), setting)
	case !given.Changed && (setting == "config" || cmd.Flags().Changed("nats-url") || env.getenv("RESCIND_NATS_URL") != ""):
		out.Config, err = loadConfig(cmd, env)
	default:
		out.Config, err = devConfig(cmd, first(data, env.getenv("RESCIND_DATA"), ".rescind"))
	}
	return out, err
}

// givenSetting is a flag of serve's configuration that was given, --config first;
// "" where none was. A shard is one of whatever deployment is meant.
func givenSetting(cmd *cobra.Command) string {
	if cmd.Flags().Changed("config") {
		return "config"
	}
	for _, f := range config.Fields() {
		if f.Flag() != "shard" && cmd.Flags().Changed(f.Flag()) {
			return f.Flag()
		}
	}
	return ""
}

// devConfig is the configuration of the rescind dev in a folder.
func devConfig(cmd *cobra.Command, dir string) (config.Config, error) {
	cfg, err := dev.ConfigOf(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = usage("no running Rescind: no dev.json in %s; start `rescind dev --data %s`, or give --config", dir, dir)
	}
	if err == nil {
		err = ofShard(cmd, &cfg)
	}
	return cfg, err
}

// ofShard takes the shard of the command line into cfg, of which nothing else
// is given there.
func ofShard(cmd *cobra.Command, cfg *config.Config) error {
	given, err := cmd.Flags().GetString("shard")
	if err != nil || !cmd.Flags().Changed("shard") {
		return err
	}
	shard, err := strconv.Atoi(given)
	if err != nil || shard < -1 || shard >= cfg.Shards {
		return usage("--shard %.20q: want -1 (all) to %d", given, cfg.Shards-1)
	}
	cfg.Shard = shard
	return nil
}
