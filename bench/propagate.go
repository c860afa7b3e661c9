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
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
)

// tenant is whose tokens are revoked, and whose people are forgotten.
const tenant = "acme"

// propagate is the time from publishing a revocation, and from its
// acknowledgement, until a verifier refuses the token; and until it vouches for
// a view that has it.
func (b *revoke) propagate(ctx context.Context) error {
	f, stop, err := b.verifier(ctx)
	if err != nil {
		return err
	}
	defer stop()
	pub, err := b.sdk(0)
	if err != nil {
		return err
	}
	hop, err := b.newHop(ctx)
	if err != nil {
		return err
	}
	var fromStart, fromAck, toView, floor []float64
	for i := range b.cfg.Revocations {
		bare, err := hop.time(ctx)
		if err != nil {
			return err
		}
		w, err := revokeOne(ctx, f, pub, fmt.Sprintf("token-%06d", i))
		if err != nil {
			return err
		}
		fromStart, fromAck = append(fromStart, milliseconds(w.refused.Sub(w.began))), append(fromAck, milliseconds(w.refused.Sub(w.acked)))
		toView, floor = append(toView, milliseconds(w.viewed.Sub(w.acked))), append(floor, bare)
	}
	const name = "durable publish and RePublish hop"
	b.add(compare("revoke/propagate", "ms", fromStart, name, floor).withP99(fromStart))
	b.add(compare("revoke/propagate_from_ack", "ms", fromAck, name, floor).withP99(fromAck))
	b.add(compare("revoke/position_from_ack", "ms", toView, name, floor).withP99(toView))
	return pub.Close(ctx)
}

// way is when one revocation was where.
type way struct{ began, acked, refused, viewed time.Time }

func revokeOne(ctx context.Context, f *feed.Feed, pub *stream.Publisher, jti string) (w way, err error) {
	claims := claimsOf(jti)
	refused, stop := whenRefused(f, claims)
	defer stop()
	before := f.PositionOf(tenant)
	w.began = time.Now()
	if err := pub.Publish(ctx, revoked(jti)); err != nil {
		return w, err
	}
	w.acked = time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the revocation did not arrive in time"))
	defer cancel()
	select {
	case w.refused = <-refused:
	case <-ctx.Done():
		return w, context.Cause(ctx)
	}
	err = poll(ctx, pollEvery, func(context.Context) (bool, error) { return f.PositionOf(tenant) > before, nil })
	w.viewed = time.Now()
	return w, err
}

// whenRefused gives the time when f first refuses a token: f is asked whenever it
// says that decisions may have changed. To ask again and again keeps a processor
// busy that the revocation waits for.
func whenRefused(f *feed.Feed, c revocation.Claims) (at <-chan time.Time, stop func()) {
	first := make(chan time.Time, 1)
	return first, f.Listen(func([]revocation.Entry) {
		if refuses(f, c) {
			select {
			case first <- time.Now():
			default:
			}
		}
	})
}

// pollEvery is how often a verifier is asked how far it is.
const pollEvery = 50 * time.Microsecond

func claimsOf(jti string) revocation.Claims {
	return revocation.Claims{Tenant: tenant, Issuer: workload.Issuer, TokenID: jti, IssuedAt: events.TimestampOf(time.Now())}
}

func refuses(f *feed.Feed, c revocation.Claims) bool {
	return f.Decide(c).State == revocation.Revoked
}

func revoked(jti string) events.Event {
	return events.Event{
		ID: uuid.NewString(), Source: "bench", Type: events.TokenRevoked, Tenant: tenant, Environment: "dev",
		Data: events.Data{Issuer: workload.Issuer, TokenID: jti, Reason: "test"},
	}
}

// verifier is a feed with a connection of its own and a verifier's credentials.
func (r *rig) verifier(ctx context.Context) (*feed.Feed, func(), error) {
	nc, err := r.stack.NATS.Connect(natsd.Verifier)
	if err != nil {
		return nil, nil, err
	}
	public, err := r.stack.Keys.FeedPublicKey()
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	f, stop, err := follow(ctx, feed.Config{Conn: nc, PublicKey: public})
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return f, func() { stop(); nc.Close() }, nil
}

// follow runs a feed and waits until it is ready.
func follow(ctx context.Context, cfg feed.Config) (*feed.Feed, func(), error) {
	f := feed.New(cfg)
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
	_, err := r.bare.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
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
