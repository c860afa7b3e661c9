package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events"
)

// ErrTables says that the tables hold what no projector writes: a record
// twice, one that differs from the log, or batches that do not join. Somebody
// else has written there, and only a person can say what is right.
var ErrTables = errors.New("the tables disagree with the log")

const (
	readPosition = `SELECT count(), uniqExact(first), sum(count), max(first + count), max(seq), argMax(epoch, first)
FROM batches WHERE shard = {shard:UInt16}`

	readEvents = "SELECT `index` FROM events WHERE shard = {shard:UInt16} AND `index` >= {from:UInt64} ORDER BY `index`"

	readPayloads = "SELECT `index` FROM payloads WHERE shard = {shard:UInt16} AND `index` >= {from:UInt64} ORDER BY `index`"
)

// state is what the tables hold.
type state struct {
	Position
	events   []events.Range // indices at and above Next
	payloads []events.Range
}

// certain reports whether nothing is there but what was recorded.
func (s *state) certain() bool { return len(s.events) == 0 && len(s.payloads) == 0 }

// advance records the chunk that ends at the position and forgets the ranges
// below it.
func (s *state) advance(to Position) {
	s.Position = to
	s.events, s.payloads = above(s.events, to.Next), above(s.payloads, to.Next)
}

func above(ranges []events.Range, from uint64) []events.Range {
	for len(ranges) > 0 && ranges[0].Last < from {
		ranges = ranges[1:]
	}
	return ranges
}

// readState reads what is there, once the fence is held.
func readState(ctx context.Context, f *fence) (*state, error) {
	s := new(state)
	var err error
	if s.Position, err = position(ctx, f); err != nil {
		return nil, err
	}
	if s.events, err = indices(ctx, f, readEvents, s.Next); err != nil {
		return nil, fmt.Errorf("read back events first=%d: %w", s.Next, err)
	}
	if s.payloads, err = indices(ctx, f, readPayloads, s.Next); err != nil {
		return nil, fmt.Errorf("read back payloads first=%d: %w", s.Next, err)
	}
	return s, nil
}

func position(ctx context.Context, f *fence) (p Position, err error) {
	var rows, distinct, records uint64
	err = f.query(ctx, readPosition, func(scan func(...any) error) error {
		return scan(&rows, &distinct, &records, &p.Next, &p.Seq, &p.Epoch)
	})
	switch {
	case err != nil:
		return p, fmt.Errorf("read position: %w", err)
	case rows != distinct || records != p.Next:
		return p, fmt.Errorf("batches: %d rows of %d records end at index %d: %w", rows, records, p.Next, ErrTables)
	}
	return p, nil
}

// indices reads a sorted column of indices as ranges.
func indices(ctx context.Context, f *fence, sql string, from uint64) (there []events.Range, err error) {
	err = f.query(ctx, sql, func(scan func(...any) error) error {
		var index uint64
		if err := scan(&index); err != nil {
			return err
		}
		n := len(there)
		switch {
		case n == 0 || there[n-1].Last+1 < index:
			there = append(there, events.Range{First: index, Last: index})
		case there[n-1].Last+1 == index:
			there[n-1].Last = index
		default:
			return fmt.Errorf("index %d is there twice: %w", index, ErrTables)
		}
		return nil
	}, clickhouse.Named("from", from))
	return there, err
}
