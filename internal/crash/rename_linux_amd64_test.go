package crash_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/internal/crash"
)

// killAtRename kills ClickHouse when it is about to make a part of table
// visible.
func killAtRename(t *testing.T, s *crash.Site, table string) <-chan string {
	t.Helper()
	var folder string
	row := s.Database().QueryRow(t.Context(), "SELECT toString(uuid) FROM system.tables WHERE database = currentDatabase() AND name = {name:String}", clickhouse.Named("name", table))
	if err := row.Scan(&folder); err != nil {
		t.Fatal(err)
	}
	return setTrap(t, engineOf(t, s), func(path string) bool {
		return strings.Contains(path, folder) && strings.HasPrefix(filepath.Base(strings.TrimSuffix(path, "/")), "tmp_insert")
	})
}

func await(t *testing.T, hit <-chan string) {
	t.Helper()
	select {
	case path, ok := <-hit:
		if !ok {
			t.Fatal("clickhouse ended before it renamed a part")
		}
		t.Logf("killed before the rename of %s", filepath.Base(strings.TrimSuffix(path, "/")))
	case <-time.After(2 * time.Minute):
		t.Fatal("no part was renamed")
	}
}

// TestKillAtRename kills ClickHouse in the middle of an insert: the part is
// written, and everything that ClickHouse writes down about it beside, but it
// is not yet in its place. Each table of the projector is struck.
func TestKillAtRename(t *testing.T) {
	t.Parallel()
	s := crash.NewSite(t, crash.Options{})
	l := crash.StartLoad(s, 1)
	for _, table := range []string{"payloads", "events", "batches"} {
		await(t, killAtRename(t, s, table))
		s.Await("records after "+table, s.Records(1))
	}
	s.Verify(l)
	tokensLoseRows(t, s)
}

// tokensLoseRows is why inserts are read back, and not sent again under the
// deduplication token of the first attempt: a ClickHouse that is killed at the
// rename of a part knows the token and has lost the rows. If this fails, the
// hazard is gone from the engine, and projector/audit may say so.
func tokensLoseRows(t *testing.T, s *crash.Site) {
	t.Helper()
	db := s.Database()
	if err := db.Exec(t.Context(), "CREATE TABLE tokens (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100"); err != nil {
		t.Fatal(err)
	}
	insert := func() error {
		ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"insert_deduplication_token": "one", "async_insert": 0}))
		return db.Exec(ctx, "INSERT INTO tokens SELECT number FROM numbers(10)")
	}
	hit := killAtRename(t, s, "tokens")
	if err := insert(); err == nil {
		t.Fatal("the insert was acknowledged")
	}
	await(t, hit)
	s.Await("clickhouse again", func() error { return db.Ping(t.Context()) })
	if err := insert(); err != nil {
		t.Fatalf("the second attempt: %v", err)
	}
	var n uint64
	if err := db.QueryRow(t.Context(), "SELECT count() FROM tokens").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != 0 {
		t.Errorf("%d rows: the token did not hide the second attempt", n)
	}
}
