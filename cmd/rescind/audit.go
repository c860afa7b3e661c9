package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
)

func newAudit(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Read the audit trail", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	addClientFlags(cmd)
	cmd.AddCommand(newAuditSearch(env), newLeaks(env))
	return cmd
}

// searchMembers are the filters of a search that are plain text.
var searchMembers = []struct{ name, usage string }{
	{"tenant", "tenant"}, {"issuer", "issuer"}, {"subject", "subject, as in sub"}, {"subject_ref", "reference of a subject, as a trail shows it"},
	{"jti", "token id"}, {"sid", "session id"}, {"client_id", "client"}, {"kid", "signing key"}, {"type", "event type, such as token.issued"},
	{"outcome", "success or failure"}, {"from", "not before, RFC 3339"}, {"to", "before, RFC 3339"}, {"cursor", "the next of a page before"},
	{"purpose", "why personal data is read; it is recorded"},
	{"exception", "under which what a subject had restricted is read: consent, legal_claims, rights_of_others, public_interest; it is recorded"},
}

func newAuditSearch(env environment) *cobra.Command {
	members := map[string]*string{}
	var limit int
	var count, open bool
	cmd := &cobra.Command{
		Use: "search", Short: "Print the events that match, in the order of the log", Args: cobra.NoArgs,
		Example: "  rescind audit search --tenant acme --issuer https://id.example --subject alice --open --purpose 'case 42'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := map[string]any{"limit": limit}
			for name, v := range members {
				if *v != "" {
					in[name] = *v
				}
			}
			if count {
				in["count"] = true
			}
			if open {
				in["open"] = true
			}
			return auditSearch(cmd, env, in)
		},
	}
	for _, m := range searchMembers {
		members[m.name] = cmd.Flags().String(strings.ReplaceAll(m.name, "_", "-"), "", m.usage)
	}
	_ = cmd.MarkFlagRequired("tenant")
	cmd.Flags().IntVar(&limit, "limit", 100, "events a page, 1 to 1000")
	cmd.Flags().BoolVar(&count, "count", false, "count all that match, too")
	cmd.Flags().BoolVar(&open, "open", false, "open the personal part: recorded, and needs --purpose")
	return cmd
}

func auditSearch(cmd *cobra.Command, env environment, in map[string]any) error {
	c, err := newClient(cmd, env, "officer")
	if err != nil {
		return err
	}
	var out client.Trail
	return ask(cmd, c, "POST", "/v1/audit/search", in, &out, func(w io.Writer) {
		if len(out.Events) > 0 {
			printTrail(w, out.Events)
		} else {
			fmt.Fprintln(w, "no events match; what was published within the last seconds may not be here yet")
		}
		if out.SubjectState == "erased" {
			fmt.Fprintln(w, "the subject was erased: their events are found by --subject-ref only")
		}
		if out.Total != nil {
			fmt.Fprintf(w, "%d in all\n", *out.Total)
		}
		if out.Next != "" {
			fmt.Fprintf(w, "more: --cursor %s\n", out.Next)
		}
	})
}

func printTrail(w io.Writer, evs []client.Event) {
	rows := make([][]string, len(evs))
	for i, e := range evs {
		rows[i] = []string{
			strconv.FormatUint(e.Index, 10), clock(e.Time), typeName(e.Type), cmp.Or(e.Outcome, "-"), cmp.Or(e.Reason, "-"),
			cmp.Or(short(e.SubjectRef), "-"), cmp.Or(short(e.TokenRef), "-"), personal(e),
		}
	}
	table(w, []string{"INDEX", "TIME", "TYPE", "OUTCOME", "REASON", "SUBJECT REF", "TOKEN REF", "PERSONAL"}, rows)
}

func typeName(t string) string {
	return strings.TrimSuffix(strings.TrimPrefix(t, "dev.rescind."), ".v1")
}

// personal is the personal column: what was opened, or why it was not.
func personal(e client.Event) string {
	if len(e.Personal) == 0 {
		return cmp.Or(e.Sealed, "-")
	}
	var parts []string
	for name, v := range e.Personal {
		if name != "jti" && name != "sid" && name != "user_agent" {
			parts = append(parts, inPersonal(name, v))
		}
	}
	slices.Sort(parts)
	return cmp.Or(strings.Join(parts, " "), "-")
}

// inPersonal is one personal member; those inside it are named name.inner.
func inPersonal(name string, v any) string {
	inner, is := v.(map[string]any)
	if !is {
		return fmt.Sprintf("%s=%v", name, v)
	}
	var parts []string
	for k, x := range inner {
		parts = append(parts, inPersonal(name+"."+k, x))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}
