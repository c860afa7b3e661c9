package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/sleep"
)

func newRevokeBulk(env environment) *cobra.Command {
	var file, tenant, resume string
	cmd := &cobra.Command{
		Use: "bulk", Short: "Revoke many tokens, sessions, grants or subjects: one a line of a file", Args: cobra.NoArgs,
		Long: `Bulk revokes what the lines of FILE say, each a body of POST /v1/revocations
without its tenant. It shows how far it is, and ends when the revocations are
applied by the API and by every verifier that is there; it says which are not,
ten seconds after the API. Where it was cut off, --resume goes on with the job it
named: no line revokes twice, and the file must be the same.`,
		Example: `  rescind revoke bulk --tenant acme --file tokens.ndjson
  {"scope":"token","iss":"https://id.example","jti":"t-1","exp":1893456000,"reason":"token_leaked"}`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd, env, "admin")
			if err != nil {
				return err
			}
			b, err := newBulkFile(file, tenant, resume)
			if err != nil {
				return err
			}
			return b.revoke(cmd, c)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "`FILE` with one revocation a line")
	cmd.Flags().StringVar(&tenant, "tenant", "", "tenant of all of them")
	cmd.Flags().StringVar(&resume, "resume", "", "`JOB` to go on with")
	_ = cmd.MarkFlagRequired("file") // fails only where there is no such flag
	_ = cmd.MarkFlagRequired("tenant")
	return cmd
}

// bulkFile is a file whose lines are a job.
type bulkFile struct {
	path, tenant string
	job          uuid.UUID
	sum          []byte // of the file
	lines        int64
}

// label is what a job is gone on with: its id and a hash of the file under it,
// so that it is not gone on with from another file. The id itself tells nothing of
// the file: its random bits are what keeps the ids of the events from telling what
// the lines say.
func (b *bulkFile) label() string {
	mac := hmac.New(sha256.New, b.job[:])
	mac.Write(b.sum) // a hash does not fail
	return b.job.String() + "." + hex.EncodeToString(mac.Sum(nil)[:8])
}

func newBulkFile(path, tenant, resume string) (*bulkFile, error) {
	b := &bulkFile{path: path, tenant: tenant}
	var err error
	if b.sum, err = b.read(); err != nil {
		return nil, err
	}
	if resume != "" {
		return b, b.goOn(resume)
	}
	if b.job, err = uuid.NewV7(); err != nil {
		return nil, fmt.Errorf("revoke bulk: make a job: %w", err)
	}
	return b, nil
}

// goOn has b be the job of a label. Of an id alone the server says whether the
// lines are those that it has read.
func (b *bulkFile) goOn(label string) (err error) {
	id, _, whole := strings.Cut(label, ".")
	if b.job, err = uuid.Parse(id); err != nil {
		return usage("--resume %q is no job: give what was printed when it began", label)
	}
	if whole && label != b.label() {
		return usage("revoke bulk: %s is not the file of job %s, or has changed since", b.path, label)
	}
	return nil
}

// read hashes the file and counts its lines.
func (b *bulkFile) read() (sum []byte, err error) {
	f, err := os.Open(b.path)
	if err != nil {
		return nil, usage("--file: %w", err)
	}
	defer f.Close()
	h, last := sha256.New(), byte('\n')
	for buf := make([]byte, 64<<10); ; {
		n, err := f.Read(buf)
		for _, c := range buf[:n] {
			if c == '\n' {
				b.lines++
			}
		}
		if n > 0 {
			last = buf[n-1]
			h.Write(buf[:n])
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("revoke bulk: %w", err)
		}
	}
	if last != '\n' {
		b.lines++
	}
	return h.Sum(nil), nil
}

func (b *bulkFile) revoke(cmd *cobra.Command, c *client.Client) error {
	began, ctx := time.Now(), cmd.Context()
	from, err := b.next(ctx, c)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "job %s: %s, from line %d\n", b.label(), plural(uint64(b.lines), "line"), from)
	showing, stop := context.WithCancel(ctx)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		b.show(showing, cmd.ErrOrStderr(), c)
	}()
	done, err := b.send(ctx, c, from)
	stop()
	<-shown
	if err != nil {
		return fmt.Errorf("%w\ngo on with: rescind revoke bulk --tenant %s --file %s --resume %s", err, b.tenant, b.path, b.label())
	}
	if done, err = b.applied(ctx, c, done); err != nil {
		return err
	}
	if err := show(cmd, done, func(w io.Writer) { printBulk(w, done, time.Since(began)) }); err != nil {
		return err
	}
	if done.Refused > 0 {
		return errNo
	}
	return nil
}

