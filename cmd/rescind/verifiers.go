package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
)

func newVerifiers(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "verifiers", Short: "Print who enforces revocations, and how far each is", Args: cobra.NoArgs,
		Long: `Verifiers prints who has registered to enforce revocations: the position in the
log that each has applied, how old its view is, and when it was last heard.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd, env, "officer")
			if err != nil {
				return err
			}
			var out client.Verifiers
			return ask(cmd, c, "GET", "/v1/verifiers", nil, &out, func(w io.Writer) {
				if out.Of == 0 {
					fmt.Fprintln(w, "0 registered, 0 fresh: a verifier registers where it has a name (docs/verifier.md)")
					return
				}
				rows := make([][]string, len(out.Verifiers))
				for i, v := range out.Verifiers {
					rows[i] = []string{v.Name, short(v.ID), v.State, positions(v.Positions), ms(v.AgeMS), ms(v.HeardMS) + " ago", clock(v.Started)}
				}
				table(w, []string{"NAME", "ID", "STATE", "POSITION", "VIEW", "HEARD", "STARTED"}, rows)
				fmt.Fprintf(w, "%d registered, %d fresh\n", out.Of, out.Fresh)
			})
		},
	}
	addClientFlags(cmd)
	return cmd
}

func ms(n int64) string { return (time.Duration(n) * time.Millisecond).String() }

// positions is one for each shard, separated by a slash.
func positions(all []uint64) string {
	if len(all) == 0 {
		return "-"
	}
	out := make([]string, len(all))
	for i, p := range all {
		out[i] = strconv.FormatUint(p, 10)
	}
	return strings.Join(out, "/")
}

// watchEvery is how often watch asks.
const watchEvery = 50 * time.Millisecond

// watch prints where a revocation is enforced, each time that it is at more
// verifiers, until it is at every fresh one or wait is over. As JSON it prints
// once, however it ends: by the id that is told there it can be lifted.
func watch(cmd *cobra.Command, c *client.Client, last client.Revocation, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), wait)
	defer cancel()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var shown string
	for {
		r, err := enforced(ctx, c, last)
		switch {
		case err == nil:
			last = r
			if line := r.Enforced.String(); line != shown && !asJSON(cmd) {
				shown = line
				fmt.Fprintln(cmd.OutOrStdout(), line)
			}
			if r.Enforced.Done() {
				return show(cmd, last, func(io.Writer) {})
			}
		case ctx.Err() == nil:
			return errors.Join(fmt.Errorf("revoked, but it cannot be asked where that is enforced: %w", err), show(cmd, last, func(io.Writer) {}))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return giveUp(cmd, last, wait)
		}
	}
}

// enforced asks where the revocation is enforced. That is not known, and what is
// stays last, where it is not on the log yet, and where the server has just
// started.
func enforced(ctx context.Context, c *client.Client, last client.Revocation) (r client.Revocation, err error) {
	err = c.Call(ctx, "GET", "/v1/revocations/"+url.PathEscape(last.ID), nil, &r)
	var p *client.Problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		return last, nil
	}
	return r, err
}

// giveUp says who has not applied it. Revoked it is all the same.
func giveUp(cmd *cobra.Command, last client.Revocation, wait time.Duration) error {
	if err := show(cmd, last, func(io.Writer) {}); err != nil {
		return err
	}
	if err := cmd.Context().Err(); err != nil {
		return err
	}
	if last.Enforced == nil {
		return fmt.Errorf("revoked, but after %s it is not known where that is enforced", wait)
	}
	return fmt.Errorf("revoked, but not enforced within %s at: %s", wait, strings.Join(last.Enforced.Missing, ", "))
}
