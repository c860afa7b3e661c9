package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/client"
)

// revocationScopes are the scopes that can be revoked, with the member that
// names what each is about, and what that is.
var revocationScopes = []struct {
	scope     events.Scope
	id, about string
}{
	{events.ScopeToken, "jti", "token: its claim jti"}, {events.ScopeSession, "sid", "session: claim sid of its tokens"},
	{events.ScopeSubject, "sub", "subject: claim sub of their tokens"}, {events.ScopeClient, "client_id", "client: claim client_id of its tokens"},
	{events.ScopeKey, "kid", "signing key: kid in the header of its tokens"}, {events.ScopeIssuer, "", ""}, {events.ScopeTenant, "", ""},
	{events.ScopeGrant, "grant_id", "grant, from which tokens are refreshed: claim grant_id"},
}

func newRevoke(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Revoke a token, a session, a person's or a client's tokens, a key, …, everywhere",
		Long: `Revoke has verifiers refuse tokens: at once, or from --starts on; for good, or
until --not-after. What it would hit is counted by --preview, and --wait shows
which verifiers refuse already. "rescind lift" takes a revocation back.

A revocation of a client, a key, an issuer or a tenant that hits many people
(limits.approval) needs a second person: --propose it, have somebody else approve
the proposal, then make it with --approval.`,
		Example: `  rescind revoke token --tenant acme --iss https://id.example --jti t-1 --reason token_leaked --wait 5s
  rescind revoke subject --tenant acme --iss https://id.example --sub alice --reason account_disabled
  rescind revoke client --tenant acme --iss https://id.example --client-id web --reason key_compromise --preview`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	addClientFlags(cmd)
	for _, s := range revocationScopes {
		cmd.AddCommand(newRevokeScope(env, s.scope, s.id, s.about))
	}
	cmd.AddCommand(newRevokeBulk(env))
	cmd.AddCommand(newDecide(env, "approve", "Approve what somebody else proposed"), newDecide(env, "deny", "Refuse a proposal, or take an approval back"), newProposals(env))
	return cmd
}

func newRevokeScope(env environment, scope events.Scope, id, about string) *cobra.Command {
	body := map[string]*string{}
	times := map[string]*string{}
	var wait time.Duration
	cmd := &cobra.Command{
		Use: string(scope), Short: revokeShort(scope), Args: cobra.NoArgs,
		Long: revokeShort(scope) + ".\n\nReasons that are told apart; any other text is kept as it is:\n" + reasonNames(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := revocationBody(scope, body, times)
			if err != nil {
				return err
			}
			if asked, err := before(cmd, env, in); asked || err != nil {
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
	if scope != events.ScopeTenant {
		text("iss", "issuer of the tokens: their claim iss", true)
	}
	if id != "" {
		text(id, about, true)
	}
	text("reason", "why: one of those above, or a text", true)
	text("ticket", "where the decision is written down", false)
	text("note", "free text, kept sealed", false)
	if approvable(scope) {
		text("approval", "id of the approved proposal of exactly this", false)
	}
	addBefore(cmd, scope)
	for name, usage := range revocationTimes(scope) {
		times[name] = cmd.Flags().String(strings.ReplaceAll(name, "_", "-"), "", usage)
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "show where it is enforced, for at most as long as this (5s), until every verifier that is there has applied it; exit code 1 where one has not")
	return cmd
}

// approvable reports whether a revocation of that scope may need a second
// person.
func approvable(s events.Scope) bool {
	return s == events.ScopeClient || s == events.ScopeKey || s == events.ScopeIssuer || s == events.ScopeTenant
}

// revocationTimes are the flags of a scope that are times, with what each does.
func revocationTimes(s events.Scope) map[string]string {
	out := map[string]string{
		"starts":    "schedule it: no effect before this time, RFC 3339",
		"not_after": "suspend only: it ends by itself at this time, RFC 3339",
	}
	switch s {
	case events.ScopeToken, events.ScopeSession, events.ScopeGrant:
		out["exp"] = "when the last of it expires, RFC 3339: the revocation is not needed from then on"
	case events.ScopeKey:
	default:
		out["issued_before"] = "what was issued up to this time, RFC 3339 (default now, or --starts)"
	}
	return out
}

// reasonNames lists the reasons in lines for a terminal.
func reasonNames() string {
	var b strings.Builder
	line := 0
	for i, r := range events.RevocationReasons() {
		switch {
		case i == 0:
			b.WriteString("  ")
		case line+len(r) > 70:
			b.WriteString(",\n  ")
			line = 0
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(r))
		line += len(r) + 2
	}
	return b.String()
}

func revokeShort(s events.Scope) string {
	switch s {
	case events.ScopeToken, events.ScopeSession, events.ScopeGrant:
		return fmt.Sprintf("Revoke one %s", s)
	case events.ScopeKey:
		return "Revoke whatever one key has signed, or will"
	case events.ScopeTenant:
		return "Revoke what was issued until now for a tenant, by any issuer"
	case events.ScopeIssuer:
		return "Revoke what was issued until now by one issuer"
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
			return nil, usage("--%s %q is not RFC 3339, for example 2026-11-21T12:00:00Z", strings.ReplaceAll(name, "_", "-"), *v)
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
		fmt.Fprintf(w, "revoked%s: id %s, position %d\nlift it with: rescind lift %s\n", term(in), out.ID, out.Position, out.ID)
	}
	if wait == 0 {
		return hint(ask(cmd, c, "POST", "/v1/revocations", in, &out, told))
	}
	if err := c.Call(cmd.Context(), "POST", "/v1/revocations", in, &out); err != nil {
		return hint(err)
	}
	if !asJSON(cmd) {
		told(cmd.OutOrStdout())
	}
	return watch(cmd, c, client.Revocation{ID: out.ID, Position: out.Position}, wait)
}

// term says from when until when a revocation is in effect, where it is not at
// once and for good.
func term(in map[string]any) (s string) {
	for _, m := range []struct{ name, word string }{{"starts", "from"}, {"not_after", "until"}} {
		if at, ok := in[m.name].(events.Timestamp); ok {
			s += " " + m.word + " " + moment(at, "")
		}
	}
	return s
}

// hint adds what to do to a refusal that asks for a second person.
func hint(err error) error {
	if p := (*client.Problem)(nil); errors.As(err, &p) && strings.HasSuffix(p.Type, ":approval-required") {
		return fmt.Errorf("%w\nhere: the same command with --propose, and what that prints", err)
	}
	return err
}

// filled are the members that have a value.
func filled(members map[string]*string) map[string]string {
	out := map[string]string{}
	for name, v := range members {
		if *v != "" {
			out[name] = *v
		}
	}
	return out
}