// bulkStill is how long a job may stand still before it is called stuck.
const bulkStill = 30 * time.Second

// bulkVerifiers is how long verifiers may take that are heard and behind.
const bulkVerifiers = 10 * time.Second

// applied waits until what was accepted is applied, here and at the verifiers.
func (b *bulkFile) applied(ctx context.Context, c *client.Client, at client.Bulk) (client.Bulk, error) {
	moved, here := time.Now(), time.Time{} // when more was logged, and when the API had it all
	if at.Applied {
		here = moved
	}
	for !at.Applied || lacking(at.Enforced) && time.Since(here) < bulkVerifiers {
		if err := sleep.For(ctx, 100*time.Millisecond); err != nil {
			return at, err
		}
		now, err := b.progress(ctx, c)
		if err != nil {
			return at, err
		}
		if now.Logged > at.Logged {
			moved = time.Now()
		}
		if now.Applied && here.IsZero() {
			here = time.Now()
		}
		if at = now; !at.Applied && time.Since(moved) > bulkStill {
			return at, fmt.Errorf("job %s: all %d lines are durable, but for %s only %d have been on the log: see rescind quarantine", b.job, at.Accepted, bulkStill, at.Logged)
		}
	}
	return at, nil
}

// lacking reports whether a verifier that is heard may still come.
func lacking(e *client.Enforced) bool { return e != nil && e.At < e.Fresh }

// next is the line to begin with: 1 where the job is not known.
func (b *bulkFile) next(ctx context.Context, c *client.Client) (int64, error) {
	at, err := b.progress(ctx, c)
	var problem *client.Problem
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusNotFound:
		return 1, nil
	case err != nil:
		return 0, err
	}
	return at.Next, nil
}

func (b *bulkFile) progress(ctx context.Context, c *client.Client) (at client.Bulk, err error) {
	err = c.Call(ctx, http.MethodGet, fmt.Sprintf("/v1/revocations/bulk/%s?tenant=%s", b.job, url.QueryEscape(b.tenant)), nil, &at)
	return at, err
}

func (b *bulkFile) send(ctx context.Context, c *client.Client, from int64) (done client.Bulk, err error) {
	f, err := os.Open(b.path)
	if err != nil {
		return done, err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	for range from - 1 {
		if err := skipLine(in); err != nil {
			return done, fmt.Errorf("skip to line %d: %w", from, err)
		}
	}
	path := fmt.Sprintf("/v1/revocations/bulk?job=%s&tenant=%s&from=%d", b.job, url.QueryEscape(b.tenant), from)
	return done, c.Upload(ctx, path, "application/x-ndjson", in, &done)
}

func skipLine(in *bufio.Reader) error {
	for {
		switch _, err := in.ReadSlice('\n'); {
		case err == nil:
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// show writes each second how far the job is.
func (b *bulkFile) show(ctx context.Context, w io.Writer, c *client.Client) {
	for sleep.For(ctx, time.Second) == nil {
		if at, err := b.progress(ctx, c); err == nil {
			fmt.Fprintf(w, "%d of %d lines: %s\n", at.Next-1, b.lines, bulkCounts(at))
		}
	}
}

// bulkCounts is how far each step is.
func bulkCounts(b client.Bulk) string {
	out := fmt.Sprintf("accepted %d, refused %d", b.Accepted, b.Refused)
	if b.Repeated > 0 {
		out += fmt.Sprintf(", repeated %d", b.Repeated)
	}
	return out + fmt.Sprintf("; on the log %d", b.Logged)
}

func printBulk(w io.Writer, b client.Bulk, took time.Duration) {
	fmt.Fprintf(w, "%s, applied; %s\n", bulkCounts(b), took.Round(time.Millisecond))
	if e := b.Enforced; e != nil {
		fmt.Fprintf(w, "enforced at %d of %d verifiers", e.At, e.Of)
		if len(e.Missing) > 0 {
			fmt.Fprintf(w, ", not at %s", strings.Join(e.Missing, ", "))
		}
		fmt.Fprintln(w)
	}
	var rows [][]string
	for _, r := range b.Refusals {
		rows = append(rows, []string{fmt.Sprint(r.Line), r.Member, r.Reason})
	}
	if len(rows) > 0 {
		table(w, []string{"LINE", "MEMBER", "REASON"}, rows)
	}
}
