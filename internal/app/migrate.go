package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/projector/audit"
)

const migrationLock = "migrate"

// Migrate brings streams and tables up to date and returns: what `rescind
// migrate` does.
func Migrate(ctx context.Context, cfg Config) error {
	a, err := open(cfg)
	if err != nil {
		return err
	}
	if err := a.ensureStreams(ctx); err != nil {
		return err
	}
	b, err := a.connect(natsd.Projector, a.cfg.NATS.ProjectorCreds, nil)
	if err != nil {
		return err
	}
	defer b.nc.Close()
	if err := a.checkLogs(ctx, b.js); err != nil {
		return err
	}
	return a.migrateTables(ctx, b)
}

// migrateTables creates the database and its tables under a lock that others
// who start at the same time wait for, and no longer than it has that.
func (a *app) migrateTables(ctx context.Context, b *bus) error {
	if a.cfg.ClickHouse.MigratorUser == "" {
		return nil
	}
	options, err := a.clickHouse(a.cfg.ClickHouse.MigratorUser, a.cfg.ClickHouse.MigratorPassword)
	if err != nil {
		return err
	}
	return underLock(ctx, b.js, lockTTL, func(ctx context.Context) error {
		if err := createDatabase(ctx, options); err != nil { // not sooner: a rebuild may be between its two renames
			return err
		}
		return audit.Migrate(ctx, audit.MigrateConfig{Options: options, Log: a.log})
	})
}

// createDatabase creates the database that options name, as an account that
// may start outside it.
func createDatabase(ctx context.Context, options *clickhouse.Options) (err error) {
	name := options.Auth.Database
	if !config.ValidDatabase(name) {
		return fmt.Errorf("clickhouse.database: %.40q is no plain name", name)
	}
	outside := *options
	outside.Auth.Database = ""
	conn, err := clickhouse.Open(&outside)
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	defer conn.Close()
	if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+name); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// untilMigrated tries until the tables are up to date or ctx ends: a ClickHouse
// that is down must not keep anything else from starting.
func (a *app) untilMigrated(ctx context.Context, b *bus) error {
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		err := a.migrateTables(ctx, b)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		a.log.Warn("clickhouse is not ready, trying again", slog.Duration("in", pause), slog.Any("err", err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
