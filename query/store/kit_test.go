package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/projector/audit"
	"github.com/rescindhq/rescind/query"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(enginetest.M{M: m})
}

func open(t testing.TB, o *clickhouse.Options) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// tables is a fresh database with the tables.
func tables(t testing.TB) driver.Conn {
	t.Helper()
	db := enginetest.Database(t)
	o := &clickhouse.Options{
		Addr: []string{db.Addr}, Auth: clickhouse.Auth{Database: db.Database, Username: db.User, Password: db.Password},
	}
	if err := audit.Migrate(t.Context(), audit.MigrateConfig{Options: o}); err != nil {
		t.Fatal(err)
	}
	return open(t, o)
}

func insert(t testing.TB, conn driver.Conn, rows []eventrow.Row) {
	t.Helper()
	block, err := eventrow.Block(rows)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec(clickhouse.Context(t.Context(), clickhouse.WithExternalTable(block)), eventrow.Insert); err != nil {
		t.Fatal(err)
	}
	record(t, conn, rows[len(rows)-1].Index+1)
}

// record makes the rows below an index the recorded ones.
func record(t testing.TB, conn driver.Conn, end uint64) {
	t.Helper()
	if err := conn.Exec(t.Context(), "INSERT INTO batches (first, count) VALUES (0, ?)", uint32(end)); err != nil {
		t.Fatal(err)
	}
}

func insertSealed(t testing.TB, conn driver.Conn, tenant string, index uint64, part string) {
	t.Helper()
	err := conn.Exec(t.Context(), "INSERT INTO payloads (shard, `index`, tenant, sealed) VALUES (0, ?, ?, ?)", index, tenant, part)
	if err != nil {
		t.Fatal(err)
	}
}

var day = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// history is n events of two tenants, with members that divide them in ways
// that do not coincide.
func history(n int) []eventrow.Row {
	types := []events.Type{events.TokenIssued, events.TokenVerified, events.TokenRevoked}
	rows := make([]eventrow.Row, n)
	for i := range rows {
		rows[i] = eventrow.Row{Index: uint64(i), Record: events.Record{
			Version: events.RecordVersion, Source: fmt.Sprint("s", i/4%3), ID: fmt.Sprint(i), Tenant: []string{"acme", "umbrella"}[i/2%2],
			Environment: "dev", Type: types[i%3], Time: day.Add(time.Duration(i*7919%n) * time.Minute).UnixMicro(),
			Received: day.UnixMicro(), Issuer: fmt.Sprintf("https://%d.example", i%2),
			SubjectRef: events.Ref{1, byte(i % 5)}, TokenRef: events.Ref{2, byte(i % 7)}, SessionRef: events.Ref{3, byte(i % 4)},
			Client: fmt.Sprint("c", i%3), KeyID: fmt.Sprint("k", i%2), Outcome: []string{"success", "failure", ""}[i%3],
			Attributes: map[string]string{"n": fmt.Sprint(i)},
		}}
		if i%9 == 5 {
			rows[i].Record.Revocation = &events.Revocation{Scope: events.ScopeToken, Lifts: events.Ref{8, byte(i % 2)}}
		}
	}
	return rows
}

// oracle is what q should find, by looking at every row.
func oracle(rows []eventrow.Row, q query.Search) (out []query.Row) {
	at := func(i int) *eventrow.Row {
		if q.Descending {
			return &rows[len(rows)-1-i]
		}
		return &rows[i]
	}
	for i := range rows {
		if r := at(i); matches(r, q) {
			out = append(out, query.Row{Index: r.Index, Record: r.Record})
		}
	}
	return out
}

func matches(r *eventrow.Row, q query.Search) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	refers := func(want, got events.Ref) bool { return want.IsZero() || want == got }
	m := &r.Record
	typed := len(q.Types) == 0
	for _, t := range q.Types {
		typed = typed || t == m.Type
	}
	behind := q.After == nil || !q.Descending && r.Index > *q.After || q.Descending && r.Index < *q.After
	when := time.UnixMicro(m.Time)
	return typed && behind && m.Tenant == q.Tenant && r.Shard == q.Shard && is(q.Issuer, m.Issuer) && is(q.Client, m.Client) &&
		is(q.KeyID, m.KeyID) && is(q.Outcome, m.Outcome) && refers(q.SubjectRef, m.SubjectRef) && is(q.ID, m.ID) && is(q.Source, m.Source) &&
		(q.Lifts.IsZero() || m.Revocation != nil && m.Revocation.Lifts == q.Lifts) &&
		refers(q.TokenRef, m.TokenRef) && refers(q.SessionRef, m.SessionRef) &&
		(q.From.IsZero() || !when.Before(q.From)) && (q.To.IsZero() || when.Before(q.To))
}

func ptr(n uint64) *uint64 { return &n }
