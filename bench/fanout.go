package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation/feed"
)

// fanout is the time from the acknowledgement of a revocation until each of
// many verifiers refuses, while other events come at a rate.
func (b *revoke) fanout(ctx context.Context) error {
	fleet, stop, err := b.fleet(ctx)
	defer stop()
	if err != nil {
		return err
	}
	traffic, err := b.startTraffic(ctx)
	if err != nil {
		return err
	}
	took, err := b.revokeAcross(ctx, fleet)
	rate, failed := traffic.stop()
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	var all, worst []float64
	for _, of := range took {
		all, worst = append(all, of...), append(worst, quantile(of, 0.99))
	}
	b.add(alone("fanout/from_ack", "ms", all...).withP99(all))
	b.add(alone("fanout/worst_verifier_p99", "ms", slices.Max(worst)))
	b.add(alone("fanout/rate", "events/s", rate))
	return nil
}

// fleet is as many verifiers as were asked for. Stop ends those that run, also
// where there is an error.
func (b *revoke) fleet(ctx context.Context) (fleet []*feed.Feed, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, s := range stops {
			s()
		}
	}
	for range b.cfg.Verifiers {
		f, stopOne, err := b.verifier(ctx)
		if err != nil {
			return nil, stop, err
		}
		fleet, stops = append(fleet, f), append(stops, stopOne)
	}
	return fleet, stop, nil
}

// fanoutEvery is the time between two revocations of fanout.
const fanoutEvery = 50 * time.Millisecond

// revokeAcross is how long it took each verifier to refuse each revocation.
func (b *revoke) revokeAcross(ctx context.Context, fleet []*feed.Feed) ([][]float64, error) {
	pub, err := b.sdk(0)
	if err != nil {
		return nil, err
	}
	took := make([][]float64, len(fleet))
	tick := time.NewTicker(fanoutEvery)
	defer tick.Stop()
	for i := range b.cfg.Revocations {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		jti := fmt.Sprintf("fanout-%06d", i)
		if err := pub.Publish(ctx, revoked(jti)); err != nil {
			return nil, err
		}
		if err := untilAllRefuse(ctx, fleet, jti, took); err != nil {
			return nil, err
		}
	}
	return took, pub.Close(ctx)
}

// untilAllRefuse looks at one verifier after the other, again and again, at
// those that do not refuse yet.
func untilAllRefuse(ctx context.Context, fleet []*feed.Feed, jti string, took [][]float64) error {
	acked := time.Now()
	claims := claimsOf(jti)
	done := make([]bool, len(fleet))
	left := len(fleet)
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the revocation did not arrive everywhere in time"))
	defer cancel()
	return poll(ctx, pollEvery, func(context.Context) (bool, error) {
		for k, f := range fleet {
			if !done[k] && refuses(f, claims) {
				done[k], took[k] = true, append(took[k], milliseconds(time.Since(acked)))
				left--
			}
		}
		return left == 0, nil
	})
}

// traffic is events that come at a rate until it is stopped.
type traffic struct {
	cancel context.CancelFunc
	ended  chan error
	began  time.Time
	sent   int // of the goroutine, until it ended
}

func (b *revoke) startTraffic(ctx context.Context) (*traffic, error) {
	pub, err := b.sdk(sdkBatch)
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(ctx)
	t := &traffic{cancel: cancel, ended: make(chan error, 1), began: time.Now()}
	gen := workload.New(workload.Config{Seed: 1, Subjects: 100_000, Start: t.began, Step: step})
	go func() {
		err := t.run(running, pub, gen, b.cfg.Rate)
		t.ended <- errors.Join(err, pub.Close(ctx))
	}()
	return t, nil
}

// run publishes what is due until ctx is done.
func (t *traffic) run(ctx context.Context, pub *stream.Publisher, gen *workload.Generator, rate float64) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		for due := int(time.Since(t.began).Seconds() * rate); t.sent < due && ctx.Err() == nil; t.sent++ {
			ev := gen.Next()
			ev.Time = time.Now()
			if err := pub.Queue(ctx, ev); err != nil && ctx.Err() == nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// stop ends it and returns the rate that there was until all was durable.
func (t *traffic) stop() (rate float64, err error) {
	t.cancel()
	err = <-t.ended
	return float64(t.sent) / time.Since(t.began).Seconds(), err
}
