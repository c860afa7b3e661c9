package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rescindhq/rescind/internal/client"
)

// listRequests prints what has to be answered first first, and what is finished
// last or, unless it is wanted, not at all.
func listRequests(w io.Writer, requests []client.Request, finished bool) {
	hidden, none := 0, "no requests"
	var rows [][]string
	slices.SortStableFunc(requests, byDue)
	for _, r := range requests {
		if r.DaysLeft == nil && r.State != "partial" && !finished {
			hidden++
			continue
		}
		rows = append(rows, []string{r.ID, r.Type, r.Regulation, r.Tenant, r.State, r.Due.Format("2006-01-02"), daysLeft(&r)})
	}
	if hidden > 0 {
		none = "no open requests"
	}
	if len(rows) > 0 {
		table(w, []string{"ID", "TYPE", "REGULATION", "TENANT", "STATE", "DUE", "LEFT"}, rows)
	} else {
		fmt.Fprintln(w, none)
	}
	if hidden > 0 {
		fmt.Fprintf(w, "%d finished: --all shows them\n", hidden)
	}
}

func byDue(a, b client.Request) int {
	if open, other := a.DaysLeft != nil, b.DaysLeft != nil; open != other {
		if open {
			return -1
		}
		return 1
	}
	return a.Due.Compare(b.Due)
}

// daysLeft is what a handler wants to read of the deadline.
func daysLeft(r *client.Request) string {
	switch {
	case r.DaysLeft == nil && r.Urgency == "overdue":
		return "answered late"
	case r.DaysLeft == nil && r.Answered.IsZero():
		return "no deadline"
	case r.DaysLeft == nil:
		return "answered"
	case r.Urgency == "overdue":
		return fmt.Sprintf("OVERDUE by %s", days(-*r.DaysLeft))
	case *r.DaysLeft == 0:
		return "TODAY"
	case r.Urgency == "soon":
		return days(*r.DaysLeft) + " !"
	default:
		return days(*r.DaysLeft)
	}
}

func days(n int) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

// printRequest prints one request and what happened to it.
func printRequest(w io.Writer, r *client.Request) {
	state := r.State
	if r.Outcome != "" {
		state += ": " + r.Outcome
	}
	if r.Reason != "" {
		state += ": " + r.Reason
	}
	due := r.Due.Format("2006-01-02 15:04:05 -07:00") + " (" + daysLeft(r) + ")"
	if r.Extended {
		due += ", extended"
	}
	rows := [][]string{
		{"request", r.ID}, {"type", r.Type + " under " + r.Regulation}, {"tenant", r.Tenant}, {"state", state},
		{"received", clock(r.Received)}, {"due", due},
	}
	if !r.ConfirmBy.IsZero() {
		rows = append(rows, []string{"confirm by", r.ConfirmBy.Format("2006-01-02")})
	}
	untold := func(missing string) bool { return strings.HasPrefix(missing, "recipient:") } // they have a table of their own
	if holds := slices.DeleteFunc(slices.Clone(r.Missing), untold); len(holds) > 0 {
		rows = append(rows, []string{"held by", strings.Join(holds, ", ")})
	}
	if !r.Export.IsZero() {
		rows = append(rows, []string{"export", "rescind request export " + r.ID + ", until " + clock(r.Export) + " or until the person is erased"})
	}
	if r.Salt != "" {
		rows = append(rows, []string{"salt", r.Salt + "  (give it to the subject, show does not print it again: it ties the receipt to them)"})
	}
	table(w, rows[0], rows[1:])
	fmt.Fprintln(w)
	if len(r.Recipients) > 0 {
		printRecipients(w, r.Recipients)
	}
	printHistory(w, r.History)
}

func printHistory(w io.Writer, history []client.RequestStep) {
	rows := make([][]string, len(history))
	for i, h := range history {
		why := h.Reason
		if h.Told != "" {
			why += " (told " + h.Told + ")"
		}
		if h.Ticket != "" {
			why += " [" + h.Ticket + "]"
		}
		what := h.What
		if h.Recipient != "" {
			what += " " + h.Recipient
			why = strings.TrimSpace(h.Delivery + " " + why)
		}
		rows[i] = []string{clock(h.At), what, first(h.Actor, "the subject"), strings.TrimSpace(why)}
	}
	table(w, []string{"WHEN", "WHAT", "WHO", "WHY"}, rows)
}
