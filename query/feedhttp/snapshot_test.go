package feedhttp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/feedhttp"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// fetch is a snapshot that reaches position, and its ETag.
func (h *house) fetch(t *testing.T, url string, position uint64) (tag string, s *revocation.Snapshot, data []byte) {
	t.Helper()
	feedtest.Eventually(t, "a snapshot", func() bool {
		resp := get(t, url+"/snapshot")
		var err error
		if data, err = io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			return false
		}
		if s, err = revocation.OpenSnapshot(feedtest.Public(), data); err != nil {
			t.Fatal(err)
		}
		tag = resp.Header.Get("Etag")
		return s.Position >= position
	})
	return tag, s, data
}

// A snapshot is what was signed, is not sent again to who has it, and is that of
// its ETag; the stream goes on from its position.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	h := build(t)
	web := serve(t, h.pass(t, h.cfg), far())
	position := h.log.Revoke(t, events.ScopeToken, claims(0, 7)...)
	tag, s, data := h.fetch(t, web.URL, position)
	if s.Len() != 7 || !strings.HasPrefix(tag, `"SHA-256=`) {
		t.Errorf("%d entries, ETag %s", s.Len(), tag)
	}
	fetched := h.source.fetched
	for _, match := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
		resp := get(t, web.URL+"/snapshot", "If-None-Match", match)
		if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusNotModified || len(b) > 0 || resp.Header.Get("Etag") != tag {
			t.Errorf("%s: %d, %d bytes, %v", match, resp.StatusCode, len(b), resp.Header)
		}
	}
	resp := get(t, web.URL+"/snapshot", "If-None-Match", `"other"`)
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(b) != string(data) || resp.Header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("%d, %d bytes, %v", resp.StatusCode, len(b), resp.Header)
	}
	if h.source.fetched != fetched {
		t.Errorf("fetched %d times for one snapshot", h.source.fetched-fetched+1)
	}
	resp, err := http.Head(web.URL + "/snapshot")
	if err != nil || resp.StatusCode != http.StatusOK || resp.ContentLength != int64(len(data)) || resp.Header.Get("Etag") != tag {
		t.Errorf("HEAD: %v, %+v", err, resp)
	}
	before := &revocation.Delta{Head: s.Head}
	listen(t, web.URL, fmt.Sprintf("%d-%d", s.Feed, s.Seq)).until(h.log.Revoke(t, events.ScopeToken, claims(7, 1)...), before)
	if newer, _, _ := h.fetch(t, web.URL, position+1); newer == tag {
		t.Error("another snapshot has the same ETag")
	}
}

// A snapshot is to be had while the store is not, and what was never fetched is
// not.
func TestSnapshotWithoutTheStore(t *testing.T) {
	t.Parallel()
	h := build(t)
	web := serve(t, h.pass(t, h.cfg), far())
	tag, _, data := h.fetch(t, web.URL, 0)
	h.source.down = true
	resp := get(t, web.URL+"/snapshot")
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(b) != string(data) || resp.Header.Get("Etag") != tag {
		t.Errorf("%d, %d bytes", resp.StatusCode, len(b))
	}
	fresh := serve(t, h.pass(t, h.cfg), far())
	if resp := get(t, fresh.URL+"/snapshot"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d where there never was one", resp.StatusCode)
	}
}

// large is a source whose snapshot is another each time, and larger than what
// sockets hold.
type large struct {
	feedhttp.Source
	size    int
	version atomic.Int64
	fetched atomic.Int64
}

func (l *large) Describe(context.Context) (feed.Object, error) {
	return feed.Object{Digest: fmt.Sprint("no. ", l.version.Load()), Size: uint64(l.size)}, nil
}

func (l *large) Fetch(context.Context, feed.Object) ([]byte, error) {
	l.fetched.Add(1)
	return make([]byte, l.size), nil
}

