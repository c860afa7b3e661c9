package query_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/lane"
)

func newJob(t *testing.T) string {
	t.Helper()
	job, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return job.String()
}

// bulkLines are lines from, counted from 1, to last: token n each.
func bulkLines(from, last int) string {
	var b strings.Builder
	for n := from; n <= last; n++ {
		fmt.Fprintf(&b, `{"scope":"token","iss":"i","jti":"t-%d","reason":"token_leaked"}`+"\n", n)
	}
	return b.String()
}

func (a *api) bulk(job, query, body string, headers ...string) answer {
	a.t.Helper()
	return a.call(a.token("issuer", "acme"), "POST", "/v1/revocations/bulk?job="+job+query, body, append(headers, "Content-Type", "application/x-ndjson")...)
}

func (a *api) job(job string) (out query.BulkJob) {
	a.t.Helper()
	a.call(a.token("issuer", "acme"), "GET", "/v1/revocations/bulk/"+job, nil).want(a.t, http.StatusOK).into(a.t, &out)
	return out
}

// revoked is the tokens that were published, in the order of their lines, and
// how many ids they have.
func (p *parts) revoked() (tokens []string, ids int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := map[string]bool{}
	evs := slices.Clone(p.published)
	slices.SortFunc(evs, func(a, b events.Event) int { return strings.Compare(a.ID, b.ID) })
	for _, ev := range evs {
		tokens, seen[ev.ID] = append(tokens, ev.Data.TokenID), true
	}
	return tokens, len(seen)
}

func tokens(from, last int) (out []string) {
	for n := from; n <= last; n++ {
		out = append(out, fmt.Sprintf("t-%d", n))
	}
	return out
}

// TestBulk: each line is judged for itself, and one sent again is not published
// again.
func TestBulk(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	job := newJob(t)
	lines := bulkLines(1, 1500) + "nonsense\n" + `{"scope":"tenant","reason":"r"}` + "\n\n" +
		`{"tenant":"globex","scope":"token","iss":"i","jti":"x","reason":"r"}` + "\n" +
		`{"scope":"token","iss":"i","jti":"` + strings.Repeat("x", 20_000) + `","reason":"r"}` + "\n" +
		`{"scope":"token","iss":"i","jti":"x","exp":1,"reason":"r"}` + "\n" +
		`{"scope":"session","iss":"i","sid":"x","issued_before":1,"reason":"r"}` + "\n" +
		strings.TrimSuffix(bulkLines(1508, 2600), "\n") // the last line has no end
	for range 2 {
		var out query.BulkJob
		a.bulk(job, "", lines).want(t, http.StatusOK).into(t, &out)
		if out.State != "complete" || out.Next != 2601 || out.Accepted != 2593 || out.Refused != 7 || out.ID != job {
			t.Errorf("%+v", out)
		}
		var refused []string
		for _, r := range out.Refusals {
			refused = append(refused, fmt.Sprint(r.Line, " ", r.Member))
		}
		if d := cmp.Diff([]string{"1501 ", "1502 scope", "1503 ", "1504 tenant", "1505 ", "1506 exp", "1507 issued_before"}, refused); d != "" {
			t.Error(d)
		}
		got, ids := p.revoked()
		if d := cmp.Diff(append(tokens(1, 1500), tokens(1508, 2600)...), got); d != "" || ids != 2593 {
			t.Errorf("%d ids: %s", ids, d)
		}
	}
	for i := range p.published {
		if r := (events.Policy{Environment: "test"}).Validate(&p.published[i], time.Now()); r != nil || p.published[i].Source != query.BulkSource {
			t.Fatalf("published what the intake refuses: %+v", r)
		}
	}
}

// TestBulkLastLineTooLong: a last line that is too long and has no end is refused
// like any other, not passed over.
func TestBulkLastLineTooLong(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	var out query.BulkJob
	a.bulk(newJob(t), "", bulkLines(1, 2)+`{"scope":"token","iss":"i","jti":"`+strings.Repeat("x", 20_000)).want(t, http.StatusOK).into(t, &out)
	if out.Next != 4 || out.Accepted != 2 || out.Refused != 1 || len(out.Refusals) != 1 || out.Refusals[0].Line != 3 {
		t.Errorf("%+v", out)
	}
}

