package guard_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/guard"
)

// handled serves one request whose token is revoked once the handler says so,
// and returns what the caller got.
func handled(t *testing.T, body io.Reader, f func(w http.ResponseWriter, r *http.Request, revoke func())) (*http.Response, error) {
	t.Helper()
	feed := &follower{decider: decider{answer: revocation.Decision{State: revocation.Active}}, keys: 1}
	g := newGuard(t, func(c *guard.Config) { c.Feed = feed })
	returned := make(chan struct{})
	s := httptest.NewServer(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(returned)
		f(w, r, func() {
			feed.answers(revoked)
			feed.changed(nil)
		})
	})))
	t.Cleanup(s.Close)
	req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, body))
	req.Header.Set("Authorization", "Bearer "+good(t, claims()))
	resp, err := s.Client().Do(req)
	<-returned
	if err == nil {
		t.Cleanup(func() { resp.Body.Close() })
	}
	return resp, err
}

func refusedBecause(err error) guard.Reason {
	var r *guard.Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return ""
}

func TestRequestThatWasNotAnsweredYetIsRefused(t *testing.T) {
	t.Parallel()
	resp, err := handled(t, nil, func(w http.ResponseWriter, r *http.Request, revoke func()) {
		revoke()
		<-r.Context().Done()
		w.WriteHeader(http.StatusOK)
		if _, err := w.Write([]byte("secret")); refusedBecause(err) != guard.ReasonRevoked {
			t.Errorf("written after the cut: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	got := string(must(io.ReadAll(resp.Body)))
	if resp.StatusCode != 401 || strings.Contains(got, "secret") || !strings.Contains(got, `"reason":"revoked"`) || resp.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("status %d, %s", resp.StatusCode, got)
	}
}

// endsWithItsReads is a response of a server that ends the context of the
// request when reading fails, as that of net/http may.
type endsWithItsReads struct {
	http.ResponseWriter
	end context.CancelFunc
}

func (w endsWithItsReads) SetReadDeadline(time.Time) error { w.end(); return nil }

func TestTheCauseIsTheRefusal(t *testing.T) {
	t.Parallel()
	feed := &follower{decider: decider{answer: revocation.Decision{State: revocation.Active}}, keys: 1}
	g := newGuard(t, func(c *guard.Config) { c.Feed = feed })
	h := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		feed.answers(revoked)
		feed.changed(nil)
		<-r.Context().Done()
		if err := context.Cause(r.Context()); refusedBecause(err) != guard.ReasonRevoked {
			t.Errorf("ended with %v", err)
		}
	}))
	ctx, end := context.WithCancel(t.Context())
	defer end()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+good(t, claims()))
	h.ServeHTTP(endsWithItsReads{httptest.NewRecorder(), end}, r)
}

func TestBlockedReadEnds(t *testing.T) {
	t.Parallel()
	body, w := io.Pipe() // nobody writes
	defer w.Close()
	resp, err := handled(t, body, func(_ http.ResponseWriter, r *http.Request, revoke func()) {
		revoke()
		if _, err := io.ReadAll(r.Body); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
	})
	if err == nil && resp.StatusCode != 401 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestBlockedWriteEnds(t *testing.T) {
	t.Parallel()
	// 64 MB fit into no socket, and nobody reads
	resp, err := handled(t, nil, func(w http.ResponseWriter, _ *http.Request, revoke func()) {
		if _, err := w.Write(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		w.(http.Flusher).Flush()
		revoke()
		if n, err := w.Write(make([]byte, 64<<20)); err == nil {
			t.Errorf("wrote %d", n)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d bytes as if they were whole", n)
	}
}

// TestConnectionOfACutResponseIsNotUsedAgain has the whole answer sent before
// the cut: the connection, which cannot be written to any more, must not wait
// for another request, perhaps of somebody else behind the same proxy.
func TestConnectionOfACutResponseIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	feed := &follower{decider: decider{answer: revocation.Decision{State: revocation.Active}}, keys: 1}
	g := newGuard(t, func(c *guard.Config) { c.Feed = feed })
	s := httptest.NewServer(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		fmt.Fprint(w, "hello")
		w.(http.Flusher).Flush()
		feed.answers(revoked)
		feed.changed(nil)
		<-r.Context().Done()
	})))
	defer s.Close()
	conn := must(net.Dial("tcp", s.Listener.Addr().String()))
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", good(t, claims()))
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); !strings.HasSuffix(string(got), "hello") || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestResponseOfAHandlerThatEnds(t *testing.T) {
	t.Parallel()
	resp, err := handled(t, nil, func(w http.ResponseWriter, r *http.Request, revoke func()) {
		w.Header().Set("X", "y")
		w.WriteHeader(http.StatusAccepted)
		io.Copy(w, strings.NewReader("abc"))  //nolint:errcheck // the caller tells
		http.NewResponseController(w).Flush() //nolint:errcheck // the caller tells
		if r.Context().Err() != nil {
			t.Error(r.Context().Err())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("202 y abc", strings.Join([]string{resp.Status[:3], resp.Header.Get("X"), string(must(io.ReadAll(resp.Body)))}, " ")); d != "" {
		t.Error(d)
	}
}

// TestConnectionThatWasGivenBackIsNotWatched has the handler close what it took
// over: nothing is decided for it any more.
func TestConnectionThatWasGivenBackIsNotWatched(t *testing.T) {
	t.Parallel()
	feed := &follower{decider: decider{answer: revocation.Decision{State: revocation.Active}}, keys: 1}
	g := newGuard(t, func(c *guard.Config) { c.Feed = feed })
	s := httptest.NewServer(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close()
	})))
	defer s.Close()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil))
	req.Header.Set("Authorization", "Bearer "+good(t, claims()))
	if _, err := s.Client().Do(req); err == nil {
		t.Error("answered")
	}
	if n := feed.questions(); n != 1 {
		t.Errorf("%d decisions", n)
	}
	time.Sleep(150 * time.Millisecond) // beyond the first look
	if n := feed.questions(); n != 1 {
		t.Errorf("%d decisions", n)
	}
}
