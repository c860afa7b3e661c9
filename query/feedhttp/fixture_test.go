package feedhttp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/projector/revoke"
	"github.com/rescindhq/rescind/query/feedhttp"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 2 * time.Minute

// house is a log, a writer of the feed, and a server that passes it on.
type house struct {
	nats   *natsd.Server
	log    *feedtest.Log
	keys   *feedtest.Keys
	cfg    feedhttp.Config
	source *source
}

// source is what is stored, and says how it was asked.
type source struct {
	*feed.Stored
	fetched int
	down    bool
}

func (s *source) Describe(ctx context.Context) (feed.Object, error) {
	if s.down {
		return feed.Object{}, context.DeadlineExceeded
	}
	return s.Stored.Describe(ctx)
}

func (s *source) Fetch(ctx context.Context, o feed.Object) ([]byte, error) {
	s.fetched++
	return s.Stored.Fetch(ctx, o)
}

func build(t *testing.T) *house {
	t.Helper()
	h := &house{nats: natsdtest.Start(t), keys: feedtest.NewKeys()}
	h.log = feedtest.OpenLog(t, h.nats)
	r := revoke.New(revoke.Config{Conn: natsdtest.Connect(t, h.nats, natsd.Projector), Key: feedtest.Signer(), Keys: h.keys,
		Heartbeat: 50 * time.Millisecond, SnapshotEvery: 100 * time.Millisecond, StandbyFor: 200 * time.Millisecond})
	feedtest.Go(t, r.Run)
	h.source = &source{Stored: feed.NewStored(natsdtest.Connect(t, h.nats, natsd.API), feedtest.Public())}
	h.cfg = feedhttp.Config{Source: h.source, PublicKey: feedtest.Public()}
	return h
}

// pass runs a server that has passed on one delta, at least, when it returns.
func (h *house) pass(t *testing.T, cfg feedhttp.Config) *feedhttp.Server {
	t.Helper()
	s, err := feedhttp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	any := make(chan struct{}, 1)
	f := feed.New(feed.Config{Conn: natsdtest.Connect(t, h.nats, natsd.API), PublicKey: feedtest.Public(), OnDelta: func(d *revocation.Delta, m []byte) {
		s.Pass(d, m)
		select {
		case any <- struct{}{}:
		default:
		}
	}})
	feedtest.Go(t, f.Run)
	select {
	case <-any:
	case <-time.After(patience):
		t.Fatal("no delta")
	}
	return s
}

// serve serves s until the test ends, as a server of ours does, with short
// times of its own.
func serve(t *testing.T, s *feedhttp.Server, until time.Time) *httptest.Server {
	t.Helper()
	answer := func(err error, w http.ResponseWriter) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) { answer(s.Stream(w, r, until), w) })
	mux.HandleFunc("/snapshot", func(w http.ResponseWriter, r *http.Request) { answer(s.Snapshot(w, r), w) })
	web := httptest.NewUnstartedServer(mux)
	web.Config.ReadTimeout, web.Config.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
	web.Start()
	t.Cleanup(func() {
		s.Close()
		web.Close()
	})
	return web
}

// far is later than any test.
func far() time.Time { return time.Now().Add(time.Hour) }

// listener is a client of a stream.
type listener struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Reader
	id   string // of the last event
}

// event is one event as it was sent.
type event struct {
	name, id string
	data     []byte
}

func get(t *testing.T, url string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func listen(t *testing.T, url, after string) *listener {
	t.Helper()
	var headers []string
	if after != "" {
		headers = []string{"Last-Event-ID", after}
	}
	resp := get(t, url+"/stream", headers...)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("%d %v %s", resp.StatusCode, resp.Header, b)
	}
	return &listener{t: t, body: resp.Body, in: bufio.NewReader(resp.Body)}
}

// next is the next event, or how the stream ended.
func (l *listener) next() (e event, err error) {
	for {
		line, err := l.in.ReadString('\n')
		if err != nil {
			return e, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "event":
			e.name = value
		case "id":
			e.id, l.id = value, value
		case "data":
			e.data = []byte(value)
		case "":
			if e.name != "" {
				return e, nil
			}
		}
	}
}

// delta is the next delta, heartbeats among them, opened.
func (l *listener) delta() *revocation.Delta {
	l.t.Helper()
	e, err := l.next()
	if err != nil {
		l.t.Fatal(err)
	}
	var data feedhttp.Delta
	if err := json.Unmarshal(e.data, &data); err != nil {
		l.t.Fatalf("%s: %v", e.data, err)
	}
	d, err := revocation.OpenDelta(feedtest.Public(), data.Message)
	if err != nil {
		l.t.Fatalf("%s %s: %v", e.name, e.data, err)
	}
	if (len(d.Entries) > 0) != (e.name == feedhttp.EventDelta) || len(d.Entries) != len(data.Entries) {
		l.t.Errorf("%s with %d entries: %s", e.name, len(d.Entries), e.data)
	}
	return d
}

// until reads deltas up to one that reaches position, and holds each to the one
// before it.
func (l *listener) until(position uint64, before *revocation.Delta) (last *revocation.Delta, entries int) {
	l.t.Helper()
	for {
		d := l.delta()
		if before != nil && (d.Prev != before.Seq || d.Feed != before.Feed) {
			l.t.Fatalf("%d follows %d, and came after %d", d.Seq, d.Prev, before.Seq)
		}
		before, entries = d, entries+len(d.Entries)
		if d.Position >= position {
			return d, entries
		}
	}
}
