package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/client"
)

// printProposal prints all that a proposal would do and say, a line for each.
func printProposal(w io.Writer, p *client.Proposal) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(t, "%s\t%s\n", name, visible(value)) }
	line(p.State, p.ID)
	line("tenant", p.Tenant)
	if p.Lifts == "" {
		printTerms(line, p)
	} else {
		line("lifts", p.Lifts)
		line("which is", "of "+named(p))
	}
	line("reason", p.Reason)
	line("ticket", dash(p.Ticket))
	line("note", note(p))
	line("proposed", "by "+p.ProposedBy+", "+p.Proposed.UTC().Format(time.RFC3339))
	if p.DecidedBy != "" {
		line("decided", "by "+p.DecidedBy+", "+p.Decided.UTC().Format(time.RFC3339)+because(p.DecisionReason))
	}
	if !p.Expires.IsZero() {
		line("until", p.Expires.UTC().Format(time.RFC3339))
	}
	t.Flush()
}

// printTerms prints what a revocation that is proposed would do.
func printTerms(line func(name, value string), p *client.Proposal) {
	line("revokes", what(p))
	line("issued", issued(p))
	line("starts", moment(p.Starts, "at once"))
	line("ends", moment(p.NotAfter, "not by itself"))
	if p.Exp != 0 {
		line("expires", moment(p.Exp, ""))
	}
	line("hits", hits(p))
}

// what is what p revokes, or lifts.
func what(p *client.Proposal) string {
	if p.Lifts != "" {
		return "lift of " + named(p)
	}
	return named(p)
}

func named(p *client.Proposal) string {
	switch events.Scope(p.Scope) {
	case events.ScopeClient:
		return "client " + p.Client + " of " + p.Issuer
	case events.ScopeKey:
		return "key " + p.KeyID + " of " + p.Issuer
	case events.ScopeIssuer:
		return "issuer " + p.Issuer
	default:
		return p.Scope
	}
}

// issued says which tokens p revokes, by when they were issued.
func issued(p *client.Proposal) string {
	switch {
	case p.IssuedBefore != 0:
		return "until " + moment(p.IssuedBefore, "")
	case p.Scope == string(events.ScopeKey):
		return "whenever"
	case p.Starts != 0:
		return "until it starts"
	default:
		return "until it is made"
	}
}

// hits is what p would have hit when it was proposed.
func hits(p *client.Proposal) string {
	if p.Tokens == nil {
		return "not known when it was proposed"
	}
	return plural(*p.Tokens, "live token") + " of " + plural(*p.Reach, "subject") + ", when it was proposed"
}

func note(p *client.Proposal) string {
	if p.NoteMissing != "" {
		return "(" + strings.ReplaceAll(p.NoteMissing, "_", " ") + ")"
	}
	return dash(p.Note)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// moment is a time of a revocation, or what it means that there is none.
func moment(t events.Timestamp, none string) string {
	if t == 0 {
		return none
	}
	return t.Time().UTC().Format(time.RFC3339Nano)
}

// counted is how many subjects, and tokens that name none; a question mark where
// that was not known.
func counted(reach *uint64) string {
	if reach == nil {
		return "?"
	}
	return strconv.FormatUint(*reach, 10)
}

// dash stands for what is not there.
func dash(s string) string { return cmp.Or(s, "-") }
