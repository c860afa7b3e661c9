package query_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/history"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/revocation"
)

// digest is that of the lines of a job: by a plain hash, as by that of another
// job, nobody sees whether a line is one that they guess.
func digest(job, lines string) string {
	key := uuid.MustParse(job)
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(lines))
	return hex.EncodeToString(mac.Sum(nil))
}

// TestBulkOtherLines: a job is for the lines that it was made for. What an API
// knows to be others revokes nothing and says so; what it cannot know, because
// it was started since, revokes what it says.
func TestBulkOtherLines(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	job, mine := newJob(t), bulkLines(1, 2500)
	var out query.BulkJob
	a.bulk(job, "", mine).want(t, http.StatusOK).into(t, &out)
	if out.Digest != digest(job, mine) {
		t.Errorf("digest %s", out.Digest)
	}
	changed := strings.Replace(mine, `"t-7"`, `"x-7"`, 1)
	for name, body := range map[string]struct{ query, digest, lines string }{
		"others":                      {"", "", bulkLines(3001, 6000)},
		"one is another":              {"", "", changed + bulkLines(2501, 2600)},
		"fewer":                       {"", "", bulkLines(1, 2499)},
		"none":                        {"", "", ""},
		"behind others, says digest":  {"&from=2501", digest(job, changed), bulkLines(2501, 2600)},
		"neither the first nor next":  {"&from=2", "", bulkLines(2, 2600)},
		"behind what was never there": {"&from=2502", "", bulkLines(2502, 2600)},
	} {
		got := a.bulk(job, body.query, body.lines, "Rescind-Digest", body.digest)
		if got.status != http.StatusConflict || got.problem(t).Detail == "" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got, _ := p.revoked(); len(got) != 2500 {
		t.Errorf("%d published", len(got))
	}
	a.bulk(job, "&from=2501", bulkLines(2501, 2600), "Rescind-Digest", digest(job, mine)).want(t, http.StatusOK)
	a.bulk(job, "", bulkLines(1, 2600)).want(t, http.StatusOK).into(t, &out)
	if out.Next != 2601 || out.Accepted != 2600 || out.Digest != digest(job, bulkLines(1, 2600)) {
		t.Errorf("%+v", out)
	}

	other := serve(t, p.config())
	other.bulk(job, "", bulkLines(1, 10)).want(t, http.StatusOK)
	if got, ids := p.revoked(); ids != 2600 || len(got) != 2610 {
		t.Errorf("the same lines, elsewhere: %d published under %d ids", len(got), ids)
	}
	other.bulk(newJobLike(t, job), "", bulkLines(1, 10)).want(t, http.StatusOK)
	fresh := serve(t, p.config())
	fresh.bulk(job, "", bulkLines(3001, 3010)).want(t, http.StatusOK).into(t, &out)
	if got, ids := p.revoked(); ids != 2620 || len(got) != 2630 || !slices.Contains(got, "t-3010") || out.Accepted != 10 {
		t.Errorf("other lines, elsewhere: %d published under %d ids, %+v", len(got), ids, out)
	}
}

// newJobLike is a job that was made in the same millisecond.
func newJobLike(t *testing.T, job string) string {
	t.Helper()
	return job[:24] + newJob(t)[24:]
}

// TestBulkOutlivesADefect: a panic ends one request, and the job goes on.
func TestBulkOutlivesADefect(t *testing.T) {
	t.Parallel()
	p := &parts{panics: true}
	a := serve(t, p.config())
	job := newJob(t)
	for range 5 { // more than are read at once
		a.bulk(job, "", bulkLines(1, 1500)).want(t, http.StatusInternalServerError)
	}
	p.panics = false
	var out query.BulkJob
	a.bulk(job, "", bulkLines(1, 1500)).want(t, http.StatusOK).into(t, &out)
	if out.Accepted != 1500 || out.State != "complete" {
		t.Errorf("%+v", out)
	}
}

// TestBulkRepeated: what a line repeats of those that are published with it
// revokes nothing more.
func TestBulkRepeated(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	var out query.BulkJob
	a.bulk(newJob(t), "", strings.Repeat(bulkLines(1, 1), 2999)+bulkLines(2, 2)).want(t, http.StatusOK).into(t, &out)
	if out.Next != 3001 || out.Accepted != 4 || out.Repeated != 2996 || out.Refused != 0 {
		t.Errorf("%+v", out)
	}
	got, ids := p.revoked()
	if d := cmp.Diff([]string{"t-1", "t-1", "t-1", "t-2"}, got); d != "" || ids != 4 {
		t.Errorf("%d ids: %s", ids, d)
	}
}

// TestBulkText is what programs write around lines, and into them.
func TestBulkText(t *testing.T) {
	t.Parallel()
	one := strings.TrimSuffix(bulkLines(1, 1), "\n")
	for name, c := range map[string]struct {
		body              string
		accepted, refused int64
	}{
		"nothing":                    {"", 0, 0},
		"one line end":               {"\n", 0, 1},
		"no line end":                {one, 1, 0},
		"CR LF":                      {one + "\r\n" + bulkLines(2, 2) + "\r\n", 2, 1},
		"byte order mark":            {"\ufeff" + one + "\r\n" + bulkLines(2, 2), 2, 0},
		"byte order mark, later":     {one + "\n\ufeff" + bulkLines(2, 2), 1, 1},
		"UTF-16":                     {"\xff\xfe{\x00\"\x00", 0, 1},
		"NUL in a text":              {strings.Replace(one, "t-1", "t\x00", 1), 0, 1},
		"NUL around":                 {"\x00" + one + "\x00\n" + bulkLines(2, 2), 1, 1},
		"a line of 1 MiB":            {strings.Replace(one, "t-1", strings.Repeat("x", 1<<20), 1) + "\n" + bulkLines(2, 2), 1, 1},
		"16 KiB and nothing else":    {strings.Repeat(" ", 16<<10) + "\n" + one, 1, 1},
		"an array":                   {"[" + one + "]", 0, 1},
		"two on a line":              {one + one, 0, 1},
		"a member twice":             {`{"scope":"token","scope":"token","iss":"i","jti":"j","reason":"r"}`, 0, 1},
		"a raw token where none is":  {strings.Replace(one, "t-1", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", 1), 0, 1},
		"a wide scope among narrows": {one + "\n" + `{"scope":"issuer","iss":"i","reason":"r"}`, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := new(parts)
			a := serve(t, p.config())
			var out query.BulkJob
			a.bulk(newJob(t), "", c.body).want(t, http.StatusOK).into(t, &out)
			if out.Accepted != c.accepted || out.Refused != c.refused || out.State != "complete" || len(p.published) != int(c.accepted) {
				t.Errorf("%+v", out)
			}
		})
	}
}

// upload is a bulk request whose lines come from w; it ends with the test.
func (a *api) upload(job, token string) (w *io.PipeWriter, done <-chan answer) {
	a.t.Helper()
	in, out := io.Pipe()
	a.t.Cleanup(func() { out.Close() })
	req, err := http.NewRequestWithContext(a.t.Context(), "POST", a.url+"/v1/revocations/bulk?job="+job, in)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+token)
	answered := make(chan answer, 1)
	go func() { answered <- a.do(req) }()
	return out, answered
}

// running waits until a job is being read.
func (a *api) running(job string) {
	a.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		var at query.BulkJob
		if got := a.call(a.token("issuer", "acme"), "GET", "/v1/revocations/bulk/"+job, nil); got.status == http.StatusOK {
			if got.into(a.t, &at); at.State == "running" {
				return
			}
		}
		if time.Now().After(deadline) {
			a.t.Fatal("the job does not begin")
		}
	}
}

