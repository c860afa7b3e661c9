package main

import (
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

// maxLiftWait is as long as the server waits.
const maxLiftWait = 30 * time.Second

func newLift(env environment) *cobra.Command {
	in := map[string]*string{}
	var wait time.Duration
	var proposed bool
	cmd := &cobra.Command{
		Use: "lift ID", Short: "Lift a revocation, everywhere", Args: cobra.ExactArgs(1),
		Long: `Lift takes a revocation back. What a second person had to approve needs two people
to be lifted, too: --propose it, have somebody else approve the proposal, then lift
it with --approval.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if wait < 0 || wait > maxLiftWait {
				return usage("--wait %s: want 0 to %s", wait, maxLiftWait)
			}
			if proposed && (wait > 0 || *in["approval"] != "") {
				return usage("--propose: it lifts nothing yet; give neither --wait nor --approval")
			}
			c, err := newClient(cmd, env, "admin")
			if err != nil {
				return err
			}
			which, err := whichOf(cmd)
			if err != nil {
				return err
			}
			path := "/v1/revocations/" + url.PathEscape(args[0]) + "/lift?" + which.Encode()
			if proposed {
				return proposeAt(cmd, c, path, liftBody(in, true))
			}
			return hint(lift(cmd, c, path, liftBody(in, false), wait))
		},
	}
	addClientFlags(cmd)
	addWhich(cmd)
	cmd.Flags().DurationVar(&wait, "wait", 0, "show where it is lifted, once every verifier that is there has applied it, or after this (at most 30s); exit code 1 where one has not")
	in["reason"] = cmd.Flags().String("reason", "", "why it is lifted")
	in["ticket"] = cmd.Flags().String("ticket", "", "where the decision is written down")
	in["note"] = cmd.Flags().String("note", "", "free text, kept sealed")
	in["approval"] = cmd.Flags().String("approval", "", "id of the approved proposal of exactly this")
	cmd.Flags().BoolVar(&proposed, "propose", false, "only propose it, for somebody else to approve")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

// addWhich declares the flags that say which revocation is meant, of several with an id.
func addWhich(cmd *cobra.Command) {
	cmd.Flags().String("tenant", "", "tenant, where the id is one of several")
	cmd.Flags().String("source", "", "source of the event that revoked, where the id is one of several")
	cmd.Flags().Uint64("position", 0, "position of the event that revoked, the same; give --tenant too")
}

// whichOf is what was given of these flags, as parameters of a route.
func whichOf(cmd *cobra.Command) (url.Values, error) {
	q := url.Values{}
	for _, name := range []string{"tenant", "source", "position"} {
		f := cmd.Flag(name)
		if !f.Changed {
			continue
		}
		if f.Value.String() == "" {
			return nil, usage("--%s is empty: leave it out, or say which", name)
		}
		q.Set(name, f.Value.String())
	}
	return q, nil
}

func liftBody(members map[string]*string, propose bool) map[string]any {
	out := map[string]any{}
	for name, v := range filled(members) {
		out[name] = v
	}
	if propose {
		out["propose"] = true
	}
	return out
}

func lift(cmd *cobra.Command, c *client.Client, path string, in map[string]any, wait time.Duration) error {
	if wait > 0 {
		c.Header = http.Header{"Prefer": {"wait=" + strconv.Itoa(int((wait+time.Second-1)/time.Second))}}
	}
	var out client.Revoked
	err := ask(cmd, c, "POST", path, in, &out, func(w io.Writer) {
		fmt.Fprintf(w, "lifted: position %d\n", out.Position)
		if wait > 0 {
			fmt.Fprintln(w, out.Enforced)
		}
	})
	switch {
	case err != nil || wait == 0 || out.Enforced.Done():
		return err
	case out.Enforced == nil:
		return fmt.Errorf("lifted, but after %s it is not known where", wait)
	default:
		return fmt.Errorf("lifted, but not everywhere within %s: not at %s", wait, strings.Join(out.Enforced.Missing, ", "))
	}
}
