// Package storetest gives tests a real audit store that follows a log.
//
// # What it is
//
// [Follow] is a database, and a projector that keeps it up with the log of a
// [lanetest.Kit].
//
// # Guarantees
//
// The database is the test's own, and gone when the test ends.
//
// # Shapes and units
//
// None.
//
// # Errors
//
// What goes wrong fails the test.
//
// # Concurrency
//
// As of testing.TB: it belongs to the test's goroutine.
//
// # What it does not do
//
// It waits for nothing: what is on the log is in the store a moment later.
//
// # Sources
//
// None beyond the packages that it puts together.
package storetest

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/projector/audit"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// Follow is a connection to the database, on which what sees no progress for stall
// fails. The projector stops with stop, or with the test.
func Follow(k *lanetest.Kit, stall time.Duration) (conn driver.Conn, stop func()) {
	k.T.Helper()
	db := enginetest.Database(k.T)
	o := &clickhouse.Options{Addr: []string{db.Addr}, Auth: clickhouse.Auth{Database: db.Database, Username: db.User, Password: db.Password}}
	if err := audit.Migrate(k.T.Context(), audit.MigrateConfig{Options: o}); err != nil {
		k.T.Fatal(err)
	}
	conn, err := audit.Open(o, stall)
	if err != nil {
		k.T.Fatal(err)
	}
	k.T.Cleanup(func() { _ = conn.Close() })
	p, err := audit.New(audit.Config{Conn: conn, Read: func(ctx context.Context, from uint64) (audit.LogReader, error) { return k.Log.Read(ctx, from) }})
	if err != nil {
		k.T.Fatal(err)
	}
	return conn, k.Run(p.Run)
}
