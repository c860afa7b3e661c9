package app

import (
	"context"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/projector/audit"
	"github.com/rescindhq/rescind/projector/controls"
	"github.com/rescindhq/rescind/projector/intake"
	"github.com/rescindhq/rescind/projector/revoke"
)

// insertStall is how long one call to ClickHouse may make no progress.
const insertStall = time.Minute

// intakeLock is held by the one intake that writes. The TTL is what a failover
// waits for, and the second or so that the server takes to notice: long enough
// for a write that the disk holds up, and short enough that somebody writes
// again within five seconds.
const (
	intakeLock = "intake-0"
	intakeTTL  = 2 * time.Second
)

func (a *app) intake(ctx context.Context, b *bus) (role, error) {
	if err := a.started(ctx, b.js); err != nil {
		return role{}, err
	}
	log, err := stream.OpenLog(ctx, b.js)
	if err != nil {
		return role{}, err
	}
	quarantine, err := stream.OpenQuarantine(ctx, b.js)
	if err != nil {
		return role{}, err
	}
	keys, err := a.keyring(ctx, b)
	if err != nil {
		return role{}, err
	}
	in, err := intake.New(intake.Config{
		Open: func(ctx context.Context) (intake.Source, error) { return stream.OpenIntake(ctx, b.js) },
		Elect: func(ctx context.Context) (context.Context, func(), error) {
			return stream.Elect(ctx, b.js, intakeLock, intakeTTL)
		},
		Log: log, Quarantine: quarantine, Keyring: keys,
		Controls: controls.Config{TokenLifetime: a.cfg.Limits.TokenLifetime, Skew: a.cfg.Limits.Skew},
		Policy:   a.policy(), MaxLifetime: a.cfg.Limits.TokenLifetime, Skew: a.cfg.Limits.Skew, Logger: a.log.With("role", config.RoleIntake),
	})
	if err != nil {
		return role{}, err
	}
	a.ready = append(a.ready, in.Ready())
	a.watchIntake(in)
	return role{config.RoleIntake, func(ctx context.Context) error {
		defer a.stopped(ctx, b.js)
		return in.Run(ctx)
	}}, nil
}

func (a *app) audit(ctx context.Context, b *bus) (role, error) {
	log, err := stream.OpenLog(ctx, b.js)
	if err != nil {
		return role{}, err
	}
	options, err := a.clickHouse(a.cfg.ClickHouse.ProjectorUser, a.cfg.ClickHouse.ProjectorPassword)
	if err != nil {
		return role{}, err
	}
	conn, err := audit.Open(options, insertStall)
	if err != nil {
		return role{}, err
	}
	a.closers = append(a.closers, func() { conn.Close() })
	p, err := audit.New(audit.Config{
		Conn: conn, Log: a.log.With("role", config.RoleAudit), Lookup: log,
		Read: func(ctx context.Context, from uint64) (audit.LogReader, error) { return log.Read(ctx, from) },
	})
	if err != nil {
		return role{}, err
	}
	a.watchAudit(p)
	if a.await {
		a.ready = append(a.ready, atWork(ctx, p))
	}
	return role{config.RoleAudit, func(ctx context.Context) error {
		if err := a.untilMigrated(ctx, b); err != nil {
			return err
		}
		return p.Run(ctx)
	}}, nil
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
	r := revoke.New(revoke.Config{Conn: b.nc, Key: key, Keys: feedKeys{keys}, Log: a.log.With("role", config.RoleRevoke)})
	a.watchRevoke(r)
	return role{config.RoleRevoke, r.Run}, nil
}

// feedKeys is every living feed key of the keyring.
type feedKeys struct{ keyring *seal.Keyring }

// Keys implements revoke.Keys.
func (k feedKeys) Keys(ctx context.Context) (keys []events.FeedKey, err error) {
	tenants, err := k.keyring.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range tenants {
		t, err := k.keyring.Tenant(ctx, name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, t.FeedKeys()...)
	}
	return keys, nil
}