// TestBulkRequests is what is refused as a whole.
func TestBulkRequests(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	old := uuid.Must(uuid.NewV7())
	old[0], old[1] = 0, 1 // of 1971
	for name, c := range map[string]struct {
		job, query, contentType string
		status                  int
	}{
		"no UUID":              {"x", "", "application/x-ndjson", 422},
		"of another version":   {uuid.NewString(), "", "application/x-ndjson", 422},
		"too old":              {old.String(), "", "application/x-ndjson", 422},
		"another tenant":       {newJob(t), "&tenant=globex", "application/x-ndjson", 403},
		"JSON":                 {newJob(t), "", "application/json", 415},
		"not the next line":    {newJob(t), "&from=2", "application/x-ndjson", 409},
		"more lines than ever": {newJob(t), "&from=10000001", "application/x-ndjson", 422},
	} {
		got := a.call(a.token("issuer", "acme"), "POST", "/v1/revocations/bulk?job="+c.job+c.query, bulkLines(1, 2), "Content-Type", c.contentType)
		if got.status != c.status {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	a.call(a.token("issuer", "acme"), "GET", "/v1/revocations/bulk/"+newJob(t), nil).want(t, http.StatusNotFound)
	job := newJob(t)
	a.bulk(job, "", bulkLines(1, 2)).want(t, http.StatusOK)
	a.call(a.token("issuer", "globex"), "GET", "/v1/revocations/bulk/"+job, nil).want(t, http.StatusNotFound)
	if n := len(p.published); n != 2 {
		t.Errorf("%d published", n)
	}
}

// TestBulkGoesOn behind what was durable, whether the publisher failed or the
// connection was cut: no line is left out and none is published under two ids.
func TestBulkGoesOn(t *testing.T) {
	t.Parallel()
	p := new(parts)
	f := &failing{parts: p, after: 3}
	cfg := p.config()
	cfg.Publisher = f
	a := serve(t, cfg)
	job := newJob(t)
	a.bulk(job, "", bulkLines(1, 9000)).want(t, http.StatusServiceUnavailable)
	at := a.job(job)
	if at.State != "open" || at.Next < 1 || at.Next > 3001 || (at.Next-1)%1000 != 0 || at.Accepted != at.Next-1 {
		t.Fatalf("%+v", at)
	}
	a.bulk(job, fmt.Sprint("&from=", at.Next+1), bulkLines(int(at.Next)+1, 9000)).want(t, http.StatusConflict)

	f.after = 1 << 30
	body := bulkLines(int(at.Next), 9000)
	c, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST /v1/revocations/bulk?job=%s&from=%d HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%s",
		job, at.Next, a.token("issuer", "acme"), len(body), body[:len(body)/2])
	c.Close()
	deadline := time.Now().Add(patience)
	for cut := at; ; {
		if at = a.job(job); at.State == "open" && at.Next > cut.Next {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", at)
		}
	}
	a.bulk(job, fmt.Sprint("&from=", at.Next), bulkLines(int(at.Next), 9000)).want(t, http.StatusOK)
	got, ids := p.revoked()
	if d := cmp.Diff(tokens(1, 9000), slices.Compact(got)); d != "" || ids != 9000 {
		t.Errorf("%d ids: %s", ids, d)
	}
	if at = a.job(job); at.State != "complete" || at.Next != 9001 || at.Accepted != 9000 {
		t.Errorf("%+v", at)
	}
}

// failing is a publisher that takes some calls and then none.
type failing struct {
	*parts
	after int32
	calls atomic.Int32
}

func (f *failing) Publish(ctx context.Context, evs ...events.Event) error {
	if f.calls.Add(1) > f.after {
		return &stream.NotAccepted{Of: len(evs), Events: []stream.Failure{{Event: evs[0], Err: errors.New("away")}}}
	}
	return f.parts.Publish(ctx, evs...)
}

// TestBulkOutlivesTheAPI: another process, which knows only the log, says where
// a job goes on; the log has every line once, and verifiers refuse them all.
func TestBulkOutlivesTheAPI(t *testing.T) {
	t.Parallel()
	h := build(t)
	job, lines := newJob(t), 12_345
	h.bulk(job, "", bulkLines(1, 9_999)).want(t, http.StatusOK)
	logged := make(map[string]int)
	follower := h.kit.Follower()
	follower.Handle(func(e lane.Entry) { logged[e.Record.ID]++ })
	other := h.another(t, follower)
	h.kit.Run(follower.Run)
	deadline := time.Now().Add(patience)
	var at query.BulkJob
	for at.Logged < 9_999 {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", at)
		}
		if got := other.call(other.token("issuer", "acme"), "GET", "/v1/revocations/bulk/"+job, nil); got.status == http.StatusOK {
			got.into(t, &at)
		}
	}
	if at.State != "open" || at.Next != 6001 || at.Accepted != 6000 || at.Refused != 0 {
		t.Errorf("%+v", at)
	}
	other.bulk(job, fmt.Sprint("&from=", at.Next), bulkLines(int(at.Next), lines)).want(t, http.StatusOK)
	for at = other.job(job); !at.Applied || at.Logged < int64(lines); at = other.job(job) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", at)
		}
	}
	if at.State != "complete" || at.Accepted != int64(lines) {
		t.Errorf("%+v", at)
	}
	revocations := 0
	for id, n := range logged {
		if n != 1 {
			t.Errorf("%s is in the log %d times", id, n)
		}
		revocations++
	}
	if revocations < lines {
		t.Errorf("%d revocations in the log, want %d", revocations, lines)
	}
	for _, n := range []int{1, 6000, 6001, 9999, lines} {
		got := other.call(other.token("issuer", "acme"), "POST", "/v1/check", fmt.Sprintf(`{"claims":{"iss":"i","jti":"t-%d"}}`, n))
		if !strings.Contains(string(got.body), `"revoked"`) {
			t.Errorf("token %d: %s", n, got.body)
		}
	}
}

