package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/engine"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/projector/audit"
	"github.com/rescindhq/rescind/query"
)

func searches() map[string]query.Search {
	return map[string]query.Search{
		"tenant":     {Tenant: "acme"},
		"other":      {Tenant: "umbrella"},
		"nobody":     {Tenant: "nobody"},
		"issuer":     {Tenant: "acme", Issuer: "https://1.example"},
		"subject":    {Tenant: "acme", SubjectRef: events.Ref{1, 2}},
		"token":      {Tenant: "acme", TokenRef: events.Ref{2, 3}},
		"session":    {Tenant: "acme", SessionRef: events.Ref{3, 1}},
		"id":         {Tenant: "acme", ID: "4"},
		"source":     {Tenant: "acme", Source: "s1"},
		"its id":     {Tenant: "acme", Source: "s1", ID: "4"},
		"another's":  {Tenant: "acme", Source: "s2", ID: "4"},
		"lifts":      {Tenant: "acme", Lifts: events.Ref{8, 1}},
		"client":     {Tenant: "acme", Client: "c1"},
		"key":        {Tenant: "acme", KeyID: "k1"},
		"outcome":    {Tenant: "acme", Outcome: "failure"},
		"type":       {Tenant: "acme", Types: []events.Type{events.TokenRevoked}},
		"types":      {Tenant: "acme", Types: []events.Type{events.TokenRevoked, events.TokenIssued}},
		"from":       {Tenant: "acme", From: day.Add(100 * time.Minute)},
		"to":         {Tenant: "acme", To: day.Add(100 * time.Minute)},
		"window":     {Tenant: "acme", From: day.Add(50 * time.Minute), To: day.Add(60 * time.Minute)},
		"after":      {Tenant: "acme", After: ptr(40)},
		"descending": {Tenant: "acme", Descending: true},
		"before":     {Tenant: "acme", Descending: true, After: ptr(40)},
		"first":      {Tenant: "acme", Descending: true, After: ptr(0)},
		"shard":      {Tenant: "acme", Shard: 1},
		"all": {
			Tenant: "acme", Issuer: "https://1.example", SubjectRef: events.Ref{1, 1}, Client: "c0", KeyID: "k1",
			Outcome: "success", From: day, To: day.Add(time.Hour * 24), Descending: true,
		},
		"quote":   {Tenant: "acme' OR '1'='1", Issuer: "\\', tenant = 'acme"},
		"control": {Tenant: "acme", Client: "a\tb\nc\x00d\\"},
	}
}

func TestSearchFindsWhatLookingAtEveryRowFinds(t *testing.T) {
	t.Parallel()
	conn, rows := tables(t), history(300)
	insert(t, conn, rows[:120])
	insert(t, conn, rows[120:])
	s := New(conn)
	for name, q := range searches() {
		t.Run(name, func(t *testing.T) {
			want := oracle(rows, q)
			q.Limit = query.MaxLimit
			got, err := s.Search(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatal(d)
			}
			q.After = nil
			n, err := s.Count(t.Context(), q)
			if err != nil || int(n) != len(oracle(rows, q)) {
				t.Fatalf("count %d, want %d, err %v", n, len(oracle(rows, q)), err)
			}
		})
	}
}

func TestEverySearchFindsSomethingSomewhere(t *testing.T) {
	rows := history(300)
	for _, name := range []string{"tenant", "other", "issuer", "subject", "token", "session", "id", "lifts", "client", "key", "outcome", "type", "types", "from", "to", "window", "after", "before", "all"} {
		all := len(oracle(rows, query.Search{Tenant: "acme"}))
		if n := len(oracle(rows, searches()[name])); n == 0 || n == all && name != "tenant" && name != "other" {
			t.Errorf("%s finds %d of %d: it tests nothing", name, n, all)
		}
	}
}

