package feedhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/query/feedhttp"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// claims are those of n tokens from first on.
func claims(first, n int) (out []revocation.Claims) {
	for i := range n {
		out = append(out, feedtest.Claims(first+i))
	}
	return out
}

// A stream that was cut goes on where it was, however much happened meanwhile,
// and outlives the times that the HTTP server sets for other requests.
func TestStreamGoesOn(t *testing.T) {
	t.Parallel()
	h := build(t)
	web := serve(t, h.pass(t, h.cfg), far())
	l := listen(t, web.URL, "")
	last, _ := l.until(h.log.Revoke(t, events.ScopeToken, claims(0, 3)...), nil)
	for began := time.Now(); time.Since(began) < 500*time.Millisecond; { // twice the server's times
		d := l.delta()
		if d.Prev != last.Seq {
			t.Fatalf("%d follows %d, and came after %d", d.Seq, d.Prev, last.Seq)
		}
		last = d
	}
	for round := range 3 {
		l.body.Close()
		position := h.log.Revoke(t, events.ScopeToken, claims(10*round, 5)...)
		l = listen(t, web.URL, fmt.Sprintf("%d-%d", last.Feed, last.Seq))
		var entries int
		if last, entries = l.until(position, last); entries != 5 {
			t.Fatalf("round %d: %d entries", round, entries)
		}
	}
}

