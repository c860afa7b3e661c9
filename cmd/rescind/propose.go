package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/client"
)

// addBefore declares what can be done with a revocation instead of making it.
func addBefore(cmd *cobra.Command, scope events.Scope) {
	cmd.Flags().Bool("preview", false, "only count the live tokens that it would hit")
	if approvable(scope) {
		cmd.Flags().Bool("propose", false, "only propose it, for somebody else to approve")
	}
}

// before previews or proposes a revocation. It reports whether one of these was
// asked for.
func before(cmd *cobra.Command, env environment, in map[string]any) (asked bool, err error) {
	on := func(flag string) bool { set, _ := cmd.Flags().GetBool(flag); return set }
	wait, _ := cmd.Flags().GetDuration("wait")
	asked = on("preview") || on("propose")
	switch waits := cmd.Flags().Changed("wait"); {
	case on("preview") && on("propose"):
		return asked, usage("--preview and --propose: give one of them")
	case waits && asked:
		return asked, usage("--wait: neither --preview nor --propose revokes anything yet")
	case waits && wait <= 0:
		return asked, usage("--wait %s: want more than 0, for example 5s", wait)
	case !asked:
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
	return ask(cmd, c, "POST", "/v1/revocations/preview", in, &out, func(w io.Writer) { printPreview(w, &out) })
}

func printPreview(w io.Writer, p *client.Preview) {
	least, already := "", "how many are refused already was not counted in time"
	if p.AtLeast {
		least = "at least "
	}
	if p.AlreadyRevoked != nil {
		already = fmt.Sprintf("%s%d refused already", least, *p.AlreadyRevoked)
	}
	fmt.Fprintf(w, "would hit %s%s (%s): %s, %s, %s\n", least, plural(p.Tokens, "live token"), already,
		plural(p.Subjects, "subject"), plural(p.Sessions, "session"), plural(p.Clients, "client"))
	switch p.SubjectState {
	case "unknown":
		fmt.Fprintln(w, "the subject is not known: no event names them")
	case "erased":
		fmt.Fprintln(w, "the subject was forgotten: their tokens are refused already")
	}
	if p.ApprovalRequired {
		fmt.Fprintf(w, "above the limit of %s: somebody else has to approve it; use --propose\n", plural(p.Limit, "subject"))
	}
}

// plural is n things.
func plural(n uint64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.FormatUint(n, 10) + " " + thing + "s"
}

func propose(cmd *cobra.Command, c *client.Client, in map[string]any) error {
	return proposeAt(cmd, c, "/v1/revocations/proposals", in)
}

func proposeAt(cmd *cobra.Command, c *client.Client, path string, in map[string]any) error {
	var out client.Proposal
	return ask(cmd, c, "POST", path, in, &out, func(w io.Writer) {
		fmt.Fprintf(w, "proposed: id %s, until %s\nsomebody else: rescind revoke proposals %s\n               rescind revoke approve %s\nthen the same command with --approval %s instead of --propose\n",
			out.ID, out.Expires.Format(time.RFC3339), out.ID, out.ID, out.ID)
	})
}

// newDecide is approve or deny. What is decided about is read first, and the
// decision is bound to what was read.
func newDecide(env environment, verb, short string) *cobra.Command {
	members := map[string]*string{}
	cmd := &cobra.Command{
		Use: verb + " PROPOSAL", Short: short, Args: cobra.ExactArgs(1),
		Long: short + ". What it would do is printed: see it before with \"rescind revoke proposals PROPOSAL\".",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd, env, "approver")
			if err != nil {
				return err
			}
			var read, out client.Proposal
			path := "/v1/revocations/proposals/" + url.PathEscape(args[0])
			if err := c.Call(cmd.Context(), "GET", path, nil, &read); err != nil {
				return err
			}
			in := filled(members)
			in["body"] = read.Body
			return ask(cmd, c, "POST", path+"/"+verb, in, &out, func(w io.Writer) {
				out.Note, out.NoteMissing = read.Note, read.NoteMissing
				printProposal(w, &out)
			})
		},
	}
	members["reason"] = cmd.Flags().String("reason", "", "why")
	members["ticket"] = cmd.Flags().String("ticket", "", "where the decision is written down")
	members["note"] = cmd.Flags().String("note", "", "free text, kept sealed")
	if verb == "deny" {
		_ = cmd.MarkFlagRequired("reason")
	}
	return cmd
}

func newProposals(env environment) *cobra.Command {
	var tenant string
	var limit int
	cmd := &cobra.Command{
		Use: "proposals [PROPOSAL]", Short: "List what was proposed, the newest first, or print all that one would do", Args: cobra.MaximumNArgs(1),
		Long: `Proposals lists what was proposed, the newest first. With the id of one it prints
all that its revocation would do and say; its note, which may be personal, to who
may approve it, and that they saw it is recorded.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd, env, "approver")
			if err != nil {
				return err
			}
			if len(args) == 1 {
				var out client.Proposal
				return ask(cmd, c, "GET", "/v1/revocations/proposals/"+url.PathEscape(args[0]), nil, &out, func(w io.Writer) { printProposal(w, &out) })
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			if tenant != "" {
				q.Set("tenant", tenant)
			}
			return listProposals(cmd, c, "/v1/revocations/proposals?"+q.Encode())
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "only this tenant's")
	cmd.Flags().IntVar(&limit, "limit", 100, "at most so many, 1 to 1000")
	return cmd
}

func listProposals(cmd *cobra.Command, c *client.Client, path string) error {
	var out struct {
		Proposals []client.Proposal `json:"proposals"`
	}
	return ask(cmd, c, "GET", path, nil, &out, func(w io.Writer) {
		if len(out.Proposals) == 0 {
			fmt.Fprintln(w, "nothing was proposed")
			return
		}
		rows := make([][]string, len(out.Proposals))
		for i, p := range out.Proposals {
			rows[i] = []string{p.ID, p.State, p.Tenant, what(&p), counted(p.Reach), p.ProposedBy, dash(p.DecidedBy), p.Reason}
		}
		table(w, []string{"ID", "STATE", "TENANT", "REVOKES", "HITS", "PROPOSED BY", "DECIDED BY", "REASON"}, rows)
	})
}
