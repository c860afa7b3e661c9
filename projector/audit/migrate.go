package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"

	"github.com/rescindhq/rescind/schemas"
)

// MigrateConfig is what Migrate needs.
type MigrateConfig struct {
	// Options say where the database is, which must exist, and the account,
	// with the rights of MigratorGrants. Required.
	Options *clickhouse.Options

	// Log takes a line a migration. nil discards.
	Log *slog.Logger
}

// Migrate brings the tables of the audit store up to date. Migrating again
// changes nothing. The caller keeps others from migrating meanwhile, as
// ClickHouse has no lock for it; losing that half way is harmless, as every
// statement may be repeated.
func Migrate(ctx context.Context, cfg MigrateConfig) (err error) {
	if cfg.Options == nil {
		return errors.New("migrate clickhouse: options are missing")
	}
	done, err := migrate(ctx, cfg.Options)
	if err != nil {
		return fmt.Errorf("migrate clickhouse database=%s: %w", cfg.Options.Auth.Database, err)
	}
	for _, m := range done {
		cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)).Info("migrated", "version", m.Source.Version, "elapsed", m.Duration)
	}
	return nil
}

func migrate(ctx context.Context, options *clickhouse.Options) (_ []*goose.MigrationResult, err error) {
	files, err := fs.Sub(schemas.FS, "clickhouse")
	if err != nil {
		return nil, err
	}
	o := *options
	db := clickhouse.OpenDB(&o)
	defer func() { err = errors.Join(err, db.Close()) }()
	p, err := goose.NewProvider(goose.DialectClickHouse, db, files,
		goose.WithTableName("migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, err
	}
	return p.Up(ctx)
}

// MigratorGrants are the rights that Migrate needs in the database, as the
// lists after GRANT.
func MigratorGrants(database string) []string {
	return []string{
		"SELECT, INSERT, CREATE TABLE, ALTER TABLE ON " + database + ".*",
		"TABLE ENGINE ON MergeTree",
	}
}

// Grants are the rights that a projector needs in the database: to add rows, to
// see what is there, and to end its own inserts. None of them changes or
// removes a row.
func Grants(database string) []string {
	rights := []string{"SELECT ON system.processes", "KILL QUERY ON *.*"}
	for _, table := range tables {
		rights = append(rights, "SELECT, INSERT ON "+database+"."+table)
	}
	return slices.Clip(rights)
}

var tables = []string{"events", "payloads", "batches", "fences", "duplicates", "searches"}
