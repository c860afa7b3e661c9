package guardgrpc_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/guard"
	"github.com/rescindhq/rescind/revocation/guard/guardgrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer   = "https://issuer.example"
	audience = "https://api.example"
)

var key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// token is one that is good for a minute.
func token() string {
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": issuer, "aud": audience, "sub": "alice", "client_id": "shop", "jti": "token-1",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()})
	t.Header["typ"], t.Header["kid"] = "at+jwt", "k1"
	return must(t.SignedString(key))
}

// vouch stands for a *feed.Feed: it answers what it was set to.
type vouch struct {
	answer  atomic.Pointer[revocation.Decision]
	changed func([]revocation.Entry)
}

func says(s revocation.State) *vouch {
	v := &vouch{}
	v.answer.Store(&revocation.Decision{State: s})
	return v
}

func (v *vouch) Decide(revocation.Claims) revocation.Decision { return *v.answer.Load() }

func (v *vouch) Listen(changed func([]revocation.Entry)) func() {
	v.changed = changed
	return func() {}
}

func (v *vouch) AppendHashes(dst []events.Ref, _ revocation.Claims) []events.Ref { return dst }

func (v *vouch) revoke() {
	v.answer.Store(&revocation.Decision{State: revocation.Revoked})
	v.changed(nil)
}

func newGuard(v *vouch, change ...func(*guard.Config)) *guard.Guard {
	cfg := guard.Config{Issuer: issuer, Audience: []string{audience}, Tenant: "acme", Feed: v,
		Keys: guard.StaticKeys{{ID: "k1", Algorithm: "EdDSA", Public: key.Public()}}}
	for _, c := range change {
		c(&cfg)
	}
	return must(guard.New(cfg))
}

// start is a client of a server with one unary method and one stream.
func start(t testing.TB, unary grpc.UnaryHandler, stream grpc.StreamHandler, options ...grpc.ServerOption) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 16)
	s := grpc.NewServer(options...)
	call := func(_ any, ctx context.Context, decode func(any) error, i grpc.UnaryServerInterceptor) (any, error) {
		in := new(wrapperspb.StringValue)
		if err := decode(in); err != nil {
			return nil, err
		}
		return i(ctx, in, &grpc.UnaryServerInfo{FullMethod: "/test.Chat/Call"}, unary)
	}
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Chat", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Call", Handler: call}},
		Streams: []grpc.StreamDesc{{StreamName: "Talk", Handler: stream, ServerStreams: true, ClientStreams: true}}}, nil)
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	conn := must(grpc.NewClient("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent("tester"),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) })))
	t.Cleanup(func() {
		conn.Close()
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn
}

func guarded(g *guard.Guard) []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(guardgrpc.Unary(g)), grpc.ChainStreamInterceptor(guardgrpc.Stream(g))}
}

func with(ctx context.Context, authorization ...string) context.Context {
	md := metadata.MD{}
	md.Append("authorization", authorization...)
	return metadata.NewOutgoingContext(ctx, md)
}

// call is a unary call, and talk a stream of which one message is read.
func call(ctx context.Context, conn *grpc.ClientConn) (string, error) {
	out := new(wrapperspb.StringValue)
	err := conn.Invoke(ctx, "/test.Chat/Call", wrapperspb.String(""), out)
	return out.Value, err
}

func talk(ctx context.Context, conn *grpc.ClientConn) (grpc.ClientStream, string, error) {
	out := new(wrapperspb.StringValue)
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Chat/Talk")
	if err == nil {
		err = s.RecvMsg(out)
	}
	return s, out.Value, err
}

func subjectOf(ctx context.Context) *wrapperspb.StringValue {
	t, ok := guard.From(ctx)
	if !ok {
		return wrapperspb.String("")
	}
	return wrapperspb.String(t.Claims.Subject)
}

func sayWho(_ any, s grpc.ServerStream) error { return s.SendMsg(subjectOf(s.Context())) }
func answerWho(ctx context.Context, _ any) (any, error) {
	return subjectOf(ctx), nil
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	good := "Bearer " + token()
	for _, tt := range []struct {
		name   string
		feed   *vouch
		values []string
		code   codes.Code
		reason string
		retry  bool
	}{
		{"passes", says(revocation.Active), []string{good}, codes.OK, "", false},
		{"no metadata", says(revocation.Active), nil, codes.Unauthenticated, "MISSING", false},
		{"two tokens", says(revocation.Active), []string{good, good}, codes.Unauthenticated, "MISSING", false},
		{"two tokens in one", says(revocation.Active), []string{good + ", " + good}, codes.Unauthenticated, "MALFORMED", false},
		{"another scheme", says(revocation.Active), []string{"Basic abc"}, codes.Unauthenticated, "MISSING", false},
		{"no token", says(revocation.Active), []string{"Bearer abc"}, codes.Unauthenticated, "MALFORMED", false},
		{"revoked", says(revocation.Revoked), []string{good}, codes.Unauthenticated, "REVOKED", false},
		{"unknown", says(revocation.Unknown), []string{good}, codes.Unavailable, "UNKNOWN", true},
	} {
		conn := start(t, answerWho, sayWho, guarded(newGuard(tt.feed))...)
		who, err := call(with(t.Context(), tt.values...), conn)
		_, streamed, streamErr := talk(with(t.Context(), tt.values...), conn)
		for kind, got := range map[string]struct {
			who string
			err error
		}{"unary": {who, err}, "stream": {streamed, streamErr}} {
			if status.Code(got.err) != tt.code || (got.who == "alice") != (tt.code == codes.OK) {
				t.Errorf("%s, %s: %q, %v", tt.name, kind, got.who, got.err)
			}
			checkDetails(t, tt.name+", "+kind, got.err, tt.reason, tt.retry)
		}
	}
}

func checkDetails(t *testing.T, name string, err error, reason string, retry bool) {
	t.Helper()
	var gotReason, domain string
	var gotRetry time.Duration
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			gotReason, domain = d.Reason, d.Domain
		case *errdetails.RetryInfo:
			gotRetry = d.RetryDelay.AsDuration()
		}
	}
	if gotReason != reason || reason != "" && domain != guardgrpc.Domain || (gotRetry == time.Second) != retry {
		t.Errorf("%s: reason %q of %q, retry after %s", name, gotReason, domain, gotRetry)
	}
}