// TestBulkIsRead as it comes: only so many batches are under way, whatever the
// length of the body.
func TestBulkIsRead(t *testing.T) {
	t.Parallel()
	p := new(parts)
	far := &distant{}
	cfg := p.config()
	cfg.Publisher = far
	a := serve(t, cfg)
	in, out := io.Pipe()
	go func() {
		for from := 1; from < 100_000; from += 1000 {
			if _, err := io.WriteString(out, bulkLines(from, from+999)); err != nil {
				return
			}
		}
		out.Close()
	}()
	req, err := http.NewRequestWithContext(t.Context(), "POST", a.url+"/v1/revocations/bulk?job="+newJob(t), in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+a.token("issuer", "acme"))
	a.do(req).want(t, http.StatusOK)
	if far.events != 100_000 || far.most > 4 || far.most < 2 {
		t.Errorf("%d events, at most %d batches at once", far.events, far.most)
	}
}

// distant is a publisher that answers after a while.
type distant struct {
	mu            sync.Mutex
	events        int
	running, most int
}

func (d *distant) Publish(_ context.Context, evs ...events.Event) error {
	d.mu.Lock()
	d.events += len(evs)
	d.running++
	d.most = max(d.most, d.running)
	d.mu.Unlock()
	t := time.NewTimer(5 * time.Millisecond)
	<-t.C
	d.mu.Lock()
	d.running--
	d.mu.Unlock()
	return nil
}

// another is an API of its own over the same streams, that follows f.
func (h *house) another(t *testing.T, f query.Lane) *api {
	t.Helper()
	cfg := h.cfg
	cfg.Lane = f
	return serve(t, cfg)
}
