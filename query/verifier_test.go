package query_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/feedhttp"
)

// wire is what is between a verifier and the API, and can be cut.
type wire struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	down  bool
	conns []net.Conn
	pipes sync.WaitGroup
}

func newWire(t *testing.T, url string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l, to: strings.TrimPrefix(url, "http://")}
	w.pipes.Go(w.accept)
	t.Cleanup(func() {
		l.Close()
		w.cut(true)
		w.pipes.Wait()
	})
	return w
}

func (w *wire) url() string { return "http://" + w.listener.Addr().String() }

// cut closes what is open, and refuses what comes while down.
func (w *wire) cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

func (w *wire) accept() {
	for {
		from, err := w.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", w.to)
		if err != nil {
			from.Close()
			continue
		}
		w.mu.Lock()
		if w.down {
			from.Close()
			to.Close()
		}
		w.conns = append(w.conns, from, to)
		w.mu.Unlock()
		for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
			w.pipes.Go(func() {
				defer pair[0].Close()
				defer pair[1].Close()
				_, _ = io.Copy(pair[1], pair[0]) // how it ended is of no interest
			})
		}
	}
}

// node is docs/feed/verifier.mjs at work.
type node struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
	err *syncBuffer
}

// said is one line of it.
type said struct {
	Decision, Scope, Reason, Cause, Etag string
	Snapshots, Resumed                   int
}

func startNode(t *testing.T, url, tenant, token string, key ed25519.PublicKey) *node {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "node", filepath.Join("..", "docs", "feed", "verifier.mjs"), url, tenant, base64.StdEncoding.EncodeToString(key))
	cmd.Env = append(os.Environ(), "RESCIND_TOKEN="+token, "STALE_MS=3000")
	n := &node{t: t, err: new(syncBuffer)}
	cmd.Stderr = n.err
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	n.in, n.out = in, bufio.NewScanner(out)
	return n
}

func (n *node) ask(claims string) (s said) {
	n.t.Helper()
	fmt.Fprintln(n.in, claims)
	if !n.out.Scan() {
		n.t.Fatalf("node ended: %s", n.err)
	}
	if err := json.Unmarshal(n.out.Bytes(), &s); err != nil {
		n.t.Fatalf("%v: %s", err, n.out.Bytes())
	}
	return s
}

// until asks until the decision is so.
func (n *node) until(claims, decision string) said {
	n.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s := n.ask(claims)
		if s.Decision == decision {
			return s
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("%s: %+v, want %s: %s", claims, s, decision, n.err)
		}
		<-tick.C
	}
}

// TestNodeVerifies is a verifier of another language, which shares no code with
// us: it follows revocations and lifts live and across a cut connection, without
// another snapshot, and calls nothing active that it does not know of.
func TestNodeVerifies(t *testing.T) {
	t.Parallel()
	h := build(t)
	issuer, w := h.token("issuer", "acme", "globex"), newWire(t, h.url)
	revoke := func(body string) query.Accepted {
		t.Helper()
		var out query.Accepted
		h.call(issuer, "POST", "/v1/revocations", `{"reason":"logout",`+body+`}`).want(t, http.StatusAccepted).into(t, &out)
		return out
	}
	revoke(`"tenant":"acme","scope":"token","iss":"i","jti":"before"`)
	revoke(`"tenant":"globex","scope":"tenant"`) // of another tenant, whose keys it does not get
	n := startNode(t, w.url(), "acme", h.token("verifier", "acme"), h.feedKey)
	now := fmt.Sprint(time.Now().Add(-time.Minute).Unix())
	token := func(jti string) string {
		return `{"iss":"i","sub":"u-` + jti + `","client_id":"c","kid":"k","sid":"s-` + jti + `","jti":"` + jti + `","iat":` + now + `}`
	}
	if s := n.until(token("before"), "revoked"); s.Scope != "token" || s.Reason != "logout" {
		t.Errorf("%+v", s)
	}
	n.until(token("other"), "active")
	revoke(`"tenant":"acme","scope":"token","iss":"i","jti":"live"`)
	n.until(token("live"), "revoked")
	revoke(`"tenant":"acme","scope":"subject","iss":"i","sub":"u-cut"`)
	if s := n.until(token("cut"), "revoked"); s.Scope != "subject" {
		t.Errorf("%+v", s)
	}
	n.until(strings.Replace(token("cut"), now, fmt.Sprint(time.Now().Add(time.Minute).Unix()), 1), "active") // issued after it
	lifted := revoke(`"tenant":"acme","scope":"session","iss":"i","sid":"s-lifted"`)
	before := n.until(token("lifted"), "revoked")
	h.call(issuer, "POST", "/v1/revocations/"+lifted.ID+"/lift", `{"reason":"mistake"}`).want(t, http.StatusAccepted)
	n.until(token("lifted"), "active")

	w.cut(true)
	revoke(`"tenant":"acme","scope":"token","iss":"i","jti":"meanwhile"`)
	if s := n.until(token("meanwhile"), "unknown"); s.Cause != "stale" {
		t.Errorf("%+v", s)
	}
	if s := n.ask(token("live")); s.Decision != "revoked" {
		t.Errorf("what was revoked is %+v while the feed is away", s)
	}
	w.cut(false)
	after := n.until(token("meanwhile"), "revoked")
	n.until(token("other"), "active")
	if after.Snapshots != before.Snapshots || after.Resumed <= before.Resumed {
		t.Errorf("before the cut %+v, after it %+v: want it to go on, with no snapshot", before, after)
	}
}