func TestPagesYieldEveryRowOnce(t *testing.T) {
	t.Parallel()
	conn, rows := tables(t), history(300)
	insert(t, conn, rows)
	for _, descending := range []bool{false, true} {
		q := query.Search{Tenant: "acme", Limit: 7, Descending: descending}
		want := oracle(rows, q)
		var got []query.Row
		for {
			page, err := New(conn).Search(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page...)
			if len(page) < q.Limit {
				break
			}
			q.After = &page[len(page)-1].Index
			// What arrives meanwhile must not disturb.
			insert(t, conn, []eventrow.Row{{Index: 1000 + uint64(len(got)), Record: events.Record{Version: 1, Tenant: "umbrella"}}})
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	insert(t, conn, history(2*query.MaxLimit+40)) // half are acme's
	for limit, want := range map[int]int{0: query.DefaultLimit, -1: query.DefaultLimit, 3: 3, query.MaxLimit: query.MaxLimit, math.MaxInt: query.MaxLimit} {
		rows, err := New(conn).Search(t.Context(), query.Search{Tenant: "acme", Limit: limit})
		if err != nil || len(rows) != want {
			t.Errorf("limit %d: %d rows, want %d, err %v", limit, len(rows), want, err)
		}
	}
}

func TestARecordIsReturnedAsItWasLogged(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	record := events.Record{
		Version: 1, Source: "s", ID: "1", Tenant: "acme", Environment: "dev", Type: events.TokenRevoked,
		Time: day.UnixMicro() + 1, Received: day.UnixMicro() + 2, IssuedAt: 3, Attributes: map[string]string{"a": "b"},
		Revocation: &events.Revocation{Scope: events.ScopeToken, Hash: events.Ref{9}, Expires: 10, FeedKey: 1},
	}
	insert(t, conn, []eventrow.Row{{Index: 5, Record: record}})
	row, err := New(conn).Event(t.Context(), "acme", 0, 5)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := record.Marshal()
	got, _ := row.Record.Marshal()
	if !bytes.Equal(want, got) || row.Index != 5 {
		t.Fatal(cmp.Diff(record, row.Record))
	}
}

func TestEventOfAnotherTenantIsNotFound(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	insert(t, conn, history(8))
	s := New(conn)
	for _, c := range []struct {
		tenant string
		index  uint64
		found  bool
	}{{"acme", 0, true}, {"acme", 2, false}, {"umbrella", 2, true}, {"", 2, true}, {"", 8, false}, {"acme", math.MaxUint64, false}} {
		row, err := s.Event(t.Context(), c.tenant, 0, c.index)
		if c.found && (err != nil || row.Index != c.index) || !c.found && !errors.Is(err, query.ErrNotFound) {
			t.Errorf("%+v: index %d, err %v", c, row.Index, err)
		}
	}
}

func TestEventThatIsThereTwiceIsAnError(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	insert(t, conn, append(history(1), history(1)...))
	if _, err := New(conn).Event(t.Context(), "acme", 0, 0); err == nil || errors.Is(err, query.ErrNotFound) {
		t.Fatalf("err %v", err)
	}
}

func TestSealedPartsOfOneTenant(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	sum := sha256.Sum256([]byte("x"))
	insertSealed(t, conn, "acme", 1, string(sum[:]))
	insertSealed(t, conn, "acme", 2, "two")
	insertSealed(t, conn, "umbrella", 3, "three")
	got, err := New(conn).Sealed(t.Context(), "acme", 0, []uint64{1, 3, 4}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[uint64][]byte{1: sum[:]}, got); d != "" {
		t.Fatal(d)
	}
	if got, err := New(conn).Sealed(t.Context(), "acme", 0, nil, nil); err != nil || len(got) != 0 {
		t.Fatalf("none asked: %v, err %v", got, err)
	}
	if _, err := New(conn).Sealed(t.Context(), "acme", 0, make([]uint64, query.MaxLimit+1), nil); !errors.Is(err, ErrSearch) {
		t.Fatalf("too many: err %v", err)
	}
}

// TestSealedPartsOfPeople: a part is found by whose it is, or where it is
// nobody's.
func TestSealedPartsOfPeople(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	insertSealed(t, conn, "acme", 1, "nobody's")
	for i, person := range []events.Ref{{7}, {7}, {0xff, 15: 1}} {
		err := conn.Exec(t.Context(), "INSERT INTO payloads (shard, `index`, tenant, subject_ref, sealed) VALUES (0, ?, 'acme', unhex(?), ?)",
			uint64(2+i), person.String(), fmt.Sprint("part ", 2+i))
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := New(conn).Sealed(t.Context(), "acme", 0, []uint64{1, 2, 4}, []events.Ref{{0xff, 15: 1}, {7}, {7}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[uint64][]byte{1: []byte("nobody's"), 2: []byte("part 2"), 4: []byte("part 4")}, got); d != "" {
		t.Fatal(d)
	}
}

func TestWithoutATenantNothingIsSearched(t *testing.T) {
	t.Parallel()
	s, ctx := New(nil), context.Background()
	_, search := s.Search(ctx, query.Search{})
	_, count := s.Count(ctx, query.Search{})
	_, sealed := s.Sealed(ctx, "", 0, []uint64{1}, nil)
	_, findings := s.Findings(ctx, query.FindingSearch{})
	_, issuers := s.Issuers(ctx, "", 0, 1)
	_, both := s.Search(ctx, query.Search{Tenant: "acme", AllTenants: true})
	for _, err := range []error{search, count, sealed, findings, issuers, both} {
		if !errors.Is(err, ErrSearch) {
			t.Errorf("err %v", err)
		}
	}
}

func TestGrantsLetReadAndNoMore(t *testing.T) {
	t.Parallel()
	grants := map[string][]string{
		"migrator": append(audit.MigratorGrants("rescind"), "INSERT ON rescind.*"), "reader": Grants("rescind"),
	}
	cfg := engine.Config{Database: "rescind"}
	for name, g := range grants {
		cfg.Users = append(cfg.Users, engine.User{Name: name, Password: "secret", Grants: g})
	}
	e := enginetest.Own(t, cfg)
	as := func(user string) *clickhouse.Options {
		return &clickhouse.Options{Addr: []string{e.Addr()}, Auth: clickhouse.Auth{Database: "rescind", Username: user, Password: "secret"}}
	}
	if err := audit.Migrate(t.Context(), audit.MigrateConfig{Options: as("migrator")}); err != nil {
		t.Fatal(err)
	}
	insert(t, open(t, as("migrator")), history(4))
	reader := open(t, as("reader"))
	rows, err := New(reader).Search(t.Context(), query.Search{Tenant: "acme"})
	if err != nil || len(rows) != 2 {
		t.Fatalf("%d rows, err %v", len(rows), err)
	}
	if _, err := New(reader).Sealed(t.Context(), "acme", 0, []uint64{1}, nil); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"INSERT INTO events (`index`) VALUES (9)", "TRUNCATE TABLE events", "DROP TABLE events", "ALTER TABLE events DELETE WHERE 1",
		"DELETE FROM events WHERE 1", "CREATE TABLE x (a Int8) ENGINE = MergeTree ORDER BY a", "SELECT * FROM fences",
	} {
		if err := reader.Exec(t.Context(), sql); err == nil || !cmpCode(err, 497) {
			t.Errorf("%s: err %v, want access denied", sql, err)
		}
	}
}

func cmpCode(err error, code int32) bool {
	e, ok := errors.AsType[*clickhouse.Exception](err)
	return ok && e.Code == code
}

func TestWhatIsNotRecordedIsNotShown(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	rows := history(12)
	insert(t, conn, rows)
	if err := conn.Exec(t.Context(), "TRUNCATE TABLE batches"); err != nil {
		t.Fatal(err)
	}
	record(t, conn, 9) // 0, 1, 4, 5, 8 are acme's
	s := New(conn)
	got, err := s.Search(t.Context(), query.Search{Tenant: "acme", Descending: true})
	if err != nil || len(got) != 5 || got[0].Index != 8 {
		t.Errorf("search: %d rows, err %v", len(got), err)
	}
	if n, err := s.Count(t.Context(), query.Search{Tenant: "acme"}); err != nil || n != 5 {
		t.Errorf("count: %d, err %v", n, err)
	}
	if got, err := s.Search(t.Context(), query.Search{AllTenants: true}); err != nil || len(got) != 9 {
		t.Errorf("search of all tenants: %d rows, err %v", len(got), err)
	}
	if got, err := s.Issuers(t.Context(), "umbrella", 0, 10); err != nil || len(got) != 2 {
		t.Errorf("issuers: %v, err %v", got, err)
	}
	late := eventrow.Row{Index: 11, Record: events.Record{Version: 1, Tenant: "umbrella", Issuer: "https://late.example"}}
	elsewhere := eventrow.Row{Shard: 1, Index: 3, Record: events.Record{Version: 1, Tenant: "umbrella", Issuer: "https://elsewhere.example"}}
	block, err := eventrow.Block([]eventrow.Row{late, elsewhere})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec(clickhouse.Context(t.Context(), clickhouse.WithExternalTable(block)), eventrow.Insert); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Issuers(t.Context(), "umbrella", 0, 10); err != nil || len(got) != 2 {
		t.Errorf("issuers that are not recorded yet, or of another shard: %v, err %v", got, err)
	}
	if _, err := s.Event(t.Context(), "acme", 0, 9); !errors.Is(err, query.ErrNotFound) {
		t.Errorf("event: err %v", err)
	}
	if _, err := s.Event(t.Context(), "acme", 0, 8); err != nil {
		t.Errorf("event below: err %v", err)
	}
}

func TestWindowsCoverEveryIndexOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := query.Search{Descending: rapid.Bool().Draw(t, "descending")}
		near := rapid.OneOf(rapid.Uint64Range(0, 5), rapid.Uint64Range(firstWidth-2, 40*firstWidth), rapid.Just(uint64(math.MaxUint64)))
		if rapid.Bool().Draw(t, "continued") {
			q.After = ptr(near.Draw(t, "after"))
		}
		if rapid.Bool().Draw(t, "narrow") {
			q.TokenRef = events.Ref{1}
		}
		end := near.Filter(func(n uint64) bool { return n < math.MaxUint64 }).Draw(t, "end")
		want := window{0, end}
		switch {
		case q.After != nil && q.Descending:
			want.end = min(end, *q.After)
		case q.After != nil && *q.After >= end:
			want.end = 0
		case q.After != nil:
			want.first = *q.After + 1
		}
		ws, n := windowsOf(q, end), 0
		for w, ok := ws.next(); ok; w, ok = ws.next() {
			if n++; q.Descending && w.end != want.end || !q.Descending && w.first != want.first || w.first >= w.end {
				t.Fatalf("window %d is %+v, %+v is left", n, w, want)
			}
			if q.Descending {
				want.end = w.first
			} else {
				want.first = w.end
			}
		}
		if want.first < want.end || n > 4 {
			t.Fatalf("%+v is left after %d windows", want, n)
		}
	})
}

