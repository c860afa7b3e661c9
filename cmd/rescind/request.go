package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/receipt"
)

func newRequest(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "request", Short: "Handle data-subject requests", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	addClientFlags(cmd)
	cmd.AddCommand(newRequestCreate(env), newRequestList(env), newRequestShow(env), newRequestExport(env), newRequestReceipt(env), newRequestRecipient(env), newRequestRenew(env))
	for _, step := range []struct{ verb, short, role string }{
		{"verify", "Record that the subject's identity was verified", "handler"},
		{"extend", "Take longer, with a reason and after the subject was told", "handler"},
		{"approve", "Approve, as a second person; execution starts at once", "approver"},
		{"deny", "Deny, with one of the reasons", "approver"},
		{"cancel", "Cancel, before it is approved", "handler"},
		{"lift", "End a restriction or objection, after the subject was told", "approver"},
	} {
		cmd.AddCommand(newRequestStep(env, step.verb, step.short, step.role))
	}
	return cmd
}

func newRequestCreate(env environment) *cobra.Command {
	var kind, regulation, tenant, issuer, subject, received string
	var confirmed bool
	cmd := &cobra.Command{
		Use: "create", Short: "Receive a request", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := map[string]any{
				"type": kind, "regulation": regulation, "tenant": tenant,
				"subject": map[string]string{"iss": issuer, "sub": subject}, "confirmed": confirmed,
			}
			if received != "" {
				at, err := parseDay(received)
				if err != nil {
					return usage("--received: %v", err)
				}
				in["received_at"] = at
			}
			c, err := newClient(cmd, env, "handler")
			if err != nil {
				return err
			}
			var out client.Request
			return ask(cmd, c, "POST", "/v1/requests", in, &out, func(w io.Writer) {
				if n := len(out.History); n > 1 {
					fmt.Fprintln(w, "joined: the same was asked for this subject already and is open; nothing new was made, and the deadline is that of the first")
				}
				printRequest(w, &out)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "type", "erasure", "erasure, access, portability, restriction or objection")
	f.StringVar(&received, "received", "", "when it reached you, if before now: 2026-03-31 or 2026-03-31T15:04:05Z")
	f.BoolVar(&confirmed, "confirmed", false, "the requester was told that it was received")
	f.StringVar(&regulation, "regulation", "gdpr", "gdpr, ccpa or other")
	f.StringVar(&tenant, "tenant", "", "tenant")
	f.StringVar(&issuer, "iss", "", "issuer that knows the subject")
	f.StringVar(&subject, "sub", "", "the subject")
	for _, name := range []string{"tenant", "iss", "sub"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

// parseDay is a time, or the first second of a day in UTC.
func parseDay(s string) (time.Time, error) {
	if at, err := time.Parse(time.DateOnly, s); err == nil {
		return at, nil
	}
	return time.Parse(time.RFC3339, s)
}

func newRequestShow(env environment) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Print one request with its history", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return oneRequest(cmd, env, "handler", "GET", "/v1/requests/"+url.PathEscape(args[0]), nil)
		},
	}
}

func newRequestReceipt(env environment) *cobra.Command {
	return &cobra.Command{
		Use: "receipt ID", Short: "Print the signed receipt of an erasure", Args: cobra.ExactArgs(1),
		Long: `Receipt prints the signed receipt of an erasure, as a JWS in compact form; with
--json beside what it says. Keep it in a file: rescind verify receipt FILE reads
and verifies it, now or in years, with the key that rescind keys receipts prints.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd, env, "handler")
			if err != nil {
				return err
			}
			var out receipt.File
			return ask(cmd, c, "GET", "/v1/requests/"+url.PathEscape(args[0])+"/receipt", nil, &out, func(w io.Writer) { fmt.Fprintln(w, out.JWS) })
		},
	}
}

func newRequestList(env environment) *cobra.Command {
	var state, urgency, tenant string
	var finished bool
	cmd := &cobra.Command{
		Use: "list", Short: "Print requests, what is due first first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd, env, "handler")
			if err != nil {
				return err
			}
			q := url.Values{"limit": {"1000"}}
			for name, value := range map[string]string{"state": state, "urgency": urgency, "tenant": tenant} {
				if value != "" {
					q.Set(name, value)
				}
			}
			all, err := allRequests(cmd.Context(), c, q)
			if err != nil {
				return err
			}
			return showRequests(cmd, all, finished || state != "" || urgency != "")
		},
	}
	f := cmd.Flags()
	f.StringVar(&state, "state", "", "only those in this state: received, verified, extended, approved, executing, partial, completed, denied or cancelled")
	f.StringVar(&urgency, "urgency", "", "only those that are: soon, due within seven days; or overdue")
	f.StringVar(&tenant, "tenant", "", "only those of this tenant")
	f.BoolVar(&finished, "all", false, "finished ones too")
	return cmd
}

// allRequests are the requests of every page: they come newest first, and what is
// due first may be on the last.
func allRequests(ctx context.Context, c *client.Client, q url.Values) ([]json.RawMessage, error) {
	all := []json.RawMessage{}
	for {
		var page struct {
			Requests []json.RawMessage `json:"requests"`
			Next     string            `json:"next"`
		}
		if err := c.Call(ctx, "GET", "/v1/requests?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		if all = append(all, page.Requests...); page.Next == "" {
			return all, nil
		}
		q.Set("cursor", page.Next)
	}
}

func showRequests(cmd *cobra.Command, all []json.RawMessage, finished bool) error {
	requests := make([]client.Request, len(all))
	for i, raw := range all {
		if err := json.Unmarshal(raw, &requests[i]); err != nil {
			return fmt.Errorf("GET /v1/requests: the answer is not as expected: %w", err)
		}
	}
	return show(cmd, map[string]any{"requests": all}, func(w io.Writer) { listRequests(w, requests, finished) })
}

func newRequestStep(env environment, verb, short, role string) *cobra.Command {
	var reason, told, ticket, note string
	cmd := &cobra.Command{
		Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]string{}
			for name, value := range map[string]string{"reason": reason, "told": told, "ticket": ticket, "note": note} {
				if value != "" {
					in[name] = value
				}
			}
			return oneRequest(cmd, env, role, "POST", "/v1/requests/"+url.PathEscape(args[0])+"/"+verb, in)
		},
	}
	f := cmd.Flags()
	f.StringVar(&reason, "reason", "", "why")
	f.StringVar(&ticket, "ticket", "", "your own number of it")
	f.StringVar(&note, "note", "", "free text, kept sealed")
	if verb == "deny" {
		f.Lookup("reason").Usage = "one of " + strings.Join(erasure.DenialReasons(), ", ")
	}
	if verb == "deny" || verb == "extend" || verb == "lift" {
		_ = cmd.MarkFlagRequired("reason")
	}
	if verb == "extend" || verb == "lift" {
		f.StringVar(&told, "told", "", "`day` on which the subject was told, as 2026-03-31")
		_ = cmd.MarkFlagRequired("told")
	}
	return cmd
}

func newRequestRenew(env environment) *cobra.Command {
	var tenant, issuer, subject, basis, reason string
	cmd := &cobra.Command{
		Use: "renew", Short: "Let somebody who was forgotten be known again: a new lawful relationship", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd, env, "approver")
			if err != nil {
				return err
			}
			c.HTTP.Timeout = query.RenewWait + 10*time.Second // the API answers before
			in := map[string]any{"tenant": tenant, "subject": map[string]string{"iss": issuer, "sub": subject}, "basis": basis, "reason": reason}
			var out client.Renewed
			return ask(cmd, c, "POST", "/v1/subjects/renew", in, &out, func(w io.Writer) {
				fmt.Fprintf(w, "known again, generation %d; everywhere from %s\n", out.Generation, clock(out.KnownBy))
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&tenant, "tenant", "", "tenant")
	f.StringVar(&issuer, "iss", "", "issuer that knows the subject")
	f.StringVar(&subject, "sub", "", "the subject")
	f.StringVar(&basis, "basis", "", "new lawful basis: "+strings.Join(erasure.Bases(), ", "))
	f.StringVar(&reason, "reason", "", "why they may be known again")
	for _, name := range []string{"tenant", "iss", "sub", "basis", "reason"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func oneRequest(cmd *cobra.Command, env environment, role, method, path string, in any) error {
	c, err := newClient(cmd, env, role)
	if err != nil {
		return err
	}
	var out client.Request
	return ask(cmd, c, method, path, in, &out, func(w io.Writer) { printRequest(w, &out) })
}
