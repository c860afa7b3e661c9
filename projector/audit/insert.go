package audit

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"github.com/rescindhq/rescind/internal/eventrow"
)

// The inserts. Rows travel as an external table and not as VALUES, because
// only a SELECT can carry the fence.
var (
	insertEvents = eventrow.Insert + fenced

	insertPayloads = "INSERT INTO payloads (shard, `index`, tenant, received, sealed)\n" +
		"SELECT {shard:UInt16}, `index`, tenant, fromUnixTimestamp64Micro(received, 'UTC'), sealed\nFROM incoming" + fenced

	insertBatches = `INSERT INTO batches (shard, first, count, lane, epoch, seq, written, size, root, holder)
SELECT {shard:UInt16}, first, count, lane, epoch, seq, fromUnixTimestamp64Micro(written, 'UTC'), size, root, {holder:String}
FROM incoming` + fenced
)

// insert adds rows of a table through the statement, if there are any.
func insert(ctx context.Context, f *fence, sql string, t *ext.Table, err error) error {
	if err != nil || t.Block().Rows() == 0 {
		return err
	}
	return f.exec(clickhouse.Context(ctx, clickhouse.WithExternalTable(t)), sql)
}

// store brings c into the tables, given what is there of it already, and
// records it.
func store(ctx context.Context, f *fence, c *chunk, there *state, certain bool) error {
	payloads, err := payloadBlock(c.absentSealed(there.payloads))
	if err := insert(ctx, f, insertPayloads, payloads, err); err != nil {
		return fmt.Errorf("insert payloads first=%d last=%d: %w", c.first, c.last(), err)
	}
	// After payloads: whoever finds an event finds its sealed part, too.
	events, err := eventrow.Block(c.absent(there.events))
	if err := insert(ctx, f, insertEvents, events, err); err != nil {
		return fmt.Errorf("insert events first=%d last=%d: %w", c.first, c.last(), err)
	}
	if !certain {
		if err := verify(ctx, f, c); err != nil {
			return err
		}
	}
	batches, err := batchBlock(c.batches)
	if err := insert(ctx, f, insertBatches, batches, err); err != nil {
		return fmt.Errorf("insert batches first=%d last=%d: %w", c.first, c.last(), err)
	}
	return nil
}

func payloadBlock(rows []*row) (*ext.Table, error) {
	n := len(rows)
	index, received := make([]uint64, n), make([]int64, n)
	tenant, sealed := make([]string, n), make([][]byte, n)
	for i, r := range rows {
		index[i], received[i], tenant[i], sealed[i] = r.Index, r.Record.Received, r.Record.Tenant, r.sealed
	}
	return block(
		wire{"index", "UInt64", index}, wire{"received", "Int64", received},
		wire{"tenant", "String", tenant}, wire{"sealed", "String", sealed},
	)
}

func batchBlock(batches []batch) (*ext.Table, error) {
	n := len(batches)
	first, seq, epoch, size := make([]uint64, n), make([]uint64, n), make([]uint64, n), make([]uint64, n)
	count, written, lane, root := make([]uint32, n), make([]int64, n), make([]string, n), make([][]byte, n)
	for i := range batches {
		h := &batches[i].header
		first[i], seq[i], epoch[i], size[i] = h.First, batches[i].seq, h.Epoch, h.Size
		count[i], written[i], lane[i], root[i] = h.Count, h.Written, string(h.Lane), h.Root[:]
	}
	return block(
		wire{"first", "UInt64", first}, wire{"count", "UInt32", count}, wire{"lane", "String", lane},
		wire{"epoch", "UInt64", epoch}, wire{"seq", "UInt64", seq}, wire{"written", "Int64", written},
		wire{"size", "UInt64", size}, wire{"root", "FixedString(32)", root},
	)
}

// wire is one column on its way to the server.
type wire struct {
	name   string
	typ    column.Type
	values any // a slice
}

func block(columns ...wire) (*ext.Table, error) {
	t, err := ext.NewTable(eventrow.Incoming)
	if err != nil {
		return nil, err
	}
	for i, c := range columns {
		if err := ext.Column(c.name, c.typ)(t); err != nil {
			return nil, fmt.Errorf("column %s: %w", c.name, err)
		}
		if _, err := t.Block().Columns[i].Append(c.values); err != nil {
			return nil, fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	return t, nil
}
