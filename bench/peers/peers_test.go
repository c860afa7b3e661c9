package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/rescindhq/rescind/internal/engine"
	"github.com/rescindhq/rescind/internal/workload"
)

func TestMain(m *testing.M) {
	engine.MainIfChild()
	os.Exit(m.Run())
}

// TestBothAnswerAlike runs the whole comparison on few events; it fails where
// the answers differ.
func TestBothAnswerAlike(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--events", "3000", "--singles", "20", "--queries", "10", "--subjects", "300", "--json"}, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	var rows []row
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil || len(rows) != 8 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, r := range rows {
		if r.Rescind.Value <= 0 || r.Postgres.Value <= 0 || r.Ratio <= 0 || r.Figure == "" || r.Unit == "" {
			t.Errorf("%+v", r)
		}
	}
}

func TestDifferentAnswersAreAnError(t *testing.T) {
	t.Parallel()
	ours, theirs := []figure{{name: "x", answers: []int{1, 2}}}, []figure{{name: "x", answers: []int{1, 3}}}
	if _, err := beside(ours, theirs); err == nil {
		t.Error("they were taken for the same")
	}
}

// TestPostgresIsAppendOnlyAndDurable holds the other side to what README.md
// says of it.
func TestPostgresIsAppendOnlyAndDurable(t *testing.T) {
	t.Parallel()
	p, err := startPostgres(t.Context(), passable(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	if err := p.appendAll(t.Context(), workload.New(workload.Config{Subjects: 10}), 700); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"UPDATE events SET type = 'x'", "DELETE FROM events", "TRUNCATE events"} {
		if _, err := p.pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s was done", sql)
		}
	}
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		var value string
		if err := p.pool.QueryRow(t.Context(), "SHOW "+name).Scan(&value); err != nil || value != "on" {
			t.Errorf("%s is %s, %v", name, value, err)
		}
	}
	for _, column := range []string{"subject", "jti"} {
		if n := indices(t, p, column); n != 1 {
			t.Errorf("%d indices on %s", n, column)
		}
	}
}

func indices(t *testing.T, p *postgres, column string) (n int) {
	t.Helper()
	err := p.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_indexes WHERE tablename = 'events' AND indexdef LIKE @def", pgx.NamedArgs{"def": "%(" + column + ")"}).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// passable is a folder that another user can reach: those of a test are not.
func passable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rescind-peers-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
