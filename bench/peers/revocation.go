package main

import (
	"context"
	"flag"
	"fmt"
	"os"
)

// revocationConfig says how much to measure.
type revocationConfig struct {
	keys        int // revoked
	crowd       int // revoked by several goroutines at once, in lists of their own
	rounds      int // runs of each timing
	revocations int // timed from being asked for until they are refused
	progress    func(format string, args ...any)
}

func (c *revocationConfig) flags(f *flag.FlagSet) {
	f.IntVar(&c.keys, "keys", 1_000_000, "revocation: tokens revoked")
	f.IntVar(&c.crowd, "crowd", 200_000, "revocation: tokens revoked by several at once, in lists of their own")
	f.IntVar(&c.rounds, "rounds", 501, "revocation: runs of each timing, in turns")
	f.IntVar(&c.revocations, "revocations", 500, "revocation: timed until they are refused")
}

func (c *revocationConfig) validate() error {
	if c.keys < 1 || c.crowd < 1 || c.rounds < 1 || c.revocations < 1 {
		return fmt.Errorf("--keys, --crowd, --rounds and --revocations want 1 or more")
	}
	return nil
}

// probed is how many different tokens are asked for.
const probed = 1 << 16

// compareRevocation measures all denylists, and how revocations reach those
// that are local.
func compareRevocation(ctx context.Context, cfg revocationConfig) ([]line, error) {
	dir, err := os.MkdirTemp("", "rescind-peers-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	checks, err := compareLists(ctx, cfg, dir)
	if err != nil {
		return nil, err
	}
	ways, err := compareWays(ctx, cfg, dir)
	return append(checks, ways...), err
}

func compareLists(ctx context.Context, cfg revocationConfig, dir string) ([]line, error) {
	server, err := startRedis(ctx, dir, false)
	if err != nil {
		return nil, err
	}
	defer server.close()
	of := newTokens()
	peers := []peer{
		{nameSet, 500, func(context.Context, int) (denylist, error) { return openSet(of), nil }},
		{nameRedis, 5, func(ctx context.Context, _ int) (denylist, error) { return openRedisKeys(ctx, of, server) }},
		{nameLocal, 500, func(context.Context, int) (denylist, error) { return openLocalMap(of), nil }},
		{nameBloom, 500, func(ctx context.Context, n int) (denylist, error) { return openBloom(ctx, n), nil }},
	}
	mistaken, err := compareErrors(ctx, cfg, of, peers)
	if err != nil {
		return nil, err
	}
	filled, err := fillAll(ctx, cfg, of, peers)
	if err != nil {
		return nil, err
	}
	defer filled.close()
	times, err := filled.times(cfg.rounds)
	return append(append(times, filled.lines...), mistaken...), err
}
