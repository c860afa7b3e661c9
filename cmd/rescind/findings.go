package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
)

func newFindings(env environment) *cobra.Command {
	var tenant, state, control, cursor string
	var limit int
	cmd := &cobra.Command{
		Use: "findings", Short: "Print what the controls found, the last opened first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				Findings []client.Finding `json:"findings"`
				Next     string           `json:"next"`
			}
			c, err := newClient(cmd, env, "officer")
			if err != nil {
				return err
			}
			q := url.Values{"tenant": {tenant}, "limit": {strconv.Itoa(limit)}}
			for name, value := range map[string]string{"state": state, "control": control, "cursor": cursor} {
				if value != "" {
					q.Set(name, value)
				}
			}
			return ask(cmd, c, "GET", "/v1/findings?"+q.Encode(), nil, &out, func(w io.Writer) {
				rows := make([][]string, len(out.Findings))
				for i, f := range out.Findings {
					rows[i] = []string{clock(f.Opened), f.Tenant, f.Severity, f.Control, f.State, strconv.FormatUint(f.Index, 10), f.Title}
				}
				if len(rows) == 0 {
					fmt.Fprintln(w, "no findings; what was found within the last seconds may not be here yet")
					return
				}
				table(w, []string{"OPENED", "TENANT", "SEVERITY", "CONTROL", "STATE", "INDEX", "TITLE"}, rows)
				if out.Next != "" {
					fmt.Fprintf(w, "more: --cursor %s\n", out.Next)
				}
			})
		},
	}
	addClientFlags(cmd)
	cmd.Flags().StringVar(&tenant, "tenant", "", "tenant")
	_ = cmd.MarkFlagRequired("tenant")
	cmd.Flags().StringVar(&state, "state", "", "open or closed")
	cmd.Flags().StringVar(&control, "control", "", "id of a control, as key-known")
	cmd.Flags().StringVar(&cursor, "cursor", "", "the next of a page before")
	cmd.Flags().IntVar(&limit, "limit", 100, "findings a page, 1 to 1000")
	return cmd
}
