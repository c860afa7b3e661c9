package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/query/erasure"
)

// newRequestRecipient is what a person does about a recipient whom no callback
// reaches.
func newRequestRecipient(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "recipient", Short: "Say how a recipient was told of an erasure, or why not", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	told := newSettlement(env, erasure.Informed, "told ID RECIPIENT", "They were told by other means", erasure.TellingMeans())
	told.Flags().String("told", "", "`day` on which they were told, as 2026-03-31")
	_ = told.MarkFlagRequired("told")
	cmd.AddCommand(told, newSettlement(env, erasure.GivenUp, "give-up ID RECIPIENT", "Telling them is impossible, or takes a disproportionate effort", erasure.GivingUp()))
	return cmd
}

func newSettlement(env environment, d erasure.Delivery, use, short string, reasons []string) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]string{"delivery": string(d)}
			for _, name := range []string{"reason", "told", "ticket", "note"} {
				if f := cmd.Flags().Lookup(name); f != nil && f.Value.String() != "" {
					in[name] = f.Value.String()
				}
			}
			return oneRequest(cmd, env, "approver", "POST", "/v1/requests/"+url.PathEscape(args[0])+"/recipients/"+url.PathEscape(args[1]), in)
		},
	}
	cmd.Flags().String("reason", "", "one of "+strings.Join(reasons, ", "))
	cmd.Flags().String("ticket", "", "your own number of it")
	cmd.Flags().String("note", "", "free text, kept sealed; required to give up, and with other")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

// printRecipients prints who has to be told of an erasure.
func printRecipients(w io.Writer, recipients []client.Recipient) {
	rows := make([][]string, len(recipients))
	for i, r := range recipients {
		since := r.Prepared
		if r.Delivery != string(erasure.Pending) {
			since = r.Settled
		}
		rows[i] = []string{r.ID, r.Delivery, clock(since), how(&r)}
	}
	table(w, []string{"RECIPIENT", "DELIVERY", "SINCE", "HOW"}, rows)
	fmt.Fprintln(w)
}

// how is what a handler wants to know of a recipient.
func how(r *client.Recipient) string {
	var out []string
	if r.Attempts > 0 {
		times := fmt.Sprintf("%d times", r.Attempts)
		if r.Attempts == 1 {
			times = "once"
		}
		out = append(out, fmt.Sprintf("tried %s, again at %s", times, clock(r.NextAttempt)), r.Failure)
	}
	if r.Reason != "" {
		out = append(out, r.Reason)
	}
	if r.Told != "" {
		out = append(out, "on "+r.Told)
	}
	if r.Actor != "" && r.Actor != erasure.Worker {
		out = append(out, "said "+r.Actor)
	}
	if r.Contact != "" {
		out = append(out, "write to "+r.Contact)
	}
	return strings.Join(out, "; ")
}
