package enginetest_test

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/internal/engine"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
)

func TestMain(m *testing.M) {
	engine.MainIfChild()
	goleak.VerifyTestMain(enginetest.M{M: m})
}

func open(t testing.TB, db enginetest.DB) *sql.DB {
	t.Helper()
	conn := clickhouse.OpenDB(&clickhouse.Options{
		Addr: []string{db.Addr},
		Auth: clickhouse.Auth{Username: db.User, Password: db.Password, Database: db.Database},
	})
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func mustExec(t testing.TB, conn *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// TestOwnerMayDoWhatOurTestsDo runs a statement of each kind that the rooms of
// this project use.
func TestOwnerMayDoWhatOurTestsDo(t *testing.T) {
	t.Parallel()
	conn := open(t, enginetest.Database(t))
	mustExec(t, conn,
		"CREATE TABLE facts (i UInt64, day Date, PROJECTION by_day (SELECT day, count() GROUP BY day)) ENGINE = MergeTree ORDER BY i PARTITION BY day TTL day + INTERVAL 100 YEAR",
		"CREATE TABLE buffer (i UInt64) ENGINE = Memory",
		"CREATE MATERIALIZED VIEW seen ENGINE = ReplacingMergeTree ORDER BY i AS SELECT i FROM facts",
		"CREATE VIEW all AS SELECT * FROM facts",
		"INSERT INTO facts SELECT number, '2026-01-01' FROM system.numbers LIMIT 10",
		"ALTER TABLE facts ADD COLUMN note String",
		"ALTER TABLE facts UPDATE note = 'x' WHERE i = 1 SETTINGS mutations_sync = 1",
		"ALTER TABLE facts DELETE WHERE i = 2 SETTINGS mutations_sync = 1",
		"CREATE TABLE plain (i UInt64) ENGINE = MergeTree ORDER BY i",
		"DELETE FROM plain WHERE i = 3",
		"OPTIMIZE TABLE facts FINAL",
		"SYSTEM STOP MERGES facts",
		"SYSTEM START MERGES facts",
		"CREATE TEMPORARY TABLE scratch (i UInt64)",
		"SELECT * FROM system.processes",
		"SELECT * FROM system.parts",
		"SELECT * FROM system.mutations",
		"SELECT * FROM information_schema.tables",
		"KILL QUERY WHERE query_id = 'none' SYNC",
		"EXCHANGE TABLES plain AND buffer",
		"DROP TABLE seen SYNC",
		"TRUNCATE TABLE facts",
	)
}

func TestDatabasesAreApart(t *testing.T) {
	t.Parallel()
	one, two := enginetest.Database(t), enginetest.Database(t)
	if one.Engine != two.Engine || one.Addr != one.Engine.Addr() || one.HTTPAddr != one.Engine.HTTPAddr() {
		t.Errorf("engine is not shared: %+v %+v", one, two)
	}
	mustExec(t, open(t, one), "CREATE TABLE facts (i UInt64) ENGINE = MergeTree ORDER BY i")
	other := open(t, two)
	mustExec(t, other, "CREATE TABLE facts (i UInt64) ENGINE = MergeTree ORDER BY i")
	for _, statement := range []string{
		"SELECT * FROM " + one.Database + ".facts",
		"DROP DATABASE " + one.Database,
		"CREATE DATABASE another",
	} {
		_, err := other.ExecContext(t.Context(), statement)
		var refused *clickhouse.Exception
		if !errors.As(err, &refused) || refused.Code != 497 {
			t.Errorf("%s: %v, want exception 497", statement, err)
		}
	}
}

// TestDatabaseIsFreshEachTime takes more databases, one after another, than
// there are accounts, and finds each of them empty.
func TestDatabaseIsFreshEachTime(t *testing.T) {
	seen := map[string]int{}
	for range 80 {
		t.Run("", func(t *testing.T) {
			db := enginetest.Database(t)
			seen[db.Database]++
			mustExec(t, open(t, db), "CREATE TABLE facts (i UInt64) ENGINE = Memory")
		})
	}
	if len(seen) == 80 {
		t.Error("no database was used again: the test tests nothing")
	}
}

// unlucky stands for a test that takes too many databases.
type unlucky struct {
	testing.TB
	failed *bool
}

func (u unlucky) Fatalf(string, ...any) {
	*u.failed = true
	panic(u)
}

// TestTooManyAtOnceFails: it does not wait for ever, and does not skip.
func TestTooManyAtOnceFails(t *testing.T) {
	failed := false
	take := func() {
		defer func() { _ = recover() }()
		enginetest.Database(unlucky{t, &failed})
	}
	for taken := 0; !failed && taken < 1000; taken++ {
		take()
	}
	if !failed {
		t.Error("1000 databases at once")
	}
}

func TestManyAskAtOnce(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	names := make(chan string, 8)
	for range cap(names) {
		all.Go(func() { names <- enginetest.Database(t).Database })
	}
	all.Wait()
	close(names)
	seen := map[string]bool{}
	for name := range names {
		if seen[name] {
			t.Errorf("%s was given twice", name)
		}
		seen[name] = true
	}
}

// TestNothingIsLeft runs this package's tests, one of them, in a process and a
// temporary folder of their own.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	run := exec.Command(os.Args[0], "-test.run=^TestDatabasesAreApart$", "-test.v")
	run.Env = append(os.Environ(), "TMPDIR="+tmp)
	out, err := run.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestDatabasesAreApart") {
		t.Fatalf("run: %v\n%s", err, out)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOwnIsOnesOwn(t *testing.T) {
	t.Parallel()
	shared := enginetest.Database(t).Engine
	own := enginetest.Own(t, engine.Config{})
	if own == shared || own.Pid() == shared.Pid() {
		t.Error("Own gave the shared engine")
	}
	if err := own.Kill(); err != nil {
		t.Error(err)
	}
	<-own.Died()
}