// TestBulkTwice: of two uploads of one job at once one goes on, the other is
// told.
func TestBulkTwice(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	job := newJob(t)
	w, done := a.upload(job, a.token("issuer", "acme"))
	a.running(job)
	a.bulk(job, "", bulkLines(1, 10)).want(t, http.StatusConflict)
	if _, err := io.WriteString(w, bulkLines(1, 10)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	(<-done).want(t, http.StatusOK)
	if got, _ := p.revoked(); len(got) != 10 {
		t.Errorf("%d published", len(got))
	}
}

// TestBulkCutOff: the answer says which lines are done, and not which were read.
func TestBulkCutOff(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	job := newJob(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/revocations/bulk?job=%s HTTP/1.1\r\nHost: rescind\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000000\r\n\r\n%s",
		job, a.token("issuer", "acme"), bulkLines(1, 1500))
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "the lines up to 1000 are done") {
		t.Errorf("%s %s %v", resp.Status, body, err)
	}
	if at := a.job(job); at.Next != 1001 {
		t.Errorf("next %d", at.Next)
	}
}

// TestShares: neither one caller nor one tenant takes all of what is bounded for
// all, and what they give back they may have again.
func TestShares(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	issuer, admin := a.token("issuer", "acme"), a.token("admin", "acme")
	var open []*io.PipeWriter
	var done []<-chan answer
	begin := func(token string) {
		job := newJob(t)
		w, answered := a.upload(job, token)
		a.running(job)
		open, done = append(open, w), append(done, answered)
	}
	begin(issuer)
	begin(issuer)
	got := a.bulk(newJob(t), "", bulkLines(1, 1)).want(t, http.StatusTooManyRequests)
	if got.header.Get("Retry-After") != "10" || got.problem(t).Type != "urn:rescind:problem:share" {
		t.Errorf("%v %s", got.header, got.body)
	}
	begin(admin)
	told := a.call(admin, "POST", "/v1/revocations/bulk?job="+newJob(t), bulkLines(1, 1), "Content-Type", "application/x-ndjson").want(t, http.StatusTooManyRequests)
	if detail := told.problem(t).Detail; !strings.Contains(detail, "one tenant may have 3 bulk jobs") {
		t.Error(detail)
	}
	elsewhere := a.call(a.token("admin", "globex"), "POST", "/v1/revocations/bulk?job="+newJob(t), bulkLines(1, 1), "Content-Type", "application/x-ndjson")
	elsewhere.want(t, http.StatusOK)
	open[0].Close()
	(<-done[0]).want(t, http.StatusOK)
	a.bulk(newJob(t), "", bulkLines(1, 1)).want(t, http.StatusOK)
	for i, w := range open[1:] {
		w.Close()
		(<-done[i+1]).want(t, http.StatusOK)
	}
}