// curl runs curl and returns what it printed.
func (h *house) curl(role string, args ...string) (out string, err error) {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), "curl", append([]string{"--silent", "--show-error", "--max-time", "20", "--header", "Authorization: Bearer " + h.token(role, "acme")}, args...)...)
	var b, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &e
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("%w: %s", err, e.String())
	}
	return b.String(), err
}

// TestCurlFollows drives the routes with curl alone: snapshot and ETag, keys,
// and a stream that goes on where one before it ended.
func TestCurlFollows(t *testing.T) {
	t.Parallel()
	h := build(t)
	revoke := func(jti string) {
		t.Helper()
		if out, err := h.curl("issuer", "--fail", "--json", `{"scope":"token","iss":"i","jti":"`+jti+`","reason":"logout"}`, h.url+"/v1/revocations"); err != nil {
			t.Fatal(out, err)
		}
	}
	revoke("a")
	// read gives up on the stream when it has seen enough: curl ends with 28.
	read := func(after, enough string) (id string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, "curl", "--silent", "--no-buffer", "--header", "Authorization: Bearer "+h.token("verifier", "acme"), "--header", after, h.url+"/v1/revocations/stream")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if value, is := strings.CutPrefix(lines.Text(), "id: "); is {
				id = value
			}
			if lines.Text() == "event: "+enough {
				break
			}
		}
		cancel()
		_ = cmd.Wait() // it was killed
		if id == "" && enough != feedhttp.EventReset {
			t.Fatalf("no %s", enough)
		}
		return id
	}
	id := read("X-None: 1", feedhttp.EventHeartbeat)
	revoke("b")
	if next := read("Last-Event-ID: "+id, feedhttp.EventDelta); next == id {
		t.Errorf("%s again", next)
	}
	read("Last-Event-ID: 1-1", feedhttp.EventReset)

	dir := t.TempDir()
	file, tag := filepath.Join(dir, "snapshot"), filepath.Join(dir, "etag")
	fetch := func(args ...string) string {
		t.Helper()
		out, err := h.curl("verifier", slices.Concat([]string{"--write-out", "%{http_code}", "--output", file}, args, []string{h.url + "/v1/revocations/snapshot"})...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if status := fetch("--etag-save", tag); status != "200" {
		t.Fatal(status)
	}
	if status := fetch("--etag-compare", tag); status != "304" { // snapshots are a minute apart
		t.Error(status)
	}
	if info, err := os.Stat(file); err != nil || info.Size() < 64 {
		t.Errorf("%v %v", info, err)
	}
	head, err := h.curl("verifier", "--head", h.url+"/v1/revocations/snapshot")
	if err != nil || !strings.HasPrefix(head, "HTTP/1.1 200") || !strings.Contains(strings.ToLower(head), "etag: \"sha-256=") {
		t.Errorf("%v: %s", err, head)
	}
	keys, err := h.curl("verifier", "--include", h.url+"/v1/revocations/keys")
	if err != nil || !strings.Contains(keys, "Rescind-Signature: ") || !strings.Contains(keys, `"tenant":"acme"`) {
		t.Errorf("%v: %s", err, keys)
	}
	if out, err := h.curl("issuer", "--write-out", "%{http_code}", "--output", os.DevNull, h.url+"/v1/revocations/keys"); out != "403" || err != nil {
		t.Errorf("an issuer is answered %s, %v", out, err)
	}
}
