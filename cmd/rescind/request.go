package main

import (
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
)

func newRequest(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "request", Short: "Handle data-subject requests", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	addClientFlags(cmd)
	cmd.AddCommand(newRequestCreate(env), newRequestList(env), newRequestShow(env))
	for _, step := range []struct{ verb, short, role string }{
		{"verify", "Record that the subject's identity was verified", "handler"},
		{"approve", "Approve, as a second person; execution starts at once", "approver"},
		{"deny", "Deny, with a reason", "approver"},
		{"cancel", "Cancel, before it is approved", "handler"},
	} {
		cmd.AddCommand(newRequestStep(env, step.verb, step.short, step.role))
	}
	return cmd
}

func newRequestCreate(env environment) *cobra.Command {
	var kind, regulation, tenant, issuer, subject string
	cmd := &cobra.Command{
		Use: "create", Short: "Receive a request", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := map[string]any{
				"type": kind, "regulation": regulation, "tenant": tenant,
				"subject": map[string]string{"iss": issuer, "sub": subject},
			}
			return oneRequest(cmd, env, "handler", "POST", "/v1/requests", in)
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "type", "erasure", "what is asked for")
	f.StringVar(&regulation, "regulation", "gdpr", "gdpr, ccpa or other")
	f.StringVar(&tenant, "tenant", "", "tenant")
	f.StringVar(&issuer, "iss", "", "issuer that knows the subject")
	f.StringVar(&subject, "sub", "", "the subject")
	for _, name := range []string{"tenant", "iss", "sub"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func newRequestShow(env environment) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Print one request", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return oneRequest(cmd, env, "handler", "GET", "/v1/requests/"+url.PathEscape(args[0]), nil)
		},
	}
}

func newRequestList(env environment) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Print all requests", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd, env, "handler")
			if err != nil {
				return err
			}
			var out struct {
				Requests []client.Request `json:"requests"`
			}
			return ask(cmd, c, "GET", "/v1/requests", nil, &out, func(w io.Writer) { printRequests(w, out.Requests...) })
		},
	}
}

func newRequestStep(env environment, verb, short, role string) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]string{}
			if reason != "" {
				in["reason"] = reason
			}
			return oneRequest(cmd, env, role, "POST", "/v1/requests/"+url.PathEscape(args[0])+"/"+verb, in)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	if verb == "deny" {
		_ = cmd.MarkFlagRequired("reason")
	}
	return cmd
}

func oneRequest(cmd *cobra.Command, env environment, role, method, path string, in any) error {
	c, err := newClient(cmd, env, role)
	if err != nil {
		return err
	}
	var out client.Request
	return ask(cmd, c, method, path, in, &out, func(w io.Writer) { printRequests(w, out) })
}

func printRequests(w io.Writer, requests ...client.Request) {
	rows := make([][]string, len(requests))
	for i, r := range requests {
		due := "-"
		if !r.Due.IsZero() {
			due = r.Due.Format("2006-01-02")
		}
		rows[i] = []string{r.ID, r.Type, r.Regulation, r.Tenant, r.State, first(r.Outcome, "-"), due}
	}
	table(w, []string{"ID", "TYPE", "REGULATION", "TENANT", "STATE", "OUTCOME", "DUE"}, rows)
	if len(rows) == 0 {
		fmt.Fprintln(w, "no requests")
	}
}
