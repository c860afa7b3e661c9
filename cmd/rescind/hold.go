package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
)

func newHold(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "hold", Short: "Keep what the law says must be kept", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	addClientFlags(cmd)
	cmd.AddCommand(newHoldPlace(env), newHoldList(env), newHoldShow(env), newHoldRelease(env))
	return cmd
}

func newHoldPlace(env environment) *cobra.Command {
	var types []string
	in := map[string]*string{}
	cmd := &cobra.Command{
		Use: "place", Short: "Place a hold on what matches all that is named", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body := map[string]any{}
			for member, value := range in {
				if *value != "" {
					body[member] = *value
				}
			}
			for _, member := range []string{"from", "to"} {
				if *in[member] == "" {
					continue
				}
				at, err := parseDay(*in[member])
				if err != nil {
					return usage("--%s: %v", member, err)
				}
				body[member] = at
			}
			if len(types) > 0 {
				body["types"] = types
			}
			return oneHold(cmd, env, "officer", "POST", "/v1/holds", body)
		},
	}
	f := cmd.Flags()
	for _, flag := range []struct{ name, member, usage string }{
		{"tenant", "tenant", "tenant"}, {"iss", "iss", "issuer of subject and session"}, {"sub", "subject", "the subject"},
		{"sid", "session", "a session"}, {"client", "client_id", "a client"},
		{"from", "from", "events at or after: 2026-03-31 or 2026-03-31T15:04:05Z"}, {"to", "to", "events before"},
		{"article", "article", "what it rests on, as 'GDPR 17(3)(e)'"}, {"owner", "owner", "who answers for it"},
		{"review", "review", "`day` by which somebody looks whether it is still needed: today (UTC) or later"}, {"reason", "reason", "why"},
		{"ticket", "ticket", "your own number of it"}, {"note", "note", "free text, kept sealed"},
	} {
		in[flag.member] = f.String(flag.name, "", flag.usage)
	}
	f.StringSliceVar(&types, "type", nil, "a type of event, as token.issued; may be given again")
	for _, name := range []string{"tenant", "article", "owner", "review", "reason"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func newHoldList(env environment) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "Print the holds that last", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd, env, "officer")
			if err != nil {
				return err
			}
			path := "/v1/holds?active=true"
			if all {
				path = "/v1/holds"
			}
			var out struct {
				Holds []client.Hold `json:"holds"`
			}
			return ask(cmd, c, "GET", path, nil, &out, func(w io.Writer) { listHolds(w, out.Holds) })
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "released ones too")
	return cmd
}

func newHoldShow(env environment) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Print one hold", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return oneHold(cmd, env, "officer", "GET", "/v1/holds/"+url.PathEscape(args[0]), nil)
		},
	}
}

func newHoldRelease(env environment) *cobra.Command {
	var reason, ticket string
	cmd := &cobra.Command{
		Use: "release ID", Short: "End a hold, as another person than who placed it: what it kept is destroyed", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]string{"reason": reason}
			if ticket != "" {
				in["ticket"] = ticket
			}
			return oneHold(cmd, env, "approver", "POST", "/v1/holds/"+url.PathEscape(args[0])+"/release", in)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why it is not needed any more")
	cmd.Flags().StringVar(&ticket, "ticket", "", "your own number of it")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func oneHold(cmd *cobra.Command, env environment, role, method, path string, in any) error {
	c, err := newClient(cmd, env, role)
	if err != nil {
		return err
	}
	var out client.Hold
	return ask(cmd, c, method, path, in, &out, func(w io.Writer) { printHold(w, &out) })
}

func listHolds(w io.Writer, holds []client.Hold) {
	rows := make([][]string, len(holds))
	for i, h := range holds {
		rows[i] = []string{h.ID, h.Tenant, strings.Join(h.By, "+"), h.Article, h.Owner, holdState(&h)}
	}
	if len(rows) == 0 {
		fmt.Fprintln(w, "no holds")
		return
	}
	table(w, []string{"ID", "TENANT", "BY", "ARTICLE", "OWNER", "STATE"}, rows)
}

func holdState(h *client.Hold) string {
	switch {
	case !h.Active:
		return "released " + h.Released.Format("2006-01-02")
	case h.ReviewOverdue:
		return "REVIEW OVERDUE since " + h.Review
	default:
		return "review by " + h.Review
	}
}

func printHold(w io.Writer, h *client.Hold) {
	rows := [][]string{{"tenant", h.Tenant}, {"state", holdState(h)}, {"article", h.Article}, {"owner", h.Owner}, {"keeps by", strings.Join(h.By, " and ")}}
	for _, r := range [][]string{{"subject", h.SubjectRef}, {"session", h.SessionRef}, {"client", h.ClientID}, {"types", strings.Join(h.Types, " ")}} {
		if r[1] != "" {
			rows = append(rows, r)
		}
	}
	if !h.From.IsZero() {
		rows = append(rows, []string{"from", clock(h.From)})
	}
	if !h.To.IsZero() {
		rows = append(rows, []string{"to", clock(h.To)})
	}
	rows = append(rows, []string{"placed", clock(h.Placed) + " by " + h.PlacedBy + ": " + h.Reason})
	if !h.Active {
		rows = append(rows, []string{"released", clock(h.Released) + " by " + h.ReleasedBy + ": " + h.ReleaseReason})
	}
	table(w, []string{"hold", h.ID}, rows)
}
