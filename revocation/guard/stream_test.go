package guard_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/projector/revoke"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
	"github.com/rescindhq/rescind/revocation/guard"
	"github.com/rescindhq/rescind/revocation/guard/guardecho"
	"github.com/rescindhq/rescind/revocation/guard/guardgrpc"
)

// counted is a feed that counts what it decided.
type counted struct {
	*feed.Feed
	n atomic.Int64
}

func (c *counted) Decide(claims revocation.Claims) revocation.Decision {
	defer c.n.Add(1)
	return c.Feed.Decide(claims)
}

// house is a log, a real server, and an application that follows the feed.
type house struct {
	server *natsd.Server
	log    *feedtest.Log
	feed   *counted
	guard  *guard.Guard
	next   int    // number of the next token
	stop   func() // the writer of the feed
}

func newHouse(t *testing.T, change ...func(*guard.Config)) *house {
	t.Helper()
	s := natsdtest.Start(t)
	h := &house{server: s, log: feedtest.OpenLog(t, s)}
	r := revoke.New(revoke.Config{Conn: natsdtest.Connect(t, s, natsd.Projector), Key: feedtest.Signer(), Keys: feedtest.NewKeys(),
		Heartbeat: 50 * time.Millisecond, SnapshotEvery: 100 * time.Millisecond, StandbyFor: 200 * time.Millisecond})
	h.stop = feedtest.Go(t, r.Run)
	h.feed = &counted{Feed: feed.New(feed.Config{Conn: natsdtest.Connect(t, s, natsd.Verifier), PublicKey: feedtest.Public()})}
	feedtest.Go(t, h.feed.Run)
	<-h.feed.Ready()
	cfg := guard.Config{Issuer: feedtest.Issuer, Audience: []string{audience}, Keys: keys(), Feed: h.feed, Tenant: feedtest.Tenant}
	for _, c := range change {
		c(&cfg)
	}
	h.guard = must(guard.New(cfg))
	return h
}

// token is a new token of a person of its own.
func (h *house) token(t *testing.T) (string, revocation.Claims) {
	t.Helper()
	h.next++
	c := feedtest.Claims(h.next)
	tok := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": feedtest.Issuer, "aud": audience, "sub": c.Subject, "jti": c.TokenID, "sid": c.SessionID,
		"client_id": c.ClientID, "iat": time.Now().Add(-time.Minute).Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	tok.Header["typ"], tok.Header["kid"] = "at+jwt", "ed"
	return must(tok.SignedString(ed25519.PrivateKey(edKey))), c
}

// opened waits for a stream to end and says how.
type opened func() string

// every says one word after another until the request ends.
func every(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "data: hello")
	http.NewResponseController(w).Flush() //nolint:errcheck // the test sees it
	<-r.Context().Done()
}

// get opens a response with a token and reads the first line of it.
func get(t *testing.T, s *httptest.Server, raw string) opened {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/events", nil))
	r.Header.Set("Authorization", "Bearer "+raw)
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(resp.Body)
	if line, err := body.ReadString('\n'); err != nil || line != "data: hello\n" {
		t.Fatalf("status %d, %q, %v", resp.StatusCode, line, err)
	}
	return func() string {
		defer resp.Body.Close()
		_, err := io.Copy(io.Discard, body)
		if err == nil {
			return "ended as if it were whole"
		}
		return "cut"
	}
}

