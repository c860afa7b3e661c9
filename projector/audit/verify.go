package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/internal/eventrow"
)

// errMissing says that a row which was inserted is not there.
var errMissing = errors.New("an inserted row is not there")

var (
	checkEvents = "SELECT " + eventrow.Columns + `
FROM events WHERE shard = {shard:UInt16} AND ` + "`index` BETWEEN {first:UInt64} AND {last:UInt64}\nORDER BY `index`"

	checkPayloads = "SELECT `index`, SHA256(sealed)\nFROM payloads WHERE shard = {shard:UInt16} AND " +
		"`index` BETWEEN {first:UInt64} AND {last:UInt64}\nORDER BY `index`"
)

// verify compares the rows that the server has in the range of c with the log,
// record by record.
func verify(ctx context.Context, f *fence, c *chunk) error {
	if err := verifyEvents(ctx, f, c); err != nil {
		return fmt.Errorf("verify events first=%d last=%d: %w", c.first(), c.last(), err)
	}
	if err := verifyPayloads(ctx, f, c); err != nil {
		return fmt.Errorf("verify payloads first=%d last=%d: %w", c.first(), c.last(), err)
	}
	return nil
}

func bounds(c *chunk) []any {
	return []any{clickhouse.Named("first", c.first()), clickhouse.Named("last", c.last())}
}

func verifyEvents(ctx context.Context, f *fence, c *chunk) error {
	n := 0
	err := f.query(ctx, checkEvents, func(scan func(...any) error) error {
		got, err := eventrow.Scan(scan)
		if err != nil {
			return err
		}
		switch {
		case n == len(c.rows) || got.Index < c.rows[n].Index:
			return fmt.Errorf("index %d is there twice: %w", got.Index, ErrTables)
		case got.Index > c.rows[n].Index:
			return fmt.Errorf("index %d: %w", c.rows[n].Index, errMissing)
		}
		encoded, err := got.Record.Marshal()
		if err != nil || !bytes.Equal(encoded, c.items[n].Record) {
			return fmt.Errorf("index %d is not what the log has: %w", got.Index, ErrTables)
		}
		n++
		return nil
	}, bounds(c)...)
	if err == nil && n < len(c.rows) {
		return fmt.Errorf("index %d: %w", c.rows[n].Index, errMissing)
	}
	return err
}

func verifyPayloads(ctx context.Context, f *fence, c *chunk) error {
	want := c.absentSealed(nil)
	err := f.query(ctx, checkPayloads, func(scan func(...any) error) error {
		var index uint64
		var sum [sha256.Size]byte
		if err := scan(&index, &sum); err != nil {
			return err
		}
		switch {
		case len(want) == 0 || index < c.rows[want[0]].Index:
			return fmt.Errorf("index %d has a sealed part too many: %w", index, ErrTables)
		case index > c.rows[want[0]].Index:
			return fmt.Errorf("index %d: %w", c.rows[want[0]].Index, errMissing)
		case sum != c.rows[want[0]].Record.PayloadHash:
			return fmt.Errorf("index %d has another sealed part than the log: %w", index, ErrTables)
		}
		want = want[1:]
		return nil
	}, bounds(c)...)
	if err == nil && len(want) > 0 {
		return fmt.Errorf("index %d: %w", c.rows[want[0]].Index, errMissing)
	}
	return err
}
