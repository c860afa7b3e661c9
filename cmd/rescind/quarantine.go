package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
)

// newQuarantine is a list by itself, too.
func newQuarantine(env environment) *cobra.Command {
	list := newQuarantineList(env)
	cmd := &cobra.Command{
		Use: "quarantine", Short: "Print, show and replay the events that were refused", Args: cobra.NoArgs, RunE: list.RunE,
	}
	addClientFlags(cmd)
	cmd.Flags().AddFlagSet(list.Flags())
	cmd.AddCommand(list, newQuarantineShow(env), newQuarantineReplay(env))
	return cmd
}

func newQuarantineList(env environment) *cobra.Command {
	var tenant, cursor string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "Print the events that were refused, the oldest first, and how many by reason", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{"count": {"true"}, "limit": {strconv.Itoa(limit)}}
			for name, v := range map[string]string{"tenant": tenant, "cursor": cursor} {
				if v != "" {
					q.Set(name, v)
				}
			}
			return listQuarantine(cmd, env, q)
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "tenant; all that the token reaches without it")
	cmd.Flags().StringVar(&cursor, "cursor", "", "the next of a page before")
	cmd.Flags().IntVar(&limit, "limit", 100, "entries a page, 1 to 1000")
	return cmd
}

func listQuarantine(cmd *cobra.Command, env environment, q url.Values) error {
	c, err := newClient(cmd, env, "officer")
	if err != nil {
		return err
	}
	var out struct {
		Quarantined []client.Quarantined `json:"quarantined"`
		Counts      map[string]uint64    `json:"counts"`
		Next        string               `json:"next"`
	}
	return ask(cmd, c, http.MethodGet, "/v1/quarantine?"+q.Encode(), nil, &out, func(w io.Writer) {
		rows := make([][]string, len(out.Quarantined))
		for i, q := range out.Quarantined {
			rows[i] = []string{strconv.FormatUint(q.Seq, 10), clock(q.Time), q.Tenant, q.Reason, q.ID, q.Detail}
		}
		table(w, []string{"ENTRY", "TIME", "TENANT", "REASON", "EVENT", "DETAIL"}, rows)
		for _, reason := range slices.Sorted(maps.Keys(out.Counts)) {
			fmt.Fprintf(w, "%s: %d\n", reason, out.Counts[reason])
		}
		if out.Next != "" {
			fmt.Fprintf(w, "more: --cursor %s\n", out.Next)
		}
	})
}

func newQuarantineShow(env environment) *cobra.Command {
	var purpose string
	cmd := &cobra.Command{
		Use: "show ENTRY", Short: "Print one refused event", Args: cobra.ExactArgs(1),
		Example: "  rescind quarantine show 7 --purpose 'case 42'",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := entryPath(args[0])
			if err != nil {
				return err
			}
			c, err := newClient(cmd, env, "officer")
			if err != nil {
				return err
			}
			if purpose != "" {
				c.Header = http.Header{"Rescind-Purpose": {purpose}}
			}
			var out client.QuarantinedDetail
			return ask(cmd, c, http.MethodGet, path, nil, &out, func(w io.Writer) { printEntry(w, &out) })
		},
	}
	cmd.Flags().StringVar(&purpose, "purpose", "", "open the payload, for this reason: it is recorded")
	return cmd
}

func entryPath(arg string) (string, error) {
	seq, err := strconv.ParseUint(arg, 10, 64)
	if err != nil || seq == 0 {
		return "", usage("entry %.20q: want a number from `rescind quarantine list`", arg)
	}
	return "/v1/quarantine/" + strconv.FormatUint(seq, 10), nil
}

func printEntry(w io.Writer, d *client.QuarantinedDetail) {
	e := &d.Event
	for _, line := range [][2]string{
		{"entry", strconv.FormatUint(e.Seq, 10)}, {"refused", clock(e.Time)}, {"tenant", e.Tenant}, {"type", e.Type}, {"source", e.Source},
		{"event", e.ID}, {"reason", e.Reason}, {"detail", e.Detail}, {"sha256", e.SHA256}, {"payload kept", fmt.Sprint(e.Sealed)},
	} {
		fmt.Fprintf(w, "%-13s %s\n", line[0], visible(cmp.Or(line[1], "-")))
	}
	if d.Replay != nil {
		printReplay(w, d.Replay)
	}
	if d.Payload+d.PayloadMissing != "" {
		fmt.Fprintf(w, "%-13s %s\n", "payload", visibleLines(cmp.Or(d.Payload, d.PayloadMissing)))
	}
}

func printReplay(w io.Writer, r *client.Replay) {
	fmt.Fprintf(w, "%-13s %s by %s, times: %d\n", "replayed", clock(r.Time), visible(r.Actor), r.Count)
	if r.Index != nil {
		fmt.Fprintf(w, "%-13s %d\n", "index", *r.Index)
	}
}

func newQuarantineReplay(env environment) *cobra.Command {
	var again bool
	cmd := &cobra.Command{
		Use: "replay ENTRY", Short: "Publish a refused event again, after a fix", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := entryPath(args[0])
			if err != nil {
				return err
			}
			c, err := newClient(cmd, env, "admin")
			if err != nil {
				return err
			}
			path += "/replay"
			if again {
				path += "?again=true"
			}
			var out client.Replay
			return ask(cmd, c, http.MethodPost, path, nil, &out, func(w io.Writer) { printReplay(w, &out) })
		},
	}
	cmd.Flags().BoolVar(&again, "again", false, "publish it though it was replayed before; it is logged once all the same")
	return cmd
}
