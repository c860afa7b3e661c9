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
				if len(rows) == 0 {
					fmt.Fprintln(w, "no findings; what was found within the last seconds may not be here yet")
					return
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
