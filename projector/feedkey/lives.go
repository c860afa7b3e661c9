package feedkey

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation"
)

// lives is until when what was made with each feed key lives, as the logs say. What
// they say never ends earlier, so it is only ever read on.
type lives struct {
	logs  []*stream.Log
	read  []uint64 // sequence of the last message that was read, by shard
	until map[revocation.KeyID]events.Timestamp
}

// endless is until when one lives that has no end.
const endless = events.Timestamp(math.MaxInt64)

func newLives(logs []*stream.Log) *lives {
	return &lives{logs: logs, read: make([]uint64, len(logs)), until: make(map[revocation.KeyID]events.Timestamp)}
}

// catchUp reads the control lanes up to their ends.
func (l *lives) catchUp(ctx context.Context) error {
	for i, log := range l.logs {
		last, err := log.LastOf(ctx, events.Control)
		if err == nil && last.Seq > l.read[i] {
			err = l.readTo(ctx, i, last.Seq)
		}
		if err != nil {
			return fmt.Errorf("read what feed keys made: %w", err)
		}
	}
	return nil
}

// readBytes bounds one read from the log.
const readBytes = 8 << 20

func (l *lives) readTo(ctx context.Context, shard int, last uint64) error {
	r, err := l.logs[shard].Read(ctx, l.read[shard]+1, events.Control)
	if err != nil {
		return err
	}
	defer r.Close()
	for l.read[shard] < last {
		messages, err := r.Next(ctx, readBytes)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := l.take(m.Data); err != nil {
				return fmt.Errorf("batch stream=%s seq=%d: %w", l.logs[shard].Stream(), m.Seq, err)
			}
			l.read[shard] = m.Seq
		}
	}
	return nil
}

// take notes the entries of a batch. A lift counts like what it lifts: verifiers keep
// both for as long as the later one says.
func (l *lives) take(data []byte) error {
	b, err := events.UnmarshalBatch(data)
	if err != nil {
		return err
	}
	for i := range b.Items {
		index := b.Header.First + uint64(i)
		r, err := events.UnmarshalRecord(b.Items[i].Record)
		if err != nil {
			return fmt.Errorf("record %d: %w", index, err)
		}
		e, is, err := revocation.EntryOf(r, index)
		if err != nil || !is {
			continue // what cannot be enforced is no entry anywhere
		}
		ends := e.Expires
		if ends == 0 {
			ends = endless
		}
		l.until[e.Key] = max(l.until[e.Key], ends)
	}
	return nil
}

// without is how many generations something lives of that are not among all.
func (l *lives) without(all []seal.FeedGeneration, now time.Time) (lost int) {
	there := make(map[revocation.KeyID]bool, len(all))
	for _, g := range all {
		there[idOf(g)] = true
	}
	for id, until := range l.until {
		if !events.Standing(id.Generation) && !there[id] && until > events.TimestampOf(now) {
			lost++
		}
	}
	return lost
}
