package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pressly/goose/v3"
)

// byPerson is the version of the migration that puts payloads_by_person in the
// place of payloads. It is code because it has to wait and to find out how far
// an earlier attempt came.
const byPerson = 6

func migrateByPerson() *goose.Migration {
	return goose.NewGoMigration(byPerson, &goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
		if err := sortPayloads(ctx, db); err != nil {
			return fmt.Errorf("sort payloads by person: %w", err)
		}
		return nil
	}}, nil)
}

const (
	// whichPayloads is whether payloads is the new table, and whether the other
	// one of the two is there.
	whichPayloads = `SELECT countIf(table = 'payloads' AND name = 'subject_ref') > 0, countIf(table = 'payloads_by_person') > 0
FROM system.columns WHERE database = currentDatabase()`

	exchangePayloads = "EXCHANGE TABLES payloads AND payloads_by_person"
	dropPayloads     = "DROP TABLE IF EXISTS payloads_by_person SYNC"

	// insertsBefore is how many inserts of projectors are running that began
	// more than so many seconds ago.
	insertsBefore = `SELECT count() FROM system.processes
WHERE startsWith(query_id, concat('rescind-audit.', currentDatabase(), '.')) AND elapsed > ?`

	lastOfShards = "SELECT shard, max(`index`) FROM %s GROUP BY shard ORDER BY shard"

	// copyRange copies what is not there yet. The reference is the record's.
	copyRange = "INSERT INTO %[2]s (shard, `index`, tenant, subject_ref, received, sealed)\n" +
		"SELECT p.shard, p.`index`, p.tenant, e.subject_ref, p.received, p.sealed\n" +
		"FROM (SELECT shard, `index`, tenant, received, sealed FROM %[1]s WHERE %[3]s AND `index` NOT IN (SELECT `index` FROM %[2]s WHERE %[3]s)) AS p\n" +
		"LEFT ANY JOIN (SELECT `index`, subject_ref FROM events WHERE %[3]s) AS e ON p.`index` = e.`index`"
	inCopied = "shard = %d AND `index` BETWEEN %d AND %d"
)

// copiedAtOnce is how many indices one copy takes: about 200 MB of the server.
const copiedAtOnce = 1_000_000

// sortPayloads copies payloads into payloads_by_person and exchanges the two.
// Projectors may insert meanwhile: what got into the old table after it was
// copied, and before or while the two were exchanged, is copied after that, when
// no insert is running any more that began before. Stopped anywhere, it goes on
// when it is called again; a row that is there is not copied a second time.
func sortPayloads(ctx context.Context, db *sql.DB) error {
	began := time.Now()
	sorted, other, err := payloadsState(ctx, db)
	if err != nil {
		return err
	}
	if sorted && !other {
		return nil
	}
	if !sorted {
		if err := copyPayloads(ctx, db, "payloads", "payloads_by_person"); err != nil {
			return err
		}
		began = time.Now()
		if _, err := db.ExecContext(ctx, exchangePayloads); err != nil {
			return err
		}
	}
	if err := untilInserted(ctx, db, began); err != nil {
		return err
	}
	if err := copyPayloads(ctx, db, "payloads_by_person", "payloads"); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, dropPayloads)
	return err
}

func payloadsState(ctx context.Context, db *sql.DB) (sorted, other bool, err error) {
	err = db.QueryRowContext(ctx, whichPayloads).Scan(&sorted, &other)
	return sorted, other, err
}

// copyPayloads copies the rows of one table that the other lacks.
func copyPayloads(ctx context.Context, db *sql.DB, from, to string) error {
	last, err := lastIndices(ctx, db, from)
	if err != nil {
		return err
	}
	for shard, end := range last {
		for first := uint64(0); first <= end; first += copiedAtOnce {
			which := fmt.Sprintf(inCopied, shard, first, first+copiedAtOnce-1)
			if _, err := db.ExecContext(ctx, fmt.Sprintf(copyRange, from, to, which)); err != nil {
				return fmt.Errorf("copy shard=%d first=%d: %w", shard, first, err)
			}
		}
	}
	return nil
}

func lastIndices(ctx context.Context, db *sql.DB, table string) (last map[uint16]uint64, err error) {
	rows, err := db.QueryContext(ctx, fmt.Sprintf(lastOfShards, table))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	last = map[uint16]uint64{}
	for rows.Next() {
		var shard uint16
		var index uint64
		if err := rows.Scan(&shard, &index); err != nil {
			return nil, err
		}
		last[shard] = index
	}
	return last, rows.Err()
}

// untilInserted waits until no insert of a projector is running that began
// before at.
func untilInserted(ctx context.Context, db *sql.DB, at time.Time) error {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		var n uint64
		if err := db.QueryRowContext(ctx, insertsBefore, time.Since(at).Seconds()).Scan(&n); err != nil || n == 0 {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
