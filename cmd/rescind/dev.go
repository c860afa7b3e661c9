package main

import (
	"fmt"
	"io"
	"log/slog"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/heap"
)

func newDev(env environment) *cobra.Command {
	var o dev.Options
	var approval int
	cmd := &cobra.Command{
		Use: "dev", Short: "Run the whole stack in one folder, on embedded NATS and ClickHouse",
		Long: `Dev runs everything on loopback, with generated keys, and writes DIR/dev.json
when it is ready: addresses, tokens and credentials. Ctrl-C stops it in order;
started again on the same folder it finds everything again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Shards < 1 || o.Shards > events.MaxShards {
				return usage("--shards %d: want 1 to %d", o.Shards, events.MaxShards)
			}
			if approval < 0 {
				return usage("--limits-approval %d: want 0 (never) or more", approval)
			}
			if o.Approval = approval; approval == 0 {
				o.Approval = -1
			}
			o.Getenv, o.Progress = env.getenv, progress(cmd)
			o.Log = newLogger(cmd, "info")
			if quiet, _ := cmd.Flags().GetBool("quiet"); quiet {
				o.Log = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			}
			defer heap.Keep(env.getenv, heap.Goal)()
			defer spread(env.getenv)()
			return dev.Run(cmd.Context(), o, func(f *dev.File) error {
				return show(cmd, f, func(w io.Writer) { printStack(w, o.Dir, f) })
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "data", first(env.getenv("RESCIND_DATA"), ".rescind"), "`folder` for everything (RESCIND_DATA)")
	f.IntVar(&o.HTTPPort, "http-port", 0, "port of the API, 0 for a free one")
	f.IntVar(&o.NATSPort, "nats-port", 0, "port of NATS, 0 for a free one")
	f.IntVar(&o.ClickHousePort, "clickhouse-port", 0, "port of ClickHouse's native protocol, 0 for a free one")
	f.IntVar(&o.ClickHouseHTTPPort, "clickhouse-http-port", 0, "port of ClickHouse's HTTP interface, 0 for a free one")
	f.IntVar(&o.Shards, "shards", 1, "logs that tenants are split over; a folder keeps the number it was made with")
	f.StringVar(&o.Recipients, "recipients", "", "YAML `file` of the recipients who are told of erasures, also on loopback")
	f.StringVar(&o.Ledger, "erasure-ledger", "", "`folder` of the erasure ledger (default: beside that of --data, with .erasures)")
	f.IntVar(&approval, "limits-approval", config.Default().Limits.Approval, "subjects above which a wide revocation needs a second person, 0 for never")
	f.Bool("quiet", false, "log warnings only")
	return cmd
}

// spread has this process, which NATS is in as well, want more of the cores than
// there are: with one thread for each of them, what a server answers lies in its
// socket until one of them has nothing else to do, and every hop of a revocation
// waits for that. Where GOMAXPROCS is set, whoever set it knows better.
func spread(getenv func(string) string) (stop func()) {
	if getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	was := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(2 * was)
	return func() { runtime.GOMAXPROCS(was) }
}

func printStack(w io.Writer, dir string, f *dev.File) {
	fmt.Fprintf(w, "ready\n  API         %s\n  NATS        %s\n  ClickHouse  %s\n  folder      %s (addresses and tokens: dev.json)\n", f.HTTP, f.NATS, f.ClickHouse.Addr, dir)
	fmt.Fprintf(w, "try: rescind publish --data %s --tenant acme --type token.issued --set iss=https://id.example --set sub=alice --set jti=t-1 --set alg=ES256\n", dir)
	fmt.Fprintf(w, "     rescind audit search --data %s --tenant acme --issuer https://id.example --subject alice\n", dir)
}