func TestPagesAcrossWindows(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	var rows []eventrow.Row
	for i := range 40 { // sparse, so that a page reaches over many windows
		rows = append(rows, eventrow.Row{Index: uint64(i) * firstWidth / 3, Record: events.Record{Version: 1, Tenant: "acme"}})
	}
	insert(t, conn, rows)
	for _, descending := range []bool{false, true} {
		q := query.Search{Tenant: "acme", Limit: 15, Descending: descending}
		want := oracle(rows, q)
		var got []query.Row
		for len(got) < len(want) {
			page, err := New(conn).Search(t.Context(), q)
			if err != nil || len(page) == 0 {
				t.Fatalf("%d rows, err %v", len(page), err)
			}
			got = append(got, page...)
			q.After = &page[len(page)-1].Index
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	}
}

func TestAQueryIsBounded(t *testing.T) {
	t.Parallel()
	s := New(tables(t))
	if err := s.ask(t.Context(), slow{}, func(scan func(...any) error) error { return nil }); !cmpCode(err, 396) {
		t.Fatalf("a result of more than %d rows: err %v, want too many rows", query.MaxLimit, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Search(ctx, query.Search{Tenant: "acme"}); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: err %v", err)
	}
	if got := settings["max_execution_time"]; got != 30 {
		t.Fatalf("max_execution_time %v", got)
	}
}

type slow struct{}

func (slow) SQL() (string, []any) { return "SELECT number FROM numbers(1001)", nil }

func TestARowThatRepeatsAnotherSaysSo(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	insert(t, conn, history(8))
	const mark = "INSERT INTO duplicates (shard, `index`, first, content) VALUES (0, 4, 0, 'same'), (0, 5, 1, 'different'), (1, 0, 5, 'same')"
	if err := conn.Exec(t.Context(), mark); err != nil {
		t.Fatal(err)
	}
	want := map[uint64]query.Duplicate{4: {Of: 0, Content: "same"}, 5: {Of: 1, Content: "different"}}
	rows, err := New(conn).Search(t.Context(), query.Search{AllTenants: true})
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint64]query.Duplicate{}
	for _, r := range rows {
		if r.Duplicate != nil {
			got[r.Index] = *r.Duplicate
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	row, err := New(conn).Event(t.Context(), rows[5].Record.Tenant, 0, 5)
	if err != nil || row.Duplicate == nil || *row.Duplicate != want[5] {
		t.Errorf("event 5: %+v, err %v", row.Duplicate, err)
	}
}

// TestAReferenceIsFoundWithoutReadingTheRest counts what the server reads of a
// table of 135 granules, which is where the server begins to use projections as
// indexes.
func TestAReferenceIsFoundWithoutReadingTheRest(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	const fill = `INSERT INTO events (shard, ` + "`index`" + `, tenant, subject_ref, time, received, type, token_ref, session_ref)
SELECT 0, number, 'acme', substring(SHA1(toString(number % 9973)), 1, 16), toDateTime64('2026-11-01 00:00:00', 6, 'UTC') + number / 1000,
  toDateTime64('2026-11-01 00:00:00', 6, 'UTC') + number / 1000, if(number = 77777, {rare:String}, {common:String}),
  substring(SHA1(concat('t', toString(number % 9973), toString(intDiv(number, 500000)))), 1, 16),
  substring(SHA1(concat('s', toString(number % 9973), toString(intDiv(number, 250000)))), 1, 16)
FROM numbers(1100000)`
	args := []any{clickhouse.Named("rare", string(events.FindingOpened)), clickhouse.Named("common", string(events.TokenVerified))}
	if err := conn.Exec(t.Context(), fill, args...); err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec(t.Context(), "OPTIMIZE TABLE events FINAL"); err != nil {
		t.Fatal(err)
	}
	var subject, token, session events.Ref
	err := conn.QueryRow(t.Context(), "SELECT subject_ref, token_ref, session_ref FROM events WHERE `index` = 12345").Scan(&subject, &token, &session)
	if err != nil {
		t.Fatal(err)
	}
	all := window{0, 1_100_000}
	for name, q := range map[string]question{
		"subject":   page{query.Search{Tenant: "acme", SubjectRef: subject}, all},
		"token":     page{query.Search{Tenant: "acme", TokenRef: token}, all},
		"session":   page{query.Search{Tenant: "acme", SessionRef: session}, all},
		"rare type": page{query.Search{Tenant: "acme", Types: []events.Type{events.FindingOpened}}, all},
		"event":     event{tenant: "acme", index: 12345},
	} {
		var read uint64
		ctx := clickhouse.Context(t.Context(), clickhouse.WithProgress(func(p *clickhouse.Progress) { read += p.Rows }))
		err := New(conn).ask(ctx, q, func(scan func(...any) error) error { _, err := eventrow.Scan(scan); return err })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if read > 4*8192 {
			t.Errorf("%s: %d rows of 1100000 were read", name, read)
		}
	}
}
