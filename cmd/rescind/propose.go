package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
)

// addBefore declares what can be done with a revocation instead of making it.
func addBefore(cmd *cobra.Command) {
	cmd.Flags().Bool("preview", false, "only count the live tokens that it would hit")
	cmd.Flags().Bool("propose", false, "only propose it, for somebody else to approve")
	cmd.MarkFlagsMutuallyExclusive("preview", "propose")
}

// before previews or proposes a revocation. It reports whether one of these was
// asked for.
func before(cmd *cobra.Command, env environment, in map[string]any) (asked bool, err error) {
	on := func(flag string) bool { set, _ := cmd.Flags().GetBool(flag); return set }
	if !on("preview") && !on("propose") {
		return false, nil
	}
	c, err := newClient(cmd, env, "admin")
	if err != nil {
		return true, err
	}
	if on("propose") {
		return true, propose(cmd, c, in)
	}
	return true, preview(cmd, c, in)
}

func preview(cmd *cobra.Command, c *client.Client, in map[string]any) error {
	var out client.Preview
	return ask(cmd, c, "POST", "/v1/revocations/preview", in, &out, func(w io.Writer) {
		least := ""
		if out.AtLeast {
			least = "at least "
		}
		fmt.Fprintf(w, "would hit %s%d live tokens: %d subjects, %d sessions, %d clients\n", least, out.Tokens, out.Subjects, out.Sessions, out.Clients)
		if out.ApprovalRequired {
			fmt.Fprintf(w, "above the limit of %d: somebody else has to approve it; use --propose\n", out.Limit)
		}
	})
}

func propose(cmd *cobra.Command, c *client.Client, in map[string]any) error {
	var out client.Proposal
	return ask(cmd, c, "POST", "/v1/revocations/proposals", in, &out, func(w io.Writer) {
		fmt.Fprintf(w, "proposed: id %s, until %s\nsomebody else: rescind revoke approve %s\nthen the same command with --approval %s\n",
			out.ID, out.Expires.Format(time.RFC3339), out.ID, out.ID)
	})
}

func newDecide(env environment, verb, short string) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: verb + " PROPOSAL", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd, env, "approver")
			if err != nil {
				return err
			}
			in := map[string]string{}
			if reason != "" {
				in["reason"] = reason
			}
			var out client.Proposal
			return ask(cmd, c, "POST", "/v1/revocations/proposals/"+url.PathEscape(args[0])+"/"+verb, in, &out, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %s\n", out.State, out.ID)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	return cmd
}

func newProposals(env environment) *cobra.Command {
	return &cobra.Command{
		Use: "proposals", Short: "List what was proposed, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd, env, "approver")
			if err != nil {
				return err
			}
			var out struct {
				Proposals []client.Proposal `json:"proposals"`
			}
			return ask(cmd, c, "GET", "/v1/revocations/proposals", nil, &out, func(w io.Writer) {
				rows := make([][]string, len(out.Proposals))
				for i, p := range out.Proposals {
					rows[i] = []string{p.ID, p.State, p.Tenant, p.Scope, strconv.FormatUint(p.Reach, 10), p.ProposedBy, p.DecidedBy, p.Reason}
				}
				table(w, []string{"ID", "STATE", "TENANT", "SCOPE", "HITS", "PROPOSED BY", "DECIDED BY", "REASON"}, rows)
			})
		},
	}
}
