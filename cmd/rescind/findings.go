package main

import (
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
)

func newFindings(env environment) *cobra.Command {
	var tenant, state string
	cmd := &cobra.Command{
		Use: "findings", Short: "Print what the controls found", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				Findings []client.Finding `json:"findings"`
			}
			c, err := newClient(cmd, env, "officer")
			if err != nil {
				return err
			}
			q := url.Values{"tenant": {tenant}}
			if state != "" {
				q.Set("state", state)
			}
			return ask(cmd, c, "GET", "/v1/findings?"+q.Encode(), nil, &out, func(w io.Writer) {
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
				Quarantined []client.Quarantined `json:"quarantined"`
			}
			c, err := newClient(cmd, env, "officer")
			if err != nil {
				return err
			}
			return ask(cmd, c, "GET", "/v1/quarantine?"+url.Values{"tenant": {tenant}}.Encode(), nil, &out, func(w io.Writer) {
				rows := make([][]string, len(out.Quarantined))
				for i, q := range out.Quarantined {
					rows[i] = []string{clock(q.Time), q.Tenant, q.Reason, q.ID, q.Detail}
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
