package main

import (
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func newFindings(env environment) *cobra.Command {
	var tenant, state string
	cmd := &cobra.Command{
		Use: "findings", Short: "Print what the controls found", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				Findings []struct {
					ID       string    `json:"id"`
					Tenant   string    `json:"tenant"`
					Control  string    `json:"control"`
					Severity string    `json:"severity"`
					Title    string    `json:"title"`
					State    string    `json:"state"`
					Opened   time.Time `json:"opened"`
					Index    uint64    `json:"index"`
				} `json:"findings"`
			}
			c, err := newClient(cmd, env, "officer")
			if err != nil {
				return err
			}
			q := url.Values{"tenant": {tenant}}
			if state != "" {
				q.Set("state", state)
			}
			if err := c.call(cmd.Context(), "GET", "/v1/findings?"+q.Encode(), nil, &out); err != nil {
				return err
			}
			return show(cmd, out, func(w io.Writer) {
				rows := make([][]string, len(out.Findings))
				for i, f := range out.Findings {
					rows[i] = []string{clock(f.Opened), f.Tenant, f.Severity, f.Control, f.State, strconv.FormatUint(f.Index, 10), f.Title}
				}
				table(w, []string{"OPENED", "TENANT", "SEVERITY", "CONTROL", "STATE", "INDEX", "TITLE"}, rows)
			})
		},
	}
	addClientFlags(cmd)
	cmd.Flags().StringVar(&tenant, "tenant", "", "tenant")
	_ = cmd.MarkFlagRequired("tenant")
	cmd.Flags().StringVar(&state, "state", "", "open, acknowledged or closed")
	return cmd
}

func newQuarantine(env environment) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use: "quarantine", Short: "Print the events that were refused", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				Quarantined []struct {
					ID     uint64    `json:"seq"`
					Time   time.Time `json:"time"`
					Tenant string    `json:"tenant"`
					Source string    `json:"source"`
					Event  string    `json:"id"`
					Reason string    `json:"reason"`
					Detail string    `json:"detail"`
				} `json:"quarantined"`
			}
			c, err := newClient(cmd, env, "officer")
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), "GET", "/v1/quarantine?"+url.Values{"tenant": {tenant}}.Encode(), nil, &out); err != nil {
				return err
			}
			return show(cmd, out, func(w io.Writer) {
				rows := make([][]string, len(out.Quarantined))
				for i, q := range out.Quarantined {
					rows[i] = []string{clock(q.Time), q.Tenant, q.Reason, q.Event, q.Detail}
				}
				table(w, []string{"TIME", "TENANT", "REASON", "EVENT", "DETAIL"}, rows)
			})
		},
	}
	addClientFlags(cmd)
	cmd.Flags().StringVar(&tenant, "tenant", "", "tenant")
	_ = cmd.MarkFlagRequired("tenant")
	return cmd
}
