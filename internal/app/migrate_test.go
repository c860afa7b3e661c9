package app_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/app"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/secrets"
)

// TestTheDatabaseIsMadeUnderTheLock: while a rebuild has the lock nobody makes a
// database of the name that it is about to give to another.
func TestTheDatabaseIsMadeUnderTheLock(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.clickHouse(t)
	if err := stream.Ensure(t.Context(), natsdtest.JetStream(t, s.nats, natsd.Operator), stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	release, err := stream.AcquireLock(t.Context(), natsdtest.JetStream(t, s.nats, natsd.Projector), "migrate", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	migrate := func(ctx context.Context) error {
		return app.Migrate(ctx, app.Config{Config: s.config(config.RoleAudit), Log: slog.New(slog.DiscardHandler)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := migrate(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err %v: want that it waits for the lock", err)
	}
	if n := s.databases(t); n != 0 {
		t.Error("the database was made without the lock")
	}
	release()
	if err := migrate(t.Context()); err != nil || s.databases(t) != 1 {
		t.Errorf("the next one: %v", err)
	}
}

// databases is how many there are of the name of the site.
func (s *site) databases(t *testing.T) (n uint64) {
	t.Helper()
	password, err := secrets.ReadPassword(s.keys.ClickHousePassword("rebuilder"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{s.engine.Addr()}, Auth: clickhouse.Auth{Username: "rebuilder", Password: password}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.QueryRow(t.Context(), "SELECT count() FROM system.databases WHERE name = 'rescind'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
