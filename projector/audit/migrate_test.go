package audit

import (
	"errors"
	"slices"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/internal/engine/enginetest"
)

func emptyDatabase(t *testing.T) *clickhouse.Options {
	t.Helper()
	db := enginetest.Database(t)
	return &clickhouse.Options{
		Addr: []string{db.Addr}, Auth: clickhouse.Auth{Database: db.Database, Username: db.User, Password: db.Password},
	}
}

func tableNames(t *testing.T, o *clickhouse.Options) (names []string) {
	t.Helper()
	conn, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	rows, err := conn.Query(t.Context(), "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	return names
}

var allTables = []string{"batches", "duplicates", "events", "fences", "migrations", "payloads", "searches"}

func TestMigrateTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	o := emptyDatabase(t)
	for range 2 {
		if err := Migrate(t.Context(), MigrateConfig{Options: o}); err != nil {
			t.Fatal(err)
		}
		if got := tableNames(t, o); !slices.Equal(got, allTables) {
			t.Fatalf("tables %v", got)
		}
	}
}

func TestMigrationsMayBeRepeatedWithoutTheirVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(3)
	p, stop := w.start(w.config(w.direct))
	w.awaitAll(p)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.exec("DROP TABLE migrations SYNC") // as if the first attempt had died before it wrote them
	if err := Migrate(t.Context(), MigrateConfig{Options: &w.options}); err != nil {
		t.Fatal(err)
	}
	w.requireExact()
}

func TestMigrateNeedsOptions(t *testing.T) {
	t.Parallel()
	if err := Migrate(t.Context(), MigrateConfig{}); err == nil {
		t.Fatal("no error")
	}
}

func TestGrantsLetAppendAndNoMore(t *testing.T) {
	t.Parallel()
	w, _ := newOwnWorld(t)
	w.append(10)
	p, _ := w.start(w.config(w.direct))
	w.awaitAll(p)
	w.requireExact()
	for _, sql := range []string{
		"TRUNCATE TABLE events", "DROP TABLE events", "ALTER TABLE events DELETE WHERE 1", "DELETE FROM events WHERE 1",
		"ALTER TABLE batches UPDATE size = 0 WHERE 1", "OPTIMIZE TABLE events FINAL DEDUPLICATE",
	} {
		err := w.direct.Exec(t.Context(), sql)
		if exception, ok := errors.AsType[*clickhouse.Exception](err); !ok || exception.Code != 497 {
			t.Errorf("%s: err %v, want access denied", sql, err)
		}
	}
}
