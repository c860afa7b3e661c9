package forgotten

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
)

// backup is a copy of the sealed parts, as ClickHouse makes them: the parts of the
// table, frozen, below a folder of the server.
type backup struct {
	db     driver.Conn
	frozen string
}

// backedUp has ClickHouse make a backup of the sealed parts.
func (f *facts) backedUp(t *testing.T, s *dev.Stack) *backup {
	t.Helper()
	b := &backup{db: devtest.Database(t, s), frozen: filepath.Join(f.dir, "clickhouse", "data", "shadow", "before")}
	b.exec(t, "ALTER TABLE payloads FREEZE WITH NAME 'before'")
	return b
}

// restored deletes the sealed parts that a person had below an index from the
// table, restores the backup as another one, and puts them from there where they
// were.
func (b *backup) restored(t *testing.T, ref string, below uint64) {
	t.Helper()
	const theirs = " WHERE lower(hex(subject_ref)) = {ref:String} AND index < {below:UInt64}"
	of := []any{clickhouse.Named("ref", ref), clickhouse.Named("below", fmt.Sprint(below))}
	b.exec(t, "DELETE FROM payloads"+theirs, of...)
	var left uint64
	if err := b.db.QueryRow(t.Context(), "SELECT count() FROM payloads"+theirs, of...).Scan(&left); err != nil || left != 0 {
		t.Fatal(left, err)
	}
	b.exec(t, "CREATE TABLE payloads_restored AS payloads")
	b.attach(t)
	b.exec(t, "INSERT INTO payloads SELECT * FROM payloads_restored"+theirs, of...)
}

// attach attaches every part of the backup to the other table.
func (b *backup) attach(t *testing.T) {
	t.Helper()
	var to string
	if err := b.db.QueryRow(t.Context(), "SELECT data_paths[1] FROM system.tables WHERE database = currentDatabase() AND name = 'payloads_restored'").Scan(&to); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(b.frozen, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "checksums.txt" { // which stands in the folder of a part
			return err
		}
		part := filepath.Dir(path)
		if err := os.CopyFS(filepath.Join(to, "detached", filepath.Base(part)), os.DirFS(part)); err != nil {
			return err
		}
		b.exec(t, "ALTER TABLE payloads_restored ATTACH PART '"+filepath.Base(part)+"'")
		return fs.SkipDir
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (b *backup) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if err := b.db.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}