// TestSharesOfReading is the same of streams and of decisions as of the past.
func TestSharesOfReading(t *testing.T) {
	t.Parallel()
	p := &parts{decision: revocation.Decision{State: revocation.Active}}
	cfg := p.config()
	cfg.Shares = query.Shares{Streams: 1, Past: 1}
	began, end := make(chan struct{}), make(chan struct{})
	p.stream = func(w http.ResponseWriter, _ *http.Request, _ time.Time) error {
		began <- struct{}{}
		<-end
		w.WriteHeader(http.StatusOK)
		return nil
	}
	cfg.History = slowPast{past{p}, func() { began <- struct{}{}; <-end }}
	a := serve(t, cfg)
	verifier := func(sub string) string {
		return sign(t, jwt.SigningMethodES256, a.key, with(func(claims jwt.MapClaims) { claims["sub"], claims["scope"] = sub, "feed:read check" }), nil)
	}
	for _, c := range []struct {
		method, path, retry string
		body                any
	}{
		{"GET", "/v1/revocations/stream", "10", nil},
		{"POST", "/v1/check", "1", map[string]any{"tenant": "acme", "claims": map[string]any{"iss": "i", "jti": "j"}, "as_of_position": 1}},
	} {
		answers := make(chan answer, 3)
		ask := func(sub string) { answers <- a.call(verifier(sub), c.method, c.path, c.body) }
		enter := func(sub string) {
			go ask(sub)
			select {
			case <-began:
			case got := <-answers:
				t.Fatalf("%s: %d %s", c.path, got.status, got.body)
			}
		}
		enter("one")
		enter("another")
		ask("one")
		if got := (<-answers).want(t, http.StatusTooManyRequests); got.header.Get("Retry-After") != c.retry {
			t.Errorf("%s: %v", c.path, got.header)
		}
		for range 2 {
			end <- struct{}{}
			(<-answers).want(t, http.StatusOK)
		}
		enter("one")
		end <- struct{}{}
		(<-answers).want(t, http.StatusOK)
	}
}

// slowPast calls wait before it decides.
type slowPast struct {
	past
	wait func()
}

func (p slowPast) Decide(ctx context.Context, c revocation.Claims, at history.Moment) (revocation.Decision, history.Moment, error) {
	p.wait()
	return p.past.Decide(ctx, c, at)
}

// TestBulkEnforced: a job says where the last of its revocations is enforced.
func TestBulkEnforced(t *testing.T) {
	t.Parallel()
	p := new(parts)
	r := oneMissing()
	cfg := p.config()
	cfg.Receipts = r
	a := serve(t, cfg)
	job := newJob(t)
	var out query.BulkJob
	a.bulk(job, "", bulkLines(1, 3)).want(t, http.StatusOK).into(t, &out)
	if out.Enforced != nil {
		t.Errorf("nothing is on the log: %+v", out.Enforced)
	}
	received := time.Now().Truncate(time.Microsecond)
	for i, ev := range p.published {
		record := &events.Record{Source: ev.Source, ID: ev.ID, Tenant: ev.Tenant, Type: ev.Type, Received: received.UnixMicro(), Revocation: new(events.Revocation)}
		for _, handle := range p.handlers {
			handle(lane.Entry{Index: uint64(39 + i), Record: record})
		}
	}
	out = a.job(job)
	if out.Logged != 3 || out.Enforced == nil || out.Enforced.Of != 2 || out.Enforced.At != 1 || !slices.Equal(out.Enforced.Missing, []string{"orders-2"}) {
		t.Errorf("%+v", out)
	}
	if of := r.asked[len(r.asked)-1]; of.Position != 41 || !of.Received.Equal(received) {
		t.Errorf("asked for %+v", of)
	}
	for _, ev := range p.published {
		if got := a.call(a.token("issuer", "acme"), "GET", fmt.Sprintf("/v1/revocations/%s", ev.ID), nil); got.status != http.StatusNotFound {
			t.Errorf("a line of a job is kept in memory: %d", got.status)
		}
	}
}
