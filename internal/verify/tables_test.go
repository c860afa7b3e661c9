package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rescindhq/rescind/internal/verify"
)

// copyTo is a row of events again, with another index.
const copyTo = "INSERT INTO events SELECT * REPLACE (toUInt64(%d) AS `index`) FROM (SELECT * FROM events WHERE `index` = %d)"

// TestTamperedTables changes ClickHouse in every way at once, each at an index
// of its own, and wants each named.
func TestTamperedTables(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.history(300)
	sealed := func(n int) uint64 {
		return b.ask("SELECT `index` FROM payloads WHERE `index` > 100 ORDER BY `index` LIMIT 1 OFFSET %d", n)
	}
	end := b.ask("SELECT count() FROM events")
	b.exec("ALTER TABLE events DELETE WHERE `index` = 10")
	b.exec(copyTo, 11, 11)         // twice
	b.exec(copyTo, end+500, end-1) // beyond the log
	swap(b, 20, 21)
	signed := b.ask("SELECT min(`index`) FROM events WHERE `index` > 40 AND alg = 'ES256'")
	b.exec("ALTER TABLE events UPDATE alg = 'none' WHERE `index` = %d", signed)
	b.exec("ALTER TABLE events UPDATE id = 'someone@example.com', ticket = 'x' WHERE `index` = 31")
	b.exec("ALTER TABLE events UPDATE revoked_scope = 'token' WHERE `index` = 32 AND NOT revokes")
	b.exec("ALTER TABLE events UPDATE attributes = map('a', 'b') WHERE `index` = 33")
	b.exec("ALTER TABLE events UPDATE shard = 9 WHERE `index` = 34")
	revoking := b.ask("SELECT min(`index`) FROM events WHERE revokes AND `index` > %d", signed)
	b.exec("ALTER TABLE events UPDATE revoked_expires = revoked_expires + 1 WHERE `index` = %d", revoking)
	missing, changed, moved, twice, whose := sealed(0), sealed(1), sealed(2), sealed(3), sealed(4)
	b.exec("ALTER TABLE payloads DELETE WHERE `index` = %d", missing)
	b.exec("ALTER TABLE payloads UPDATE sealed = concat(substring(sealed, 1, 20), 'x', substring(sealed, 22)) WHERE `index` = %d", changed)
	replace(b, "payloads", moved, "received + 1 AS received")
	replace(b, "payloads", whose, "reverse(subject_ref)::FixedString(16) AS subject_ref")
	b.exec("INSERT INTO payloads SELECT * FROM payloads WHERE `index` = %d", twice)
	batches := func(n int) uint64 { return b.ask("SELECT first FROM batches ORDER BY first LIMIT 1 OFFSET %d", n) }
	gone, root, again := batches(1), batches(2), batches(3)
	b.exec("ALTER TABLE batches DELETE WHERE first = %d", gone)
	b.exec("ALTER TABLE batches UPDATE root = unhex('%064x') WHERE first = %d", 1, root)
	b.exec("INSERT INTO batches SELECT * FROM batches WHERE first = %d", again)

	r := b.verify(verify.Config{})
	finds(t, r,
		"events missing 10", "events extra 11", fmt.Sprintf("events extra %d", end+500),
		"events reordered 20", "events reordered 21",
		fmt.Sprintf("events changed %d alg", signed), "events changed 31 id", "events changed 31 ticket", "events changed 32 revoked_scope", "events changed 33 attributes",
		"events missing 34", "shard 9 events extra 34", fmt.Sprintf("events changed %d revoked_expires", revoking),
		fmt.Sprintf("payloads missing %d", missing), fmt.Sprintf("payloads changed %d sealed", changed),
		fmt.Sprintf("payloads changed %d received", moved), fmt.Sprintf("payloads changed %d subject_ref", whose), fmt.Sprintf("payloads extra %d", twice),
		fmt.Sprintf("batches missing %d", gone), fmt.Sprintf("batches changed %d root", root), fmt.Sprintf("batches extra %d", again),
	)
	if r.Total != 20 { // the two columns of 31 are one row
		t.Errorf("%d differences counted, want 20", r.Total)
	}
	for _, d := range r.Differences {
		if strings.Contains(d.String(), "someone@") {
			t.Errorf("an identifier is shown: %s", d)
		}
		if d.Place == verify.Events && d.Index == signed && d.String() != fmt.Sprintf(`index %d  changed  events column alg: log "ES256", clickhouse "none"`, signed) {
			t.Errorf("for people: %s", d)
		}
	}
	few := b.verify(verify.Config{Limit: 3})
	if len(few.Differences) != 3 || few.Total != r.Total {
		t.Errorf("limit 3: %d shown of %d", len(few.Differences), few.Total)
	}
	finds(t, b.verify(verify.Config{From: 31, To: 31}), "events changed 31 id", "events changed 31 ticket")
}

