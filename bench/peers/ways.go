package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// way is how a revocation reaches one verifier that decides by itself.
type way interface {
	// revoke returns once the revocation was acknowledged.
	revoke(ctx context.Context, jti string) error
	// refuses reports whether the verifier refuses the token.
	refuses(jti string) bool
	// cut ends the verifier's connection. It gets another by itself.
	cut(ctx context.Context) error
	close()
}

const (
	// settled is how long nothing must have arrived before what is missing
	// counts as lost: several heartbeats.
	settled = 10 * time.Second
	// glance is the time between two looks at a verifier.
	glance = 50 * time.Microsecond
)

// compareWays times revocations from being asked for until they are refused,
// and counts those that never are because the connection was cut.
func compareWays(ctx context.Context, cfg revocationConfig, dir string) ([]line, error) {
	own, err := openFeed(ctx, filepath.Join(dir, "rescind"), cfg.progress)
	if err != nil {
		return nil, err
	}
	defer own.close()
	synced, err := openSubscriber(ctx, dir, true)
	if err != nil {
		return nil, err
	}
	defer synced.close()
	unsynced, err := openSubscriber(ctx, dir, false)
	if err != nil {
		return nil, err
	}
	defer unsynced.close()
	ways := []way{own, synced, unsynced}
	cfg.progress("%d revocations on their way", cfg.revocations)
	times, err := onTheirWay(ctx, ways, cfg.revocations)
	if err != nil {
		return nil, err
	}
	out := wayLines(times)
	cfg.progress("%d revocations with cut connections", cfg.revocations)
	missing := newLine("revoked while connections are cut, and let through ever after", fmt.Sprintf("of %d", cfg.revocations))
	for i, name := range []string{nameSet, nameLocal} {
		n, err := cutOff(ctx, ways[i], cfg.revocations)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		missing.Sides[name] = one(float64(n), cfg.revocations)
	}
	return append(out, missing), nil
}

// onTheirWay is ms of each revocation of each way, which take turns.
func onTheirWay(ctx context.Context, ways []way, n int) ([][]float64, error) {
	turns := make([]turn, len(ways))
	for k, w := range ways {
		turns[k] = turn{calls: 1, call: func(i int) error { return arrive(ctx, w, fmt.Sprintf("way-%06d", i)) }}
	}
	times, err := each(n, turns)
	for _, of := range times {
		for i := range of {
			of[i] /= float64(time.Millisecond)
		}
	}
	return times, err
}

// arrive revokes a token and waits until it is refused.
func arrive(ctx context.Context, w way, jti string) error {
	if err := w.revoke(ctx, jti); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, settled, errors.New("the revocation did not arrive in time"))
	defer cancel()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for !w.refuses(jti) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

func wayLines(times [][]float64) []line {
	own, synced, unsynced := spreadOf(times[0]), spreadOf(times[1]), spreadOf(times[2])
	median, late, bare := newLine("asked to revoke until refused, synced to disk", "ms"), newLine("the same, one of a hundred takes longer", "ms"), newLine("the same, Redis without a log of writes", "ms")
	median.Sides[nameSet], median.Sides[nameLocal] = own, synced
	late.Sides[nameSet], late.Sides[nameLocal] = one(own.P99, own.N), one(synced.P99, synced.N)
	bare.Sides[nameLocal] = unsynced
	return []line{median, late, bare}
}

// cuts is how often a connection is cut.
const cuts = 10

// cutOff revokes n tokens one after the other, cuts the verifier's connection
// now and then, and counts those that are not refused once nothing arrives any
// more.
func cutOff(ctx context.Context, w way, n int) (int, error) {
	missing := make(map[string]bool)
	for i := range n {
		if i%max(1, n/cuts) == 0 {
			if err := w.cut(ctx); err != nil {
				return 0, fmt.Errorf("cut: %w", err)
			}
		}
		jti := fmt.Sprintf("cut-%06d", i)
		if err := w.revoke(ctx, jti); err != nil {
			return 0, err
		}
		missing[jti] = true
	}
	err := drain(ctx, w, missing)
	return len(missing), err
}

// drain takes what is refused out of missing, until nothing was for a while.
func drain(ctx context.Context, w way, missing map[string]bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for last := time.Now(); len(missing) > 0 && time.Since(last) < settled; {
		for jti := range missing {
			if w.refuses(jti) {
				delete(missing, jti)
				last = time.Now()
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
