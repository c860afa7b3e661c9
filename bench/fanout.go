package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation"
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

// fleetEvery is how often all verifiers are asked: more often, and asking takes
// the processor that they share.
const fleetEvery = 2 * time.Millisecond

// revokeAcross is how long it took each verifier to refuse each revocation.
// They are published when they are due, whether or not those before them have
// arrived.
func (b *revoke) revokeAcross(ctx context.Context, fleet []*feed.Feed) ([][]float64, error) {
	pub, err := b.sdk(0)
	if err != nil {
		return nil, err
	}
	n := b.cfg.Revocations
	limited, cancel := context.WithTimeoutCause(ctx, time.Duration(n)*fanoutEvery+patience, errors.New("the revocations did not arrive everywhere in time"))
	defer cancel()
	w := &watch{fleet: fleet, took: make([][]float64, len(fleet)), acked: make(chan *spread, n)}
	g, running := errgroup.WithContext(limited)
	g.Go(func() error { return publishWhenDue(running, g, pub, n, w.acked) })
	err = poll(running, fleetEvery, func(context.Context) (bool, error) { return w.look() == n, nil })
	if err := errors.Join(err, g.Wait()); err != nil {
		return nil, err
	}
	return w.took, pub.Close(ctx)
}

func publishWhenDue(ctx context.Context, g *errgroup.Group, pub *stream.Publisher, n int, acked chan<- *spread) error {
	tick := time.NewTicker(fanoutEvery)
	defer tick.Stop()
	for i := range n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		g.Go(func() error {
			jti := fmt.Sprintf("fanout-%06d", i)
			err := pub.Publish(ctx, revoked(jti))
			acked <- &spread{claims: claimsOf(jti), acked: time.Now()}
			return err
		})
	}
	return nil
}

// spread is one revocation on its way.
type spread struct {
	claims revocation.Claims
	acked  time.Time
	done   []bool // by verifier
	left   int
}

// watch asks the verifiers, in one goroutine.
type watch struct {
	fleet []*feed.Feed
	took  [][]float64 // by verifier, ms
	acked chan *spread
	open  []*spread
	ended int
}

// look asks those who do not refuse yet and returns how many revocations are
// refused by all.
func (w *watch) look() int {
	for len(w.acked) > 0 {
		s := <-w.acked
		s.done, s.left = make([]bool, len(w.fleet)), len(w.fleet)
		w.open = append(w.open, s)
	}
	w.open = slices.DeleteFunc(w.open, func(s *spread) bool {
		w.ask(s)
		if s.left == 0 {
			w.ended++
		}
		return s.left == 0
	})
	return w.ended
}

func (w *watch) ask(s *spread) {
	for k, f := range w.fleet {
		if !s.done[k] && refuses(f, s.claims) {
			s.done[k], w.took[k] = true, append(w.took[k], milliseconds(time.Since(s.acked)))
			s.left--
		}
	}
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
