package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
)

// RevokeConfig says how much to revoke.
type RevokeConfig struct {
	// Dir is a folder for the stack; its contents can be thrown away after.
	Dir string
	// Revocations are timed one by one. Default 200.
	Revocations int
	// Entries of the set whose lookups are timed. Default 1,000,000.
	Entries int
	// Progress takes lines for people. nil discards.
	Progress func(string)
}

func (c RevokeConfig) withDefaults() RevokeConfig {
	if c.Revocations == 0 {
		c.Revocations = 200
	}
	if c.Entries == 0 {
		c.Entries = 1_000_000
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

// Revoke measures the way of a revocation to a verifier, and the set itself.
func Revoke(ctx context.Context, cfg RevokeConfig) (*Report, error) {
	cfg = cfg.withDefaults()
	r, err := newRig(ctx, rigConfig{dir: cfg.Dir, progress: cfg.Progress})
	if err != nil {
		return nil, err
	}
	defer r.close()
	report := &Report{Machine: machine()}
	whole, acked, err := r.propagate(ctx, cfg)
	if err != nil {
		return nil, err
	}
	report.Results = append(report.Results, whole, acked)
	cfg.Progress(fmt.Sprintf("set of %d entries", cfg.Entries))
	report.Results = append(report.Results, sets(cfg.Entries)...)
	return report, nil
}

// propagate is the time from publishing a revocation, and from its
// acknowledgement, until a verifier refuses the token.
func (r *rig) propagate(ctx context.Context, cfg RevokeConfig) (whole, acked Result, err error) {
	f, stop, err := r.verifier(ctx)
	if err != nil {
		return whole, acked, err
	}
	defer stop()
	pub, err := stream.NewPublisher(stream.PublisherConfig{Environment: dev.Environment, Conn: r.publisher})
	if err != nil {
		return whole, acked, err
	}
	hop, err := r.newHop(ctx)
	if err != nil {
		return whole, acked, err
	}
	var fromStart, fromAck, floor []float64
	for i := range cfg.Revocations {
		bare, err := hop.time(ctx)
		if err != nil {
			return whole, acked, err
		}
		start, ack, err := r.revokeOne(ctx, f, pub, fmt.Sprintf("token-%06d", i))
		if err != nil {
			return whole, acked, err
		}
		fromStart, fromAck, floor = append(fromStart, start), append(fromAck, ack), append(floor, bare)
	}
	const name = "durable publish and RePublish hop"
	whole = compare("revoke/propagate", "ms", fromStart, name, floor)
	acked = compare("revoke/propagate_from_ack", "ms", fromAck, name, floor)
	cfg.Progress(fmt.Sprintf("revoke/propagate p50 %.2f ms, p99 %.2f ms; raw hop p50 %.2f ms", whole.Value, quantile(fromStart, 0.99), whole.Floor))
	return whole, acked, pub.Close(ctx)
}

func (r *rig) revokeOne(ctx context.Context, f *feed.Feed, pub *stream.Publisher, jti string) (start, ack float64, err error) {
	claims := revocation.Claims{Tenant: "acme", Issuer: workload.Issuer, TokenID: jti, IssuedAt: events.TimestampOf(time.Now())}
	began := time.Now()
	err = pub.Publish(ctx, events.Event{
		ID: uuid.NewString(), Source: "bench", Type: events.TokenRevoked, Tenant: "acme", Environment: "dev",
		Data: events.Data{Issuer: workload.Issuer, TokenID: jti, Reason: "test"},
	})
	if err != nil {
		return 0, 0, err
	}
	acked := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the revocation did not arrive in time"))
	defer cancel()
	err = poll(ctx, 50*time.Microsecond, func(context.Context) (bool, error) {
		return f.Decide(claims).State == revocation.Revoked, nil
	})
	return milliseconds(time.Since(began)), milliseconds(time.Since(acked)), err
}

// verifier is a feed of its own, with a verifier's credentials.
func (r *rig) verifier(ctx context.Context) (*feed.Feed, func(), error) {
	nc, err := r.connect(natsd.Verifier)
	if err != nil {
		return nil, nil, err
	}
	public, err := r.stack.Keys.FeedPublicKey()
	if err != nil {
		return nil, nil, err
	}
	f := feed.New(feed.Config{Conn: nc, PublicKey: public})
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- f.Run(running) }()
	stop := func() { cancel(); <-ended }
	select {
	case <-f.Ready():
		return f, stop, nil
	case err := <-ended:
		cancel()
		return nil, nil, fmt.Errorf("feed: %w", err)
	case <-ctx.Done():
		stop()
		return nil, nil, ctx.Err()
	}
}

const (
	hopStream  = "BENCH_HOP"
	hopSubject = "rescind.bench.hop"
	hopLive    = "rescind.live.bench"
)

// hop is the raw path: a durable publish, republished to a subscriber.
type hop struct {
	js  jetstream.JetStream
	sub *nats.Subscription
}

func (r *rig) newHop(ctx context.Context) (*hop, error) {
	_, err := r.bare.CreateStream(ctx, jetstream.StreamConfig{
		Name: hopStream, Subjects: []string{hopSubject}, Storage: jetstream.FileStorage,
		RePublish: &jetstream.RePublish{Source: hopSubject, Destination: hopLive},
	})
	if err != nil {
		return nil, err
	}
	sub, err := r.bare.Conn().SubscribeSync(hopLive)
	if err != nil {
		return nil, err
	}
	return &hop{js: r.bare, sub: sub}, r.bare.Conn().Flush()
}

func (h *hop) time(ctx context.Context) (float64, error) {
	body := make([]byte, 300)
	began := time.Now()
	if _, err := h.js.Publish(ctx, hopSubject, body); err != nil {
		return 0, err
	}
	if _, err := h.sub.NextMsgWithContext(ctx); err != nil {
		return 0, err
	}
	return milliseconds(time.Since(began)), nil
}
