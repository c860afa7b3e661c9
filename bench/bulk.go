package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/dev"
)

// bulk is the time from the first of many revocations, published as the API does
// the lines of a bulk job, until a verifier refuses every one of them.
func (b *revoke) bulk(ctx context.Context) error {
	f, stop, err := b.verifier(ctx)
	if err != nil {
		return err
	}
	defer stop()
	pub, err := stream.NewPublisher(stream.PublisherConfig{Environment: dev.Environment, Conn: b.publisher, BatchEvents: 1000, Abreast: 4})
	if err != nil {
		return err
	}
	began := time.Now()
	for i := range b.cfg.Bulk {
		if err := pub.Queue(ctx, revoked(bulkID(i))); err != nil {
			return err
		}
	}
	if err := pub.Close(ctx); err != nil {
		return err
	}
	durable := time.Since(began)
	ctx, cancel := context.WithTimeoutCause(ctx, 10*patience, errors.New("the revocations did not arrive in time"))
	defer cancel()
	next := 0 // all before it are refused
	err = poll(ctx, time.Millisecond, func(context.Context) (bool, error) {
		for next < b.cfg.Bulk && refuses(f, claimsOf(bulkID(next))) {
			next++
		}
		return next == b.cfg.Bulk, nil
	})
	if err != nil {
		return fmt.Errorf("%d of %d are refused: %w", next, b.cfg.Bulk, err)
	}
	applied := time.Since(began).Seconds()
	b.add(alone(fmt.Sprintf("bulk/durable_%d", b.cfg.Bulk), "s", durable.Seconds()))
	b.add(alone(fmt.Sprintf("bulk/refused_%d", b.cfg.Bulk), "s", applied))
	b.add(alone("bulk/rate", "revocations/s", float64(b.cfg.Bulk)/applied))
	return nil
}

func bulkID(i int) string { return fmt.Sprintf("bulk-%09d", i) }