// revokedWhile opens a stream whose handler does f, revokes its token once the
// handler runs, and returns how the stream ended for the caller.
func revokedWhile(t *testing.T, f func(s grpc.ServerStream) error, more ...grpc.ServerOption) error {
	t.Helper()
	feed := says(revocation.Active)
	conn := start(t, answerWho, func(_ any, s grpc.ServerStream) error {
		if err := s.SendMsg(wrapperspb.String("hello")); err != nil {
			return err
		}
		return f(s)
	}, append(more, guarded(newGuard(feed))...)...)
	s, _, err := talk(with(t.Context(), "Bearer "+token()), conn)
	if err != nil {
		t.Fatal(err)
	}
	feed.revoke()
	for err == nil {
		err = s.RecvMsg(new(wrapperspb.StringValue))
	}
	return err
}

func TestStreamsAreCutWhateverTheirHandlerDoes(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1) // how a handler saw the end
	for name, f := range map[string]func(s grpc.ServerStream) error{
		"waits for its context": func(s grpc.ServerStream) error {
			<-s.Context().Done()
			ended <- s.Context().Err()
			return nil
		},
		"waits for a message": func(s grpc.ServerStream) error {
			err := s.RecvMsg(new(wrapperspb.StringValue))
			ended <- err
			return err
		},
		"sends without end": func(s grpc.ServerStream) (err error) {
			for err == nil {
				err = s.SendMsg(wrapperspb.String("more"))
			}
			ended <- err
			return err
		},
		"looks at errors alone": func(s grpc.ServerStream) (err error) {
			<-s.Context().Done() // and then ignores it
			for err == nil {
				err = s.SendMsg(wrapperspb.String("more"))
			}
			ended <- err
			return nil
		},
		"returns another error": func(s grpc.ServerStream) error {
			<-s.Context().Done()
			ended <- s.Context().Err()
			return errors.New("mine")
		},
	} {
		err := revokedWhile(t, f)
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: ended with %v", name, err)
		}
		checkDetails(t, name, err, "REVOKED", false)
		if err := <-ended; err == nil {
			t.Errorf("%s: the handler did not see it", name)
		}
	}
}

func TestNothingIsSentAfterTheCut(t *testing.T) {
	t.Parallel()
	sent := make(chan error, 1)
	err := revokedWhile(t, func(s grpc.ServerStream) error {
		<-s.Context().Done()
		err := s.SendMsg(wrapperspb.String("late"))
		sent <- err
		return err
	})
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("ended with %v", err)
	}
	if err := <-sent; status.Code(err) != codes.Unauthenticated {
		t.Errorf("sent: %v", err)
	}
}

