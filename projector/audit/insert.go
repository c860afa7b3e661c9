package audit

import (
	"context"
	"errors"
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

	insertPayloads = "INSERT INTO payloads (shard, `index`, tenant, subject_ref, received, sealed)\n" +
		"SELECT {shard:UInt16}, `index`, tenant, subject_ref, fromUnixTimestamp64Micro(received, 'UTC'), sealed\nFROM incoming" + fenced

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
// records it. Records and sealed parts go in at once: nobody looks at either
// before they are recorded.
func store(ctx context.Context, f *fence, c *chunk, there *state, certain bool) error {
	err := both(ctx,
		func(ctx context.Context) error {
			t, err := payloadBlock(c, c.absentSealed(there.payloads))
			return named("payloads", c, insert(ctx, f, insertPayloads, t, err))
		},
		func(ctx context.Context) error {
			t, err := eventrow.Block(c.absent(there.events))
			return named("events", c, insert(ctx, f, insertEvents, t, err))
		})
	if err != nil {
		return err
	}
	if !certain {
		if err := verify(ctx, f, c); err != nil {
			return err
		}
	}
	t, err := batchBlock(c.batches)
	return named("batches", c, insert(ctx, f, insertBatches, t, err))
}

// both runs two inserts at once and returns when neither is under way any
// more. When one fails, the other has Config.Grace left.
func both(ctx context.Context, a, b func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	second := make(chan error, 1)
	go func() {
		err := b(ctx)
		if err != nil {
			cancel()
		}
		second <- err
	}()
	err := a(ctx)
	if err != nil {
		cancel()
	}
	return errors.Join(err, <-second)
}

func named(table string, c *chunk, err error) error {
	if err != nil {
		return fmt.Errorf("insert %s first=%d last=%d: %w", table, c.first(), c.last(), err)
	}
	return nil
}

func payloadBlock(c *chunk, which []int) (*ext.Table, error) {
	n := len(which)
	index, received := make([]uint64, n), make([]int64, n)
	tenant, person, sealed := make([]string, n), make([][]byte, n), make([][]byte, n)
	for i, at := range which {
		r := &c.rows[at]
		index[i], received[i], tenant[i] = r.Index, r.Record.Received, r.Record.Tenant
		person[i], sealed[i] = r.Record.SubjectRef[:], c.items[at].Sealed
	}
	return block(
		wire{"index", "UInt64", index}, wire{"received", "Int64", received},
		wire{"tenant", "String", tenant}, wire{"subject_ref", "FixedString(16)", person}, wire{"sealed", "String", sealed},
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
