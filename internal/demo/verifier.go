package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/guard"
)

// verifier is an application with a guarded route, on a connection and a feed
// of its own.
type verifier struct {
	nc     *nats.Conn
	guard  *guard.Guard
	url    string
	server *http.Server
	stop   context.CancelFunc
	done   chan struct{} // closed when feed and reports have ended
}

func newVerifier(ctx context.Context, s *dev.Stack, i *issuer, n int) (*verifier, error) {
	nc, err := s.NATS.Connect(natsd.Verifier)
	if err != nil {
		return nil, err
	}
	v := &verifier{nc: nc, done: make(chan struct{}), stop: func() {}}
	if err := v.start(ctx, s, i, n); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

func (v *verifier) start(ctx context.Context, s *dev.Stack, i *issuer, n int) error {
	public, err := s.Keys.FeedPublicKey()
	if err != nil {
		return err
	}
	pub, err := stream.NewPublisher(stream.PublisherConfig{
		Conn: v.nc, Tenant: tenant, Environment: dev.Environment, Source: fmt.Sprintf("https://orders-%d.example.com", n),
	})
	if err != nil {
		return err
	}
	view := feed.New(feed.Config{Conn: v.nc, PublicKey: public, Name: fmt.Sprintf("orders-%d", n)})
	reports := guard.NewAsync(pub, 100, nil)
	v.guard, err = guard.New(guard.Config{
		Issuer: issuerName, Audience: []string{audience}, Tenant: tenant, Feed: view, Report: reports, ReportClient: true,
		Keys: guard.StaticKeys{{ID: keyID, Algorithm: "ES256", Public: &i.key.PublicKey}},
	})
	if err != nil {
		return err
	}
	v.run(view, reports)
	select {
	case <-view.Ready():
		return v.listen()
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(patience):
		return fmt.Errorf("the feed is not ready within %s", patience)
	}
}

func (v *verifier) run(view *feed.Feed, reports *guard.Async) {
	ctx, stop := context.WithCancel(context.Background())
	v.stop = stop
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		_ = reports.Run(ctx) // ends with ctx
	}()
	go func() {
		defer close(v.done)
		_ = view.Run(ctx) // ends with ctx; a broken feed is seen as a wrong answer
		<-reported
	}()
}

func (v *verifier) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	orders := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	v.server = &http.Server{Handler: v.guard.Handler(orders), ReadHeaderTimeout: 5 * time.Second}
	v.url = "http://" + l.Addr().String() + "/orders"
	go func() { _ = v.server.Serve(l) }() // ends with close
	return nil
}

// call asks for the guarded route with the token and returns the status.
func (v *verifier) call(ctx context.Context, token string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// watch yields the time at which the verifier first refuses the token as
// revoked, and is closed without one where ctx ends before.
func (v *verifier) watch(ctx context.Context, token string) chan time.Time {
	out := make(chan time.Time, 1)
	go func() {
		defer close(out)
		tick := time.NewTicker(200 * time.Microsecond)
		defer tick.Stop()
		for {
			var refusal *guard.Refusal
			if _, err := v.guard.Check(ctx, token); errors.As(err, &refusal) && refusal.Reason == guard.ReasonRevoked {
				out <- time.Now()
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return out
}

func (v *verifier) close() {
	if v.server != nil {
		v.server.Close()
	}
	v.stop()
	if v.guard != nil {
		<-v.done
	}
	v.nc.Close()
}
