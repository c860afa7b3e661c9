package forgotten

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
)

// backup is a copy of the tables, as ClickHouse makes them, on one connection: it
// is in the server's memory.
type backup struct {
	conn driver.Conn
}

// backedUp has ClickHouse make a backup of everything.
func backedUp(t *testing.T, s *dev.Stack) *backup {
	t.Helper()
	o := devtest.Options(s)
	o.MaxOpenConns = 1
	conn, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	b := &backup{conn: conn}
	t.Cleanup(b.close)
	b.exec(t, "BACKUP DATABASE rescind TO Memory('before')")
	return b
}

// restored deletes the sealed parts that a person had below an index from the
// table, puts back the backup, and puts the parts from there where they were.
func (b *backup) restored(t *testing.T, ref string, below uint64) {
	t.Helper()
	of := []any{clickhouse.Named("ref", ref), clickhouse.Named("below", fmt.Sprint(below))}
	const theirs = " payloads WHERE lower(hex(subject_ref)) = {ref:String} AND index < {below:UInt64}"
	b.exec(t, "DELETE FROM"+theirs, of...)
	var left uint64
	if err := b.conn.QueryRow(t.Context(), "SELECT count() FROM"+theirs, of...).Scan(&left); err != nil || left != 0 {
		t.Fatal(left, err)
	}
	b.exec(t, "RESTORE DATABASE rescind AS rescind_restored FROM Memory('before')")
	b.exec(t, "INSERT INTO payloads SELECT * FROM rescind_restored."+strings.TrimSpace(theirs), of...)
}

func (b *backup) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if err := b.conn.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func (b *backup) close() { _ = b.conn.Close() }
