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

// chunk is what one round inserts: some whole batches of the log, decoded. It
// refers to the bytes of their messages.
type chunk struct {
	rows    []eventrow.Row
	items   []events.Item // of the same records, as they are in the log
	batches []batch
	bytes   int // of messages
}

type batch struct {
	seq    uint64
	header events.Header
}

func (c *chunk) first() uint64 { return c.rows[0].Index }
func (c *chunk) last() uint64  { return c.rows[len(c.rows)-1].Index }

// end is the position once the chunk is recorded.
func (c *chunk) end() Position {
	b := &c.batches[len(c.batches)-1]
	return Position{Next: b.header.Last() + 1, Seq: b.seq, Epoch: b.header.Epoch}
}

// written is when the oldest batch of the chunk was written to the log.
func (c *chunk) written() time.Time { return time.UnixMicro(c.batches[0].header.Written) }

// reset empties c and lets go of the messages that it referred to.
func (c *chunk) reset() {
	clear(c.rows)
	clear(c.items)
	clear(c.batches)
	c.rows, c.items, c.batches, c.bytes = c.rows[:0], c.items[:0], c.batches[:0], 0
}

// add takes in the message that follows the position at, whole or not at all,
// and returns the position behind it.
func (c *chunk) add(msg *stream.LogMessage, shard uint16, at Position) (Position, error) {
	n := len(c.rows)
	if err := c.decode(msg, shard, at); err != nil {
		c.rows, c.items = c.rows[:n], c.items[:n]
		return at, fmt.Errorf("log seq=%d first=%d: %w: %w", msg.Seq, at.Next, err, ErrLog)
	}
	c.bytes += len(msg.Data)
	return c.end(), nil
}

func (c *chunk) decode(msg *stream.LogMessage, shard uint16, at Position) error {
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
	for i := range b.Items {
		if err := c.decodeItem(&b.Items[i], shard, h.First+uint64(i)); err != nil {
			return fmt.Errorf("record index=%d: %w", h.First+uint64(i), err)
		}
	}
	h.Covered, h.Edge = nil, nil // not ours, and not small
	c.batches = append(c.batches, batch{seq: msg.Seq, header: h})
	return nil
}

func (c *chunk) decodeItem(item *events.Item, shard uint16, index uint64) error {
	record, err := events.UnmarshalRecord(item.Record)
	if err != nil {
		return err
	}
	if len(item.Sealed) > 0 && record.PayloadHash != sha256.Sum256(item.Sealed) {
		return errors.New("the sealed part is not the one that the record names")
	}
	c.rows = append(c.rows, eventrow.Row{Shard: shard, Index: index, Record: *record})
	c.items = append(c.items, *item)
	return nil
}

// absent returns the rows of c that are not in the ranges.
func (c *chunk) absent(there []events.Range) []eventrow.Row {
	if len(there) == 0 {
		return c.rows
	}
	out := make([]eventrow.Row, 0, len(c.rows))
	for i := range c.rows {
		if !events.InRanges(there, c.rows[i].Index) {
			out = append(out, c.rows[i])
		}
	}
	return out
}

// absentSealed returns which rows of c have a sealed part that is not in the
// ranges.
func (c *chunk) absentSealed(there []events.Range) []int {
	out := make([]int, 0, len(c.rows))
	for i := range c.rows {
		if len(c.items[i].Sealed) > 0 && !events.InRanges(there, c.rows[i].Index) {
			out = append(out, i)
		}
	}
	return out
}
