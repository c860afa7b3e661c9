package app

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/projector/audit"
	"github.com/rescindhq/rescind/projector/controls"
	"github.com/rescindhq/rescind/projector/intake"
	"github.com/rescindhq/rescind/projector/revoke"
)

// insertStall is how long one call to ClickHouse may make no progress.
const insertStall = time.Minute

// intake makes the writers of the shards of this process.
func (a *app) intake(ctx context.Context, b *bus) (role, error) {
	quarantine, err := stream.OpenQuarantine(ctx, b.js)
	if err != nil {
		return role{}, err
	}
	keys, err := a.keyring(ctx, b)
	if err != nil {
		return role{}, err
	}
	elections, err := a.connect(natsd.Projector, a.cfg.NATS.ProjectorCreds, nil)
	if err != nil {
		return role{}, err
	}
	a.closers = append(a.closers, elections.nc.Close)
	var writers []func(context.Context) error
	for _, shard := range a.cfg.OwnShards() {
		run, err := a.writer(ctx, b, intake.Config{Shard: shard, Quarantine: quarantine, Keyring: keys, Elect: elect(elections, b, shard)})
		if err != nil {
			return role{}, fmt.Errorf("shard=%d: %w", shard, err)
		}
		writers = append(writers, run)
	}
	keeper, err := a.keeper(b, keys)
	if err != nil {
		return role{}, err
	}
	turn, err := a.turnFeedKeys(ctx, elections, b, keys)
	if err != nil {
		return role{}, err
	}
	writers = append(writers, keeper, turn)
	rotate, err := a.rotation(ctx, elections, b, keys)
	if err != nil {
		return role{}, err
	}
	if rotate != nil {
		writers = append(writers, rotate)
	}
	return role{config.RoleIntake, together(writers)}, nil
}

// writer completes cfg and makes the writer of its shard.
func (a *app) writer(ctx context.Context, b *bus, cfg intake.Config) (run func(context.Context) error, err error) {
	shard := cfg.Shard
	log, err := stream.OpenLogOf(ctx, b.js, shard)
	if err != nil {
		return nil, err
	}
	unsaid, err := a.started(ctx, b.js, log)
	if err != nil {
		return nil, err
	}
	reading := stream.IntakeConfig{Shard: shard, Log: a.log.With("role", config.RoleIntake)}
	cfg.Open = func(ctx context.Context) (intake.Source, error) { return stream.OpenIntakeWith(ctx, b.js, reading) }
	cfg.Log, cfg.Plaintext = log, a.cfg.Profile == config.Dev
	cfg.Policy, cfg.Logger = a.policy(), a.log.With("role", config.RoleIntake, "shard", shard)
	cfg.Controls = controls.Config{TokenLifetime: a.cfg.Limits.TokenLifetime, Skew: a.cfg.Limits.Skew}
	cfg.MaxLifetime, cfg.Skew = a.cfg.Limits.TokenLifetime, a.cfg.Limits.Skew
	in, err := intake.New(cfg)
	if err != nil {
		return nil, err
	}
	a.ready = append(a.ready, in.Ready())
	a.watchIntake(in, shard)
	runs := []func(context.Context) error{in.Run}
	if unsaid != nil {
		runs = append(runs, func(ctx context.Context) error { return a.late(ctx, b.js, unsaid, in.Ready()) })
	}
	return func(ctx context.Context) error {
		defer a.stopped(ctx, b.js, shard)
		if err := together(runs)(ctx); err != nil {
			return fmt.Errorf("shard=%d: %w", shard, err)
		}
		return nil
	}, nil
}

// together runs all of runs until ctx ends or one of them fails.
func together(runs []func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, run := range runs {
			g.Go(func() error { return run(ctx) })
		}
		return g.Wait()
	}
}

// audit makes the projectors of the shards of this process.
func (a *app) audit(ctx context.Context, b *bus) (role, error) {
	options, err := a.clickHouse(a.cfg.ClickHouse.ProjectorUser, a.cfg.ClickHouse.ProjectorPassword)
	if err != nil {
		return role{}, err
	}
	var projectors []func(context.Context) error
	for _, shard := range a.cfg.OwnShards() {
		p, err := a.projector(ctx, b, options, shard)
		if err != nil {
			return role{}, fmt.Errorf("shard=%d: %w", shard, err)
		}
		projectors = append(projectors, p.Run)
	}
	return role{config.RoleAudit, func(ctx context.Context) error {
		if err := a.untilMigrated(ctx, b); err != nil {
			return err
		}
		return together(projectors)(ctx)
	}}, nil
}

// projector makes the audit projector of a shard, with a connection of its own.
func (a *app) projector(ctx context.Context, b *bus, options *clickhouse.Options, shard uint16) (*audit.Projector, error) {
	log, err := stream.OpenLogOf(ctx, b.js, shard)
	if err != nil {
		return nil, err
	}
	conn, err := audit.Open(options, insertStall)
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, func() { conn.Close() })
	p, err := audit.New(audit.Config{
		Conn: conn, Shard: shard, Log: a.log.With("role", config.RoleAudit), Lookup: log,
		Read: func(ctx context.Context, from uint64) (audit.LogReader, error) { return log.Read(ctx, from) },
	})
	if err != nil {
		return nil, err
	}
	a.watchAudit(p, shard)
	if a.await {
		a.ready = append(a.ready, atWork(ctx, p))
	}
	return p, nil
}

// atWork is closed once p has read where it stands, or ctx has ended.
func atWork(ctx context.Context, p *audit.Projector) <-chan struct{} {
	return when(ctx, func() bool { s := p.Status(); return s.Current })
}

// when is closed once yes says so, or ctx has ended.
func when(ctx context.Context, yes func() bool) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil && !yes() {
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return done
}

func (a *app) revoke(ctx context.Context, b *bus) (role, error) {
	key, err := a.feedKey()
	if err != nil {
		return role{}, err
	}
	keys, err := a.keyring(ctx, b)
	if err != nil {
		return role{}, err
	}
	r := revoke.New(revoke.Config{Conn: b.nc, Shards: a.cfg.Shards, Key: key, Keys: feedKeys{keys}, Log: a.log.With("role", config.RoleRevoke)})
	a.watchRevoke(r)
	return role{config.RoleRevoke, r.Run}, nil
}

// feedKeys is every living feed key of the keyring.
type feedKeys struct{ keyring *seal.Keyring }

// Keys implements revoke.Keys.
func (k feedKeys) Keys(ctx context.Context) ([]events.FeedKey, error) { return k.keyring.FeedKeys(ctx) }