// TestMoreRowsThanRecords has more rows behind the end of the log, and of one
// index, than are held in memory: each is counted, and what else differs is named.
func TestMoreRowsThanRecords(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.history(60)
	const many = 130_000
	index := b.ask("SELECT min(`index`) FROM payloads")
	for _, at := range []string{"10000000 + number", "`index`"} {
		b.exec("INSERT INTO payloads SELECT * EXCEPT number REPLACE (toUInt64(%s) AS `index`) FROM (SELECT * FROM payloads WHERE `index` = %d) AS one CROSS JOIN numbers(%d) AS rows", at, index, many)
	}
	b.exec("INSERT INTO duplicates (shard, `index`, first, content) SELECT 0, 10000000 + number, 0, 'same' FROM numbers(%d)", many)
	b.exec("INSERT INTO duplicates (shard, `index`, first, content) SELECT 0, 9, 0, 'same' FROM numbers(%d)", many)
	b.exec("ALTER TABLE events DELETE WHERE `index` = 10")
	r := b.verify(verify.Config{})
	want := []verify.Count{{Place: verify.Events, Kind: verify.Missing, Count: 1}, {Place: verify.Payloads, Kind: verify.Extra, Count: 2 * many},
		{Place: verify.Duplicates, Kind: verify.Extra, Count: 2 * many}}
	if !slices.Equal(r.Counts, want) || len(r.Differences) != 100 {
		t.Errorf("%+v, %d shown", r.Counts, len(r.Differences))
	}
}

// swap gives two rows each other's index.
func swap(b *bench, i, j uint64) {
	b.exec("INSERT INTO events SELECT * REPLACE (toUInt64(if(`index` = %d, %d, %d) + 1000000) AS `index`) FROM (SELECT * FROM events WHERE `index` IN (%d, %d))", i, j, i, i, j)
	b.exec("ALTER TABLE events DELETE WHERE `index` IN (%d, %d)", i, j)
	b.exec("INSERT INTO events SELECT * REPLACE (toUInt64(`index` - 1000000) AS `index`) FROM (SELECT * FROM events WHERE `index` IN (%d, %d))", i+1000000, j+1000000)
	b.exec("ALTER TABLE events DELETE WHERE `index` IN (%d, %d)", i+1000000, j+1000000)
}

// replace puts another row in the place of one, with these changes.
func replace(b *bench, table string, index uint64, changes ...string) {
	b.exec("INSERT INTO %s SELECT * REPLACE (toUInt64(`index` + 1000000) AS `index`, %s) FROM (SELECT * FROM %s WHERE `index` = %d)", table, strings.Join(changes, ", "), table, index)
	b.exec("ALTER TABLE %s DELETE WHERE `index` = %d", table, index)
	b.exec("INSERT INTO %s SELECT * REPLACE (toUInt64(`index` - 1000000) AS `index`) FROM (SELECT * FROM %s WHERE `index` = %d)", table, table, index+1000000)
	b.exec("ALTER TABLE %s DELETE WHERE `index` = %d", table, index+1000000)
}

