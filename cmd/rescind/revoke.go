package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/client"
)

// revocationScopes are the scopes that can be revoked, with the flag that
// names what each is about.
var revocationScopes = []struct {
	scope events.Scope
	id    string
}{
	{events.ScopeToken, "jti"}, {events.ScopeSession, "sid"}, {events.ScopeSubject, "sub"}, {events.ScopeClient, "client_id"},
	{events.ScopeKey, "kid"}, {events.ScopeIssuer, ""}, {events.ScopeTenant, ""}, {events.ScopeGrant, "grant_id"},
}

func newRevoke(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Revoke a token, a session, a subject or a signing key, everywhere",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	addClientFlags(cmd)
	for _, s := range revocationScopes {
		cmd.AddCommand(newRevokeScope(env, s.scope, s.id))
	}
	cmd.AddCommand(newRevokeBulk(env))
	cmd.AddCommand(newDecide(env, "approve", "Approve what somebody else proposed"), newDecide(env, "deny", "Refuse a proposal, or take an approval back"), newProposals(env))
	return cmd
}

func newRevokeScope(env environment, scope events.Scope, id string) *cobra.Command {
	body := map[string]*string{}
	times := map[string]*string{}
	var wait time.Duration
	cmd := &cobra.Command{
		Use: string(scope), Short: revokeShort(scope), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := revocationBody(scope, body, times)
			if err != nil {
				return err
			}
			if asked, err := before(cmd, env, in); asked {
				return err
			}
			return revoke(cmd, env, in, wait)
		},
	}
	text := func(name, usage string, required bool) {
		flag := strings.ReplaceAll(name, "_", "-")
		body[name] = cmd.Flags().String(flag, "", usage)
		if required {
			_ = cmd.MarkFlagRequired(flag) // fails only where there is no such flag
		}
	}
	text("tenant", "tenant", true)
	text("iss", "issuer of the tokens", scope != events.ScopeTenant)
	if id != "" {
		text(id, "what to revoke", true)
	}
	text("reason", "why, best one of: "+reasonNames(), true)
	text("ticket", "where the decision is written down", false)
	text("note", "free text, kept sealed", false)
	text("approval", "id of the approved proposal of exactly this", false)
	addBefore(cmd)
	for name, usage := range map[string]string{
		"exp":           "when the token expires, RFC 3339: the entry leaves the set then",
		"issued_before": "revoke what was issued up to this time, RFC 3339 (default now)",
		"starts":        "schedule it: no effect before this time, RFC 3339",
		"not_after":     "suspend only: it ends by itself at this time, RFC 3339",
	} {
		times[name] = cmd.Flags().String(strings.ReplaceAll(name, "_", "-"), "", usage)
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "watch until every fresh verifier has applied it, for as long as this; exit code 1 where one has not")
	return cmd
}

func reasonNames() string {
	var names []string
	for _, r := range events.RevocationReasons() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

func revokeShort(s events.Scope) string {
	switch s {
	case events.ScopeToken, events.ScopeSession, events.ScopeGrant:
		return fmt.Sprintf("Revoke one %s", s)
	default:
		return fmt.Sprintf("Revoke what was issued until now for one %s", s)
	}
}

func revocationBody(scope events.Scope, members, times map[string]*string) (map[string]any, error) {
	in := map[string]any{"scope": scope}
	for name, v := range members {
		if *v != "" {
			in[name] = *v
		}
	}
	for name, v := range times {
		if *v == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, *v)
		if err != nil {
			return nil, usage("revoke: --%s %q is not RFC 3339, for example 2026-11-21T12:00:00Z", strings.ReplaceAll(name, "_", "-"), *v)
		}
		in[name] = events.TimestampOf(at)
	}
	return in, nil
}

func revoke(cmd *cobra.Command, env environment, in map[string]any, wait time.Duration) error {
	c, err := newClient(cmd, env, "admin")
	if err != nil {
		return err
	}
	var out client.Revoked
	told := func(w io.Writer) {
		fmt.Fprintf(w, "revoked: id %s, position %d\nlift it with: rescind lift %s\n", out.ID, out.Position, out.ID)
	}
	if wait <= 0 {
		return ask(cmd, c, "POST", "/v1/revocations", in, &out, told)
	}
	if err := c.Call(cmd.Context(), "POST", "/v1/revocations", in, &out); err != nil {
		return err
	}
	if !asJSON(cmd) {
		told(cmd.OutOrStdout())
	}
	return watch(cmd, c, out.ID, wait)
}

func newLift(env environment) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "lift ID", Short: "Lift a revocation, everywhere", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd, env, "admin")
			if err != nil {
				return err
			}
			var out client.Revoked
			path := "/v1/revocations/" + url.PathEscape(args[0]) + "/lift"
			return ask(cmd, c, "POST", path, map[string]string{"reason": reason}, &out, func(w io.Writer) {
				fmt.Fprintf(w, "lifted %s: position %d\n", args[0], out.Position)
			})
		},
	}
	addClientFlags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why it is lifted")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}
