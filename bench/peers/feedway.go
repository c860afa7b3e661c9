package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
)

// feedWay is Rescind: revocations are published as events, and a verifier
// with a connection of its own follows the feed.
type feedWay struct {
	stack    *rescind
	verifier *nats.Conn
	feed     *feed.Feed
	stop     func()
}

func openFeed(ctx context.Context, dir string, progress func(string, ...any)) (_ *feedWay, err error) {
	w := &feedWay{stop: func() {}}
	if w.stack, err = startRescind(ctx, dir, config{progress: progress}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.verifier, err = w.stack.stack.NATS.Connect(natsd.Verifier); err != nil {
		return nil, err
	}
	public, err := w.stack.stack.Keys.FeedPublicKey()
	if err != nil {
		return nil, err
	}
	w.feed = feed.New(feed.Config{Conn: w.verifier, PublicKey: public})
	return w, w.run(ctx)
}

// run follows the feed, and returns once it is ready.
func (w *feedWay) run(ctx context.Context) error {
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.feed.Run(running) }()
	select {
	case <-w.feed.Ready():
		w.stop = func() { cancel(); <-ended }
		return nil
	case err := <-ended:
		cancel()
		return fmt.Errorf("feed: %w", err)
	}
}

func (w *feedWay) revoke(ctx context.Context, jti string) error {
	return w.stack.pub.Publish(ctx, events.Event{
		ID: uuid.NewString(), Source: "bench", Type: events.TokenRevoked, Tenant: "acme", Environment: dev.Environment,
		Data: events.Data{Issuer: workload.Issuer, TokenID: jti, Reason: string(events.Logout)},
	})
}

func (w *feedWay) refuses(jti string) bool {
	claims := revocation.Claims{Tenant: "acme", Issuer: workload.Issuer, TokenID: jti, IssuedAt: events.TimestampOf(time.Now())}
	return w.feed.Decide(claims).State == revocation.Revoked
}

func (w *feedWay) cut(context.Context) error { return w.verifier.ForceReconnect() }

func (w *feedWay) close() {
	w.stop()
	if w.verifier != nil {
		w.verifier.Close()
	}
	w.stack.close()
}
