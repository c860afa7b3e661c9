package audit

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"
)

// earlier is a database as it was before payloads were sorted by person, with
// records 0 to 9 of two shards, of which the odd ones have a person.
func earlier(t *testing.T) (*clickhouse.Options, *sql.DB) {
	t.Helper()
	o := emptyDatabase(t)
	db := clickhouse.OpenDB(o)
	t.Cleanup(func() { _ = db.Close() })
	p, err := migrations(db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	execAll(t, db,
		"INSERT INTO events (shard, `index`, tenant, subject_ref) SELECT s, number, 'acme', if(number % 2, toString(1000000000000000 + number), toFixedString('', 16))\n"+
			"FROM numbers(10) ARRAY JOIN [0, 1] AS s",
		"INSERT INTO payloads (shard, `index`, tenant, received, sealed) SELECT s, number, 'acme', fromUnixTimestamp64Micro(toInt64(number), 'UTC'), concat('part ', toString(s), toString(number))\n"+
			"FROM numbers(10) ARRAY JOIN [0, 1] AS s")
	return o, db
}

func execAll(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// wantSorted checks that payloads has each part once, with its person, and that
// nothing else is left.
func wantSorted(t *testing.T, o *clickhouse.Options, db *sql.DB) {
	t.Helper()
	var want, got []string
	for shard := range 2 {
		for i := range 10 {
			person := ""
			if i%2 == 1 {
				person = fmt.Sprint(1000000000000000 + i)
			}
			want = append(want, fmt.Sprintf("%d %d acme %q %d part %d%d", shard, i, person, i, shard, i))
		}
	}
	rows, err := db.QueryContext(t.Context(), "SELECT shard, `index`, tenant, toStringCutToZero(subject_ref), toUnixTimestamp64Micro(received), sealed FROM payloads ORDER BY shard, `index`")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var shard, index, received uint64
		var tenant, person, sealed string
		if err := rows.Scan(&shard, &index, &tenant, &person, &received, &sealed); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %d %s %q %d %s", shard, index, tenant, person, received, sealed))
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(allTables, tableNames(t, o)); d != "" {
		t.Error(d)
	}
}

func TestPartsOfTheEarlierTableAreSortedByPerson(t *testing.T) {
	t.Parallel()
	const copied = "INSERT INTO payloads_by_person SELECT shard, `index`, tenant, toFixedString(if(`index` % 2, toString(1000000000000000 + `index`), ''), 16), received, sealed FROM payloads"
	for name, before := range map[string][]string{
		"at first":                    nil,
		"some are copied":             {copied + " WHERE `index` IN (3, 4)"},
		"all are copied":              {copied},
		"exchanged":                   {copied, exchangePayloads},
		"exchanged, and some are new": {copied + " WHERE `index` < 7", exchangePayloads},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, db := earlier(t)
			p, err := migrations(db)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.UpTo(t.Context(), byPerson-1); err != nil {
				t.Fatal(err)
			}
			execAll(t, db, before...)
			if err := Migrate(t.Context(), MigrateConfig{Options: o}); err != nil {
				t.Fatal(err)
			}
			wantSorted(t, o, db)
		})
	}
}

// TestAnInsertThatIsUnderWayIsWaitedFor: a projector of the earlier version has
// begun to insert into the table that has just been replaced.
func TestAnInsertThatIsUnderWayIsWaitedFor(t *testing.T) {
	t.Parallel()
	o, db := earlier(t)
	p, err := migrations(db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), byPerson-1); err != nil {
		t.Fatal(err)
	}
	execAll(t, db, "ALTER TABLE payloads DELETE WHERE `index` = 9 AND shard = 1 SETTINGS mutations_sync = 1", exchangePayloads)
	id := "rescind-audit." + o.Auth.Database + ".1.earlier"
	inserted := make(chan error, 1)
	go func() {
		ctx := clickhouse.Context(context.Background(), clickhouse.WithQueryID(id))
		_, err := db.ExecContext(ctx, "INSERT INTO payloads_by_person (shard, `index`, tenant, received, sealed)\n"+
			"SELECT 1, 9, 'acme', fromUnixTimestamp64Micro(toInt64(9), 'UTC'), 'part 19' FROM numbers(1) WHERE sleep(3) = 0")
		inserted <- err
	}()
	for running := 0; running == 0; {
		if err := db.QueryRowContext(t.Context(), "SELECT toInt64(count()) FROM system.processes WHERE query_id = ?", id).Scan(&running); err != nil {
			t.Fatal(err)
		}
	}
	if err := Migrate(t.Context(), MigrateConfig{Options: o}); err != nil {
		t.Fatal(err)
	}
	if err := <-inserted; err != nil {
		t.Fatal(err)
	}
	wantSorted(t, o, db)
}