// identifying are the columns that may hold an identifier.
var identifying = []string{"id", "client", "aud", "scope", "actor", "attributes", "claims", "consent", "purposes", "ticket"}

// TestEachColumn changes every column of a row and wants each named: no column
// that a projector writes goes unread, and no identifier is shown.
func TestEachColumn(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.history(50)
	var columns []string
	query := "SELECT groupArray(name) FROM system.columns WHERE database = currentDatabase() AND table = 'events' AND NOT is_in_sorting_key AND NOT is_in_partition_key"
	if err := b.db.QueryRow(t.Context(), query).Scan(&columns); err != nil {
		t.Fatal(err)
	}
	index := b.ask("SELECT min(`index`) FROM events WHERE revokes AND outcome = ''")
	var keys, others, want []string
	for _, c := range []string{"tenant", "subject_ref", "time", "received"} { // keys cannot be updated
		keys = append(keys, other(c)+" AS "+c)
		want = append(want, fmt.Sprintf("events changed %d %s", index, c))
	}
	for _, c := range columns {
		if c == "shard" { // a row of another shard is missing here
			continue
		}
		others = append(others, c+" = "+other(c))
		want = append(want, fmt.Sprintf("events changed %d %s", index, c))
	}
	replace(b, "events", index, keys...)
	b.exec("ALTER TABLE events UPDATE %s WHERE `index` = %d", strings.Join(others, ", "), index)
	if len(columns) < 30 {
		t.Fatalf("only %d columns: %q", len(columns), columns)
	}
	r := b.verify(verify.Config{})
	finds(t, r, want...)
	for _, d := range r.Differences {
		for _, shown := range []string{d.Want, d.Got} {
			if slices.Contains(identifying, d.Column) && shown != "nothing" && !strings.HasPrefix(shown, "sha256:") {
				t.Errorf("an identifier is shown: %s", d)
			}
		}
	}
}

// other is an expression for another value of a column.
func other(column string) string {
	switch column {
	case "version", "view", "data_key", "revoked_feed_key", "lifts_index":
		return column + " + 1"
	case "time", "received", "iat", "exp", "nbf", "revoked_before", "revoked_expires", "revoked_starts", "revoked_until":
		return column + " + 1"
	case "revokes":
		return "NOT revokes"
	case "aud", "claims", "purposes":
		return "['x']"
	case "attributes":
		return "map('x', 'y')"
	case "subject_ref", "token_ref", "session_ref", "grant_ref", "revoked_hash", "lifts":
		return "unhex('ffffffffffffffffffffffffffffff01')"
	case "payload_hash":
		return "unhex('" + strings.Repeat("f1", 32) + "')"
	default:
		return "'other'"
	}
}

// TestLagIsNoDifference takes ClickHouse away while events come in: what is
// behind is counted as that.
func TestLagIsNoDifference(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.history(20)
	last := b.ask("SELECT max(first) FROM batches")
	b.exec("ALTER TABLE batches DELETE WHERE first = %d", last)
	began := time.Now()
	r := b.verify(verify.Config{Settle: 300 * time.Millisecond})
	finds(t, r, fmt.Sprintf("batches missing %d", last))
	if time.Since(began) < 300*time.Millisecond {
		t.Error("it did not wait for the row")
	}
	b.exec("ALTER TABLE events DELETE WHERE `index` >= %d", last)
	b.exec("ALTER TABLE payloads DELETE WHERE `index` >= %d", last)
	r = b.verify(verify.Config{})
	finds(t, r)
	if r.ClickHouse.NotProjected != r.Log.Records-last {
		t.Errorf("not projected: %d of %d from %d", r.ClickHouse.NotProjected, r.Log.Records, last)
	}
}