// What is no longer kept is read from where the feed is stored: by a server that
// has just begun, and past messages that are not ours.
func TestStreamCatchesUpFromWhatIsStored(t *testing.T) {
	t.Parallel()
	h := build(t)
	l := listen(t, serve(t, h.pass(t, h.cfg), far()).URL, "")
	from := l.delta()
	projector := natsdtest.Connect(t, h.nats, natsd.Projector)
	for i := range 20 {
		h.log.Revoke(t, events.ScopeToken, claims(i, 1)...)
		if err := errors.Join(projector.Publish(stream.RevocationsSubject, []byte("not ours")), projector.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	position := h.log.Revoke(t, events.ScopeToken, claims(20, 1)...)
	l.until(position, from)
	late := serve(t, h.pass(t, h.cfg), far())
	if _, entries := listen(t, late.URL, fmt.Sprintf("%d-%d", from.Feed, from.Seq)).until(position, from); entries != 21 {
		t.Errorf("%d entries, want 21", entries)
	}
}

// A position whose successor is not to be had is answered with a reset, and the
// end: one that is purged, of another feed, ahead of it, and of no delta.
func TestReset(t *testing.T) {
	t.Parallel()
	h := build(t)
	l := listen(t, serve(t, h.pass(t, h.cfg), far()).URL, "")
	old := l.delta()
	last, _ := l.until(h.log.Revoke(t, events.ScopeToken, claims(0, 2)...), old)
	for last.Prev == old.Seq {
		last = l.delta()
	}
	deltas, err := natsdtest.JetStream(t, h.nats, natsd.Operator).Stream(t.Context(), stream.RevocationsStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := deltas.Purge(t.Context(), jetstream.WithPurgeSequence(last.Seq)); err != nil {
		t.Fatal(err)
	}
	fresh := serve(t, h.pass(t, h.cfg), far()) // keeps nothing of before
	for name, after := range map[string]string{
		"purged":          fmt.Sprintf("%d-%d", old.Feed, old.Seq),
		"another feed":    fmt.Sprintf("%d-%d", old.Feed+1, last.Seq),
		"ahead":           fmt.Sprintf("%d-%d", old.Feed, last.Seq+1_000_000),
		"before any one":  fmt.Sprintf("%d-0", old.Feed),
		"the last of all": fmt.Sprintf("%d-%d", old.Feed, uint64(math.MaxUint64)),
	} {
		l := listen(t, fresh.URL, after)
		e, err := l.next()
		if err != nil || e.name != feedhttp.EventReset || e.id != "" || !strings.Contains(string(e.data), feedhttp.SnapshotPath) {
			t.Errorf("%s: %s %q %s, %v", name, e.name, e.id, e.data, err)
			continue
		}
		if _, err := l.next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: goes on after the reset: %v", name, err)
		}
	}
}

// What is no position is refused before anything is sent.
func TestPositionsThatAreNone(t *testing.T) {
	t.Parallel()
	h := build(t)
	s := h.pass(t, h.cfg)
	for _, after := range []string{"1", "-", "1-", "-1", "01-1", "1-+1", " 1-1", "1-1-1", "18446744073709551616-1", strings.Repeat("1", 200)} {
		r := httptest.NewRequest(http.MethodGet, "/stream", nil)
		r.Header.Set("Last-Event-ID", after)
		w := httptest.NewRecorder()
		if err := s.Stream(w, r, far()); !errors.Is(err, feedhttp.ErrPosition) || w.Body.Len() > 0 {
			t.Errorf("%q: %v %s", after, err, w.Body)
		}
	}
}

// stall opens a stream and does not read it.
func stall(t *testing.T, url, after string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /stream HTTP/1.1\r\nHost: x\r\nLast-Event-ID: %s\r\n\r\n", after)
	return c
}

// Who does not take what is sent is cut, and delays nobody.
func TestSlowStreamIsCut(t *testing.T) {
	t.Parallel()
	h := build(t)
	cfg := h.cfg
	cfg.WriteWait = 300 * time.Millisecond
	s := h.pass(t, cfg)
	web := serve(t, s, far())
	quick := listen(t, web.URL, "")
	d := quick.delta()
	stall(t, web.URL, fmt.Sprintf("%d-%d", d.Feed, d.Seq))
	feedtest.Eventually(t, "two streams", func() bool { return s.Stats().Streams == 2 })
	for i := 0; s.Stats().Cut == 0; i++ { // until the sockets are full
		if i == 200 {
			t.Fatal("200 full deltas did not fill a socket that nobody reads")
		}
		d, _ = quick.until(h.log.Revoke(t, events.ScopeToken, claims(0, revocation.MaxDeltaEntries)...), d)
	}
	feedtest.Eventually(t, "one stream", func() bool { return s.Stats().Streams == 1 })
	quick.until(h.log.Revoke(t, events.ScopeToken, claims(0, 1)...), d)
}

// endless is a source that always has one more delta stored.
type endless struct {
	feedhttp.Source
	sum events.Ref
}

func (e *endless) After(_ context.Context, seq uint64) ([][]byte, uint64, bool, error) {
	m, err := (&revocation.Delta{Head: revocation.Head{Epoch: 1, Feed: 7, Seq: seq + 1}, Prev: seq, PrevSum: e.sum}).Sign(feedtest.Signer())
	e.sum = revocation.Sum(m)
	return [][]byte{m}, seq + 1, true, err
}

// Who is far behind does not keep others from what is stored for ever: it is
// cut, and has moved on.
func TestCatchingUpEnds(t *testing.T) {
	t.Parallel()
	s, err := feedhttp.New(feedhttp.Config{Source: &endless{}, PublicKey: feedtest.Public(), WriteWait: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, serve(t, s, far()).URL, "7-1")
	n := 0
	for ; err == nil; n++ {
		_, err = l.next()
	}
	if n < 2 || s.Stats().Cut != 1 {
		t.Errorf("%d events, %+v, %v", n, s.Stats(), err)
	}
}

const atOnce = 16 // as many as read what is stored

// stuck is a source that answers none of those, until it is opened.
type stuck struct {
	feedhttp.Source
	reading atomic.Int64
	open    chan struct{}
}

func (s *stuck) After(ctx context.Context, seq uint64) ([][]byte, uint64, bool, error) {
	if s.reading.Add(1) <= atOnce {
		<-s.open
	}
	return nil, seq, false, ctx.Err()
}

func (s *stuck) Last(context.Context) ([]byte, error) { return nil, nil }

// Few read what is stored at once: each holds some of it. Others wait for them, and
// are sent away before their client thinks that nobody is there.
func TestFewReadWhatIsStoredAtOnce(t *testing.T) {
	t.Parallel()
	from := &stuck{open: make(chan struct{})}
	s, err := feedhttp.New(feedhttp.Config{Source: from, PublicKey: feedtest.Public(), WriteWait: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	web := serve(t, s, far())
	for range atOnce {
		stall(t, web.URL, "7-1")
	}
	feedtest.Eventually(t, "as many as may", func() bool { return from.reading.Load() == atOnce })
	for range 3 {
		if resp := get(t, web.URL+"/stream", "Last-Event-ID", "7-1"); resp.StatusCode != http.StatusServiceUnavailable || from.reading.Load() != atOnce {
			t.Errorf("%d, and %d read at once", resp.StatusCode, from.reading.Load())
		}
	}
	close(from.open)
	feedtest.Eventually(t, "room", func() bool { return s.Stats().Streams == 0 })
	if e, err := listen(t, web.URL, "7-1").next(); err != nil || e.name != feedhttp.EventReset {
		t.Errorf("%+v, %v", e, err)
	}
}

// A position names the feed and not the log: where the log was made anew, a stream
// that follows ends, and one that comes with its position is sent the first delta of
// the new log, which says so.
func TestAPositionNamesNoLog(t *testing.T) {
	t.Parallel()
	s, err := feedhttp.New(feedhttp.Config{Source: &endless{}, PublicKey: feedtest.Public()})
	if err != nil {
		t.Fatal(err)
	}
	web, c := serve(t, s, far()), &chain{to: s}
	c.pass(t, nil)
	follows := listen(t, web.URL, "")
	before := follows.delta()
	d := &revocation.Delta{Head: revocation.Head{Epoch: before.Epoch + 1, Feed: before.Feed, Seq: before.Seq + 1}, Prev: before.Seq}
	m, err := d.Sign(feedtest.Signer())
	if err != nil {
		t.Fatal(err)
	}
	s.Pass(d, m)
	if e, err := follows.next(); !errors.Is(err, io.EOF) {
		t.Errorf("who followed was sent %+v, %v", e, err)
	}
	if got := listen(t, web.URL, follows.id).delta(); got.Seq != d.Seq || !got.PrevSum.IsZero() || got.SameHistory(&before.Head) {
		t.Errorf("got %+v", got)
	}
}

// A stream ends with the access token, and with Close; then none begins.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	h := build(t)
	s := h.pass(t, h.cfg)
	end := func(l *listener) {
		t.Helper()
		for {
			if _, err := l.next(); err != nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("ended with %v", err)
				}
				return
			}
		}
	}
	end(listen(t, serve(t, s, time.Now().Add(500*time.Millisecond)).URL, ""))
	web := serve(t, s, far())
	l := listen(t, web.URL, "")
	l.delta()
	s.Close()
	end(l)
	if resp := get(t, web.URL+"/stream"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d after Close", resp.StatusCode)
	}
	if n := s.Stats(); n.Streams != 0 || n.Cut != 0 {
		t.Errorf("%+v", n)
	}
}

// There are only so many streams.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	h := build(t)
	cfg := h.cfg
	cfg.Streams = 2
	s := h.pass(t, cfg)
	web := serve(t, s, far())
	first := listen(t, web.URL, "")
	listen(t, web.URL, "")
	if resp := get(t, web.URL+"/stream"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("%d for the third", resp.StatusCode)
	}
	first.body.Close()
	feedtest.Eventually(t, "room", func() bool { return s.Stats().Streams == 1 })
	listen(t, web.URL, "").delta()
}

// Where nothing comes, a comment does.
func TestQuietStreamSaysSo(t *testing.T) {
	t.Parallel()
	h := build(t)
	cfg := h.cfg
	cfg.Quiet = 20 * time.Millisecond
	s, err := feedhttp.New(cfg) // nothing is passed to it
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, serve(t, s, far()).URL, "")
	for {
		line, err := l.in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == ":\n" {
			return
		}
	}
}
