package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
)

func newLeaks(env environment) *cobra.Command {
	var cursor string
	var limit int
	cmd := &cobra.Command{
		Use: "leaks REVOCATION", Short: "Print who accepted what was revoked, after it was", Args: cobra.ExactArgs(1),
		Long: `Leaks prints every acceptance that was reported of a token after its revocation:
by whom, when, how long after, and from which position in the log. Each is

  ignored  accepted by a verifier that had applied the revocation
  late     by one that had not, longer after it than a view may be old (the bound)
  within   by one that had not, within the bound

REVOCATION is the id that "rescind revoke" printed. Exit code 3 means that there
is something ignored or late. What a verifier does not report is not seen.`,
		Example: "  rescind audit leaks 019aa6b0-5c1e-7d30-9c5b-0f3a1b2c3d4e",
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := whichOf(cmd)
			if err != nil {
				return err
			}
			q.Set("limit", strconv.Itoa(limit))
			if cursor != "" {
				q.Set("cursor", cursor)
			}
			return leaks(cmd, env, "/v1/revocations/"+url.PathEscape(args[0])+"/leaks?"+q.Encode())
		},
	}
	addWhich(cmd)
	cmd.Flags().StringVar(&cursor, "cursor", "", "the next of a page before")
	cmd.Flags().IntVar(&limit, "limit", 100, "leaks a page, 1 to 1000")
	return cmd
}

func leaks(cmd *cobra.Command, env environment, path string) error {
	c, err := newClient(cmd, env, "officer")
	if err != nil {
		return err
	}
	var out client.Leaks
	err = ask(cmd, c, "GET", path, nil, &out, func(w io.Writer) {
		rows := make([][]string, len(out.Leaks))
		for i, l := range out.Leaks {
			view := "-"
			if l.View != nil {
				view = strconv.FormatUint(*l.View, 10)
			}
			rows[i] = []string{
				strconv.FormatUint(l.Index, 10), l.Kind, clock(l.Accepted), (time.Duration(l.AfterMS) * time.Millisecond).String(), view, l.Source,
				cmp.Or(l.Client, "-"), cmp.Or(short(l.TokenRef), "-"),
			}
		}
		if len(rows) > 0 {
			table(w, []string{"INDEX", "KIND", "ACCEPTED", "AFTER", "VIEW", "VERIFIER", "CLIENT", "TOKEN REF"}, rows)
		}
		fmt.Fprintf(w, "%d ignored, %d late, %d within %s; looked at up to position %d\n",
			out.Ignored, out.Late, out.Within, time.Duration(out.BoundMS)*time.Millisecond, out.Position)
		if out.Next != "" {
			fmt.Fprintf(w, "more: --cursor %s\n", out.Next)
		}
	})
	if err == nil && out.Ignored+out.Late > 0 {
		return errNo
	}
	return err
}