func serveHTTP(t *testing.T, h http.Handler, two bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = two
	if two {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// chat is a gRPC service whose handlers wait for the caller, or for nothing.
func chat(t *testing.T, g *guard.Guard) *grpc.ClientConn {
	t.Helper()
	stream := func(name string, f grpc.StreamHandler) grpc.StreamDesc {
		return grpc.StreamDesc{StreamName: name, Handler: f, ServerStreams: true, ClientStreams: true}
	}
	s := grpc.NewServer(grpc.ChainStreamInterceptor(guardgrpc.Stream(g)), grpc.ChainUnaryInterceptor(guardgrpc.Unary(g)))
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Chat", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{
		stream("Receive", func(_ any, ss grpc.ServerStream) error { // blocks in RecvMsg
			err := ss.SendMsg(wrapperspb.String("hello"))
			for err == nil {
				err = ss.RecvMsg(new(wrapperspb.StringValue))
			}
			return err
		}),
		stream("Wait", func(_ any, ss grpc.ServerStream) error {
			err := ss.SendMsg(wrapperspb.String("hello"))
			<-ss.Context().Done()
			return errors.Join(err, ss.Context().Err())
		}),
	}}, nil)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	conn := must(grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())))
	t.Cleanup(func() {
		conn.Close()
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn
}

func talk(t *testing.T, conn *grpc.ClientConn, method, raw string) opened {
	t.Helper()
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+raw))
	ss, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Chat/"+method)
	if err == nil {
		err = ss.RecvMsg(new(wrapperspb.StringValue))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() string {
		defer cancel()
		if err := ss.RecvMsg(new(wrapperspb.StringValue)); status.Code(err) != codes.Unauthenticated {
			return fmt.Sprint("ended with ", err)
		}
		return "cut"
	}
}

// websocket takes a connection over, as websockets do, and waits on it for the
// caller.
func websocket(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
	rw.Flush()
	go func() { // the handler returns before
		defer conn.Close()
		_, _ = rw.ReadByte()
	}()
}

func upgrade(t *testing.T, s *httptest.Server, raw string) opened {
	t.Helper()
	conn := must(net.Dial("tcp", s.Listener.Addr().String()))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", raw)
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "101") {
		t.Fatalf("got %q, %v", line, err)
	}
	return func() string {
		defer conn.Close()
		_, _ = io.Copy(io.Discard, r) // ends where the connection is closed or reset
		return "cut"
	}
}

// TestRevocationCutsStreams opens a stream of every kind, revokes its token in
// the log, and takes the time until the caller sees the end.
func TestRevocationCutsStreams(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	e := echo.New()
	e.Use(guardecho.Middleware(h.guard))
	e.GET("/events", func(c echo.Context) error {
		every(c.Response(), c.Request())
		return c.Request().Context().Err()
	})
	plain := h.guard.Handler(http.HandlerFunc(every))
	one, two, echoes, raw := serveHTTP(t, plain, false), serveHTTP(t, plain, true), serveHTTP(t, e, false), serveHTTP(t, h.guard.Handler(http.HandlerFunc(websocket)), false)
	conn := chat(t, h.guard)
	for name, open := range map[string]func(string) opened{
		"HTTP/1.1":                 func(tok string) opened { return get(t, one, tok) },
		"HTTP/2":                   func(tok string) opened { return get(t, two, tok) },
		"echo":                     func(tok string) opened { return get(t, echoes, tok) },
		"taken over":               func(tok string) opened { return upgrade(t, raw, tok) },
		"gRPC, handler receives":   func(tok string) opened { return talk(t, conn, "Receive", tok) },
		"gRPC, handler is waiting": func(tok string) opened { return talk(t, conn, "Wait", tok) },
	} {
		t.Run(name, func(t *testing.T) {
			scopes := []events.Scope{events.ScopeToken, events.ScopeSession, events.ScopeSubject, events.ScopeToken, events.ScopeSubject}
			var took []time.Duration
			for _, scope := range scopes {
				raw, c := h.token(t)
				before := h.feed.n.Load()
				end := open(raw)
				feedtest.Eventually(t, "stream is watched", func() bool { return h.feed.n.Load() >= before+2 })
				began := time.Now()
				h.log.Revoke(t, scope, c)
				if how := end(); how != "cut" {
					t.Errorf("%s: %s", scope, how)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			t.Logf("%s", took)
			// the best, because other tests have the processors too: a stream that
			// nobody told of would be looked at 600 ms later at the soonest
			if took[0] > 250*time.Millisecond {
				t.Errorf("cut after %s, want 250ms", took)
			}
		})
	}
}