func TestCutDoesNotWaitForADeafHandler(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	err := revokedWhile(t, func(grpc.ServerStream) error { <-release; return nil })
	close(release)
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("ended with %v", err)
	}
}

func TestUnaryCallThatTakesLongIsCut(t *testing.T) {
	t.Parallel()
	feed := says(revocation.Active)
	conn := start(t, func(ctx context.Context, _ any) (any, error) {
		feed.revoke()
		<-ctx.Done()
		return wrapperspb.String("secret"), nil
	}, sayWho, guarded(newGuard(feed))...)
	got, err := call(with(t.Context(), "Bearer "+token()), conn)
	if status.Code(err) != codes.Unauthenticated || got != "" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPanicReachesWhoRecovers(t *testing.T) {
	t.Parallel()
	var seen atomic.Value
	recovers := func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
		defer func() {
			seen.Store(recover())
			err = status.Error(codes.Internal, "sorry")
		}()
		return h(srv, s)
	}
	conn := start(t, answerWho, func(any, grpc.ServerStream) error { panic("oops") },
		append([]grpc.ServerOption{grpc.ChainStreamInterceptor(recovers)}, guarded(newGuard(says(revocation.Active)))...)...)
	if _, _, err := talk(with(t.Context(), "Bearer "+token()), conn); status.Code(err) != codes.Internal || seen.Load() != "oops" {
		t.Errorf("%v, recovered %v", err, seen.Load())
	}
}

func TestCallerThatLeavesEndsTheHandler(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	conn := start(t, answerWho, func(_ any, s grpc.ServerStream) error {
		err := s.SendMsg(wrapperspb.String("hello"))
		<-s.Context().Done()
		ended <- context.Cause(s.Context())
		return err
	}, guarded(newGuard(says(revocation.Active)))...)
	ctx, cancel := context.WithCancel(with(t.Context(), "Bearer "+token()))
	if _, _, err := talk(ctx, conn); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// TestRoutes has methods that want another policy than the rest, and some that
// want none.
func TestRoutes(t *testing.T) {
	t.Parallel()
	lax := newGuard(says(revocation.Unknown), func(c *guard.Config) { c.Policy = guard.BestEffort })
	strict := lax.With(guard.Strict)
	good := with(t.Context(), "Bearer "+token())
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		routes []guardgrpc.Route
		want   codes.Code
	}{
		{"none", good, nil, codes.OK},
		{"the method", good, []guardgrpc.Route{{"/test.Chat/Call", strict}, {"/test.Chat/Talk", strict}}, codes.Unavailable},
		{"the service", good, []guardgrpc.Route{{"/test.Chat/", strict}}, codes.Unavailable},
		{"the method rather than the service", good, []guardgrpc.Route{{"/test.Chat/", strict}, {"/test.Chat/Call", lax}, {"/test.Chat/Talk", lax}}, codes.OK},
		{"no guard", t.Context(), []guardgrpc.Route{{"/test.Chat/", nil}}, codes.OK},
		{"no guard for a name that begins alike", t.Context(), []guardgrpc.Route{{"/test.Chat/C", nil}, {"/test.Chat/T", nil}, {"/test.Ch", nil}, {"/", nil}, {"", nil}}, codes.Unauthenticated},
	} {
		conn := start(t, answerWho, sayWho, grpc.ChainUnaryInterceptor(guardgrpc.Unary(lax, tt.routes...)), grpc.ChainStreamInterceptor(guardgrpc.Stream(lax, tt.routes...)))
		_, err := call(tt.ctx, conn)
		_, _, streamErr := talk(tt.ctx, conn)
		if status.Code(err) != tt.want || status.Code(streamErr) != tt.want {
			t.Errorf("%s: unary %v, stream %v, want %s", tt.name, err, streamErr, tt.want)
		}
	}
}

// told keeps what it is told.
type told chan events.Event

func (r told) Report(ev events.Event) { r <- ev }

func TestReportsNameTheCaller(t *testing.T) {
	t.Parallel()
	r := make(told, 1)
	g := newGuard(says(revocation.Active), func(c *guard.Config) { c.Report, c.ReportClient = r, true })
	conn := start(t, answerWho, sayWho, guarded(g)...)
	if _, err := call(with(t.Context(), "Bearer "+token()), conn); err != nil {
		t.Fatal(err)
	}
	ev := <-r
	got := []string{string(ev.Type), ev.Data.Subject, ev.Data.IP, ev.Data.UserAgent[:6]}
	if d := cmp.Diff([]string{string(events.TokenVerified), "alice", "bufconn", "tester"}, got); d != "" {
		t.Error(d)
	}
}
