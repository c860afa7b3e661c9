package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/app"
)

func newRebuild(env environment) *cobra.Command {
	var o app.RebuildOptions
	cmd := &cobra.Command{
		Use: "rebuild", Short: "Make ClickHouse and the revocation feed anew from the log", Args: cobra.NoArgs,
		Long: `Rebuild makes a database beside the one that is there, verifies it against the
log, and gives it its name; what was there is kept under another one. Then it
takes away the snapshot and the deltas of the revocation feed, so that they are
made from the log: verifiers resync by themselves, and answer unknown for some
seconds meanwhile. A deployment may go on working. Killed, it is run again.

It needs an account that may replace the database (clickhouse.rebuilder_user)
and the operator's credentials (nats.operator_creds).`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRebuild(cmd, env, o) },
	}
	addStoreFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.Tables, "tables", true, "rebuild ClickHouse")
	f.BoolVar(&o.Feed, "feed", true, "rebuild the revocation feed")
	f.BoolVar(&o.DropOld, "drop-old", false, "drop the database that was replaced")
	return cmd
}

func runRebuild(cmd *cobra.Command, env environment, o app.RebuildOptions) error {
	if !o.Tables && !o.Feed {
		return usage("nothing to rebuild: --tables and --feed are both off")
	}
	if cmd.Flags().Changed("shard") {
		return usage("--shard: a rebuild is of all shards, which are in one database and one feed")
	}
	cfg, err := storeConfig(cmd, env, slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	o.Progress = func(step string) { fmt.Fprintln(cmd.ErrOrStderr(), step) }
	done, err := app.Rebuild(cmd.Context(), cfg, o)
	if err != nil {
		return err
	}
	return show(cmd, done, func(w io.Writer) { printRebuilt(w, done) })
}

func printRebuilt(w io.Writer, done app.Rebuilt) {
	if b := done.Tables; b != nil {
		fmt.Fprintf(w, "database %s is new, with %d records\n", b.Name, b.Records)
		if b.Kept != "" {
			fmt.Fprintf(w, "what was there is kept as %s: drop it when you are sure\n", b.Kept)
		}
	}
	if done.Feed {
		fmt.Fprintln(w, "the revocation feed is new")
	}
}
