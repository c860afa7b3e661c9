package audit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/eventrow"
)

// ErrLog says that the log is not what was expected: it cannot be decoded, has
// a hole, is another shard's, or went back.
var ErrLog = errors.New("the log is not to be followed")

// Position is how far the log has been recorded.
type Position struct {
	Next  uint64 // index of the first record that is not
	Seq   uint64 // sequence of the last message that is; 0 for none
	Epoch uint64 // of the writer of that message
}

// chunk is what one round inserts: some whole batches of the log.
type chunk struct {
	first   uint64 // index of rows[0]
	rows    []row
	batches []batch
}

// row is a record as it is in the log, decoded and not.
type row struct {
	eventrow.Row
	encoded []byte
	sealed  []byte
}

type batch struct {
	seq    uint64
	header events.Header
}

func (c *chunk) last() uint64 { return c.first + uint64(len(c.rows)) - 1 }

// end is the position once the chunk is recorded.
func (c *chunk) end() Position {
	b := &c.batches[len(c.batches)-1]
	return Position{Next: b.header.Last() + 1, Seq: b.seq, Epoch: b.header.Epoch}
}

// written is when the oldest batch of the chunk was written to the log.
func (c *chunk) written() time.Time { return time.UnixMicro(c.batches[0].header.Written) }

// take decodes messages from the front of msgs, which continue at the position
// from, until there are maxRows records, and returns the rest. A message that
// is not to be followed ends the chunk, and is an error where it comes first:
// what stands before it is written.
func take(msgs []stream.LogMessage, shard uint16, from Position, maxRows int) (*chunk, []stream.LogMessage, error) {
	c := &chunk{first: from.Next}
	for len(msgs) > 0 && len(c.rows) < maxRows {
		err := c.add(msgs[0], shard, from)
		if err != nil && len(c.rows) > 0 {
			break
		}
		if err != nil {
			return nil, nil, fmt.Errorf("log seq=%d first=%d: %w: %w", msgs[0].Seq, from.Next, err, ErrLog)
		}
		from, msgs = c.end(), msgs[1:]
	}
	return c, msgs, nil
}

// add takes in the message that follows the position at, whole or not at all.
func (c *chunk) add(msg stream.LogMessage, shard uint16, at Position) error {
	b, err := events.UnmarshalBatch(msg.Data)
	if err != nil {
		return err
	}
	h := b.Header
	switch {
	case h.Shard != shard:
		return fmt.Errorf("batch of shard %d, want %d", h.Shard, shard)
	case h.First != at.Next:
		return fmt.Errorf("batch begins at index %d, want %d", h.First, at.Next)
	case h.Epoch < at.Epoch:
		return fmt.Errorf("batch of epoch %d after one of epoch %d", h.Epoch, at.Epoch)
	case msg.Seq != at.Seq+1:
		return fmt.Errorf("follows sequence %d", at.Seq)
	}
	rows, err := decode(b)
	if err != nil {
		return err
	}
	h.Covered, h.Edge = nil, nil // not ours, and not small
	c.rows = append(c.rows, rows...)
	c.batches = append(c.batches, batch{seq: msg.Seq, header: h})
	return nil
}

func decode(b *events.Batch) ([]row, error) {
	rows := make([]row, len(b.Items))
	for i := range b.Items {
		var err error
		index := b.Header.First + uint64(i)
		if rows[i], err = decodeItem(&b.Items[i]); err != nil {
			return nil, fmt.Errorf("record index=%d: %w", index, err)
		}
		rows[i].Shard, rows[i].Index = b.Header.Shard, index
	}
	return rows, nil
}

func decodeItem(item *events.Item) (row, error) {
	record, err := events.UnmarshalRecord(item.Record)
	if err != nil {
		return row{}, err
	}
	r := row{Row: eventrow.Row{Record: *record}, encoded: item.Record, sealed: item.Sealed}
	if len(item.Sealed) > 0 && record.PayloadHash != sha256.Sum256(item.Sealed) {
		return row{}, errors.New("the sealed part is not the one that the record names")
	}
	return r, nil
}

// absent returns the rows of c that are not in the ranges.
func (c *chunk) absent(there []events.Range) []eventrow.Row {
	out := make([]eventrow.Row, 0, len(c.rows))
	for i := range c.rows {
		if !events.InRanges(there, c.rows[i].Index) {
			out = append(out, c.rows[i].Row)
		}
	}
	return out
}

// absentSealed returns the rows of c that have a sealed part which is not in
// the ranges.
func (c *chunk) absentSealed(there []events.Range) []*row {
	var out []*row
	for i := range c.rows {
		if r := &c.rows[i]; len(r.sealed) > 0 && !events.InRanges(there, r.Index) {
			out = append(out, r)
		}
	}
	return out
}
