package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/query/receipt"
)

// receiptCheck is what verify receipt is asked.
type receiptCheck struct{ key, salt, issuer, subject string }

// receiptVerdict is what it answers.
type receiptVerdict struct {
	Valid   bool             `json:"valid"`
	Problem string           `json:"problem,omitempty"`
	Detail  string           `json:"detail,omitempty"`
	Key     string           `json:"key,omitempty"`
	Subject string           `json:"subject,omitempty"` // matches, or absent where it was not asked
	Receipt *receipt.Receipt `json:"receipt,omitempty"`
}

func newVerifyReceipt(env environment) *cobra.Command {
	var o receiptCheck
	cmd := &cobra.Command{
		Use: "receipt FILE", Short: "Verify the receipt of an erasure, and print what it says", Args: cobra.ExactArgs(1),
		Long: `Receipt verifies a receipt of an erasure, as rescind request receipt prints it, and says
what is in it. FILE - is standard input. With --key it asks nobody: not a
deployment, not the network. Without, it takes the keys of the deployment at
--url or of a running rescind dev, and believes that.

With --salt, --iss and --sub it says whether the receipt is about that person.
The salt was given to them when they asked to be forgotten.

Exit code 0: the receipt is genuine, and about that person where that was asked; 3: it
is not, and what is said is why.`,
		RunE: func(cmd *cobra.Command, args []string) error { return runVerifyReceipt(cmd, env, args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.key, "key", "", "`file` with the key or set of keys, as rescind keys receipts prints it")
	f.StringVar(&o.salt, "salt", "", "what the subject was given")
	f.StringVar(&o.issuer, "iss", "", "issuer that knew the subject")
	f.StringVar(&o.subject, "sub", "", "the subject")
	addDeploymentFlags(cmd)
	return cmd
}

func runVerifyReceipt(cmd *cobra.Command, env environment, path string, o receiptCheck) error {
	asked := o.salt != "" || o.issuer != "" || o.subject != ""
	if asked && (o.salt == "" || o.issuer == "" || o.subject == "") {
		return usage("--salt, --iss and --sub belong together: without one of them nobody can tell whose receipt it is")
	}
	file, err := readUpTo(cmd, path, receipt.MaxFile+1)
	if err != nil {
		return usage("the receipt: %v", err)
	}
	keys, err := receiptKeys(cmd, env, o.key)
	if err != nil {
		return err
	}
	r, key, err := receipt.Verify(file, keys)
	verdict := receiptVerdict{Valid: err == nil, Key: key.ID, Receipt: r}
	if err == nil && asked {
		verdict.Subject, err = "matches", matches(r, o)
	}
	var bad *receipt.Invalid
	if errors.As(err, &bad) {
		verdict = receiptVerdict{Problem: bad.What, Detail: bad.Detail}
	} else if err != nil {
		return err
	}
	if err := show(cmd, verdict, func(w io.Writer) {
		printVerdict(w, &verdict)
		if verdict.Valid && o.key == "" {
			fmt.Fprintln(w, "the key was taken from the running deployment, on its word: give --key with a copy that was kept apart from it")
		}
	}); err != nil || verdict.Valid {
		return err
	}
	return errNo
}

// readUpTo reads a file, or standard input, but not more of it than limit.
func readUpTo(cmd *cobra.Command, path string, limit int64) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(cmd.InOrStdin(), limit))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func receiptKeys(cmd *cobra.Command, env environment, path string) ([]receipt.Key, error) {
	if path == "" {
		set, err := fetchReceiptKeys(cmd, env)
		if err != nil {
			return nil, fmt.Errorf("the keys to verify it with: %w; or give --key with a file that rescind keys receipts printed", err)
		}
		return receipt.ParseKeys(set)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("--key: %v", err)
	}
	keys, err := receipt.ParseKeys(b)
	if err != nil {
		return nil, usage("--key %s: %w", path, err)
	}
	return keys, nil
}

func matches(r *receipt.Receipt, o receiptCheck) error {
	salt, err := receipt.ParseSalt(o.salt)
	if err != nil {
		return usage("--salt: %v", err)
	}
	if !r.IsOf(salt, o.issuer, o.subject) {
		return &receipt.Invalid{What: receipt.BadSubject, Detail: "the receipt is genuine, and not about this person, or this is not its salt: all three must be as they were when the request was made, to the letter"}
	}
	return nil
}

func printVerdict(w io.Writer, v *receiptVerdict) {
	if !v.Valid {
		fmt.Fprintf(w, "NOT ACCEPTED (%s): %s\n", v.Problem, visible(v.Detail))
		return
	}
	r := v.Receipt
	about := "not asked: give --salt, --iss and --sub"
	if v.Subject != "" {
		about = "it is about this person"
	}
	rows := [][]string{
		{"receipt", "genuine: signed with the key " + v.Key}, {"subject", about}, {"request", r.Request + ", of " + r.Tenant + " (" + r.Environment + "), under " + r.Regulation},
		{"received", day(r.Received) + ", due " + day(r.Due)}, {"outcome", outcomeText(r)},
	}
	for _, d := range r.Decisions {
		rows = append(rows, []string{"step", d.What + " " + day(d.At) + " by " + first(d.By, "nobody named")})
	}
	rows = append(rows, said(r)...)
	table(w, rows[0], rows[1:])
}

func day(t time.Time) string { return t.Format(time.RFC3339) }

func outcomeText(r *receipt.Receipt) string {
	switch r.Outcome {
	case receipt.Erased:
		return "erased, by destruction of the only key"
	case receipt.AlreadyErased:
		return "already erased, by another request"
	case receipt.NoMatch:
		return "nothing was known of the subject; what the request itself said is erased, by destruction of the only key"
	case receipt.Partial:
		return "erased in part, by destruction of the only key; it waits for " + strings.Join(missingText(r.Missing), ", ")
	default:
		return r.Outcome
	}
}

// missingText is what a partial erasure waits for: holds, and recipients.
func missingText(missing []string) []string {
	out := make([]string, len(missing))
	for i, m := range missing {
		if id, is := strings.CutPrefix(m, "recipient:"); is {
			out[i] = "the answer of recipient " + id
		} else {
			out[i] = "the release of hold " + m
		}
	}
	return out
}

// said is the rest of what a receipt says.
func said(r *receipt.Receipt) (rows [][]string) {
	row := func(name, format string, args ...any) {
		rows = append(rows, []string{name, fmt.Sprintf(format, args...)})
	}
	if d := r.Destroyed; d != nil {
		row("destroyed", "%s, the key%s", day(d.At), markText(d.Key))
		if again := d.Repetition; again != nil {
			row("repeated", "it had been destroyed on %s first; after a restored copy of the data had undone that it was done again, found %s", day(again.First), day(again.Found))
		}
	}
	if t := r.Tokens; t != nil {
		row("tokens", "refused: all that were issued until %s%s", day(t.IssuedUntil), livingText(t))
	}
	if r.Kept == nil {
		row("kept", "nothing, under no legal hold")
	} else {
		for _, h := range r.Kept.Holds {
			row("kept", "%d parts, %s, to be reviewed by %s (hold %s)", h.Parts, h.Article, h.Review, h.ID)
		}
		if r.Kept.More > 0 {
			row("kept", "by %d more holds", r.Kept.More)
		}
	}
	for _, to := range r.Recipients {
		row("recipient", "%s", strings.TrimSpace(to.ID+": "+to.State+" "+to.Answer))
	}
	if r.More > 0 {
		row("recipient", "and %d more", r.More)
	}
	if x := r.Residue; x != nil && x.Never {
		row("residue", "a copy of the keyring from before can be read by who has it and the root's key, for ever")
	} else if x != nil {
		row("residue", "a copy of the keyring from before can be read by nobody from %s", day(x.UnreadableFrom))
	} else if r.Destroyed != nil {
		row("residue", "nobody could say from when a copy of the keyring from before can be read by nobody: it was overdue")
	}
	for _, x := range r.Remains {
		row("remains", "%s", x.Text)
	}
	if r.Log != nil {
		row("log", "shard %d, before: %d records, root %s", r.Log.Shard, r.Log.Before.Size, r.Log.Before.Root)
		if r.Log.After != nil {
			row("log", "shard %d, after: %d records, root %s", r.Log.Shard, r.Log.After.Size, r.Log.After.Root)
		}
	}
	return rows
}

func markText(mark string) string {
	if mark == "" {
		return ", of which no mark is known, as where it was gone before"
	}
	return " " + mark
}

func livingText(t *receipt.Tokens) string {
	if t.Live == nil {
		return ""
	}
	return "; " + strconv.FormatUint(*t.Live, 10) + " of them had not expired"
}