// slow asks for a snapshot and does not read it yet.
func slow(t *testing.T, url string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprint(c, "GET /snapshot HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// While slow readers hold old snapshots, others are sent the newest of the two
// that there may be; who does not read is cut with a body that is short of what
// was announced.
func TestSlowSnapshot(t *testing.T) {
	t.Parallel()
	h := build(t)
	cfg, from := h.cfg, &large{size: 64 << 20}
	cfg.Source, cfg.WriteWait = from, time.Second
	s, err := feedhttp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	web := serve(t, s, far())
	var held []*http.Response
	for i := range 5 {
		from.version.Store(int64(i))
		held = append(held, slow(t, web.URL))
		if want := fmt.Sprintf("\"no. %d\"", min(i, 1)); held[i].Header.Get("Etag") != want {
			t.Errorf("reader %d is sent %s, want %s", i, held[i].Header.Get("Etag"), want)
		}
	}
	if n := from.fetched.Load(); n != 2 {
		t.Errorf("%d snapshots in memory", n)
	}
	feedtest.Eventually(t, "a snapshot that is not held", func() bool { // once the others were cut
		resp := get(t, web.URL+"/snapshot", "Range", "bytes=0-0")
		return resp.Header.Get("Etag") == `"no. 4"`
	})
	from.version.Store(5)
	feedtest.Eventually(t, "another one", func() bool { // once all were cut: the last may be later than the first
		resp := get(t, web.URL+"/snapshot", "Range", "bytes=0-0")
		return resp.Header.Get("Etag") == `"no. 5"`
	})
	for i, resp := range held {
		n, err := io.Copy(io.Discard, resp.Body)
		if err == nil || n >= int64(from.size) {
			t.Errorf("reader %d: %d of %d bytes, %v", i, n, from.size, err)
		}
	}
}

// Keys are those of the tenants asked for, whatever the projector answers.
func TestKeysOfOthersAreNotPassedOn(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.keys.Set(feedtest.KeyOf("acme", 1), feedtest.KeyOf("acme", 2), feedtest.KeyOf("globex", 1), feedtest.KeyOf("initech", 1))
	for _, c := range []struct {
		ask  revocation.KeysRequest
		want []string
	}{
		{revocation.KeysRequest{}, []string{"acme", "acme", "globex", "initech"}},
		{revocation.KeysRequest{Tenants: []string{"acme"}}, []string{"acme", "acme"}},
		{revocation.KeysRequest{Tenants: []string{"initech", "acme"}}, []string{"acme", "acme", "initech"}},
		{revocation.KeysRequest{Tenants: []string{"acme"}, After: revocation.KeyPlace{Tenant: "acme", Generation: 1}}, []string{"acme"}},
		{revocation.KeysRequest{Tenants: []string{"nobody"}}, nil},
	} {
		s := h.pass(t, h.cfg)
		body, signature, err := s.Keys(t.Context(), c.ask)
		if err != nil {
			t.Fatal(err)
		}
		page, err := revocation.OpenKeys(feedtest.Public(), body, signature)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, k := range page.Keys {
			got = append(got, k.Tenant)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: keys of %v, want %v", c.ask, got, c.want)
		}
	}
	cfg := h.cfg
	cfg.Source = deaf{h.source}
	if body, _, err := h.pass(t, cfg).Keys(t.Context(), revocation.KeysRequest{Tenants: []string{"acme"}}); err == nil {
		t.Errorf("passed on what a projector says that does not know the question: %s", body)
	}
}

// deaf is answered by a projector that does not know of tenants.
type deaf struct{ *source }

func (d deaf) Keys(ctx context.Context, r revocation.KeysRequest) (*revocation.KeysReply, []byte, []byte, error) {
	r.Tenants = nil
	return d.source.Keys(ctx, r)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := feedhttp.New(feedhttp.Config{KeepBytes: 1, Streams: -1, WriteWait: -1, Quiet: -1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"source", "public key", "keep bytes", "streams", "write wait", "quiet"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not speak of %s", err, want)
		}
	}
	if errors.Unwrap(err) == nil {
		t.Error("no cause")
	}
}
