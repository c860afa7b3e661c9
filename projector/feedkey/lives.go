package feedkey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation"
)

// lives is until when what was made with each feed key lives, as the logs say. What
// they say never ends earlier, so it is only ever read on.
type lives struct {
	logs  []*livesOf
	until map[revocation.KeyID]events.Timestamp // of those that rotate
}

// livesOf is what one log says.
type livesOf struct {
	log      *stream.Log
	last     stream.LogMessage   // that was read, without its data
	standing map[uint64]standing // by index, while they are neither lifted nor known to have expired
}

// standing is a revocation under a feed key that does not rotate.
type standing struct {
	key   revocation.KeyID
	until events.Timestamp
}

func newLives(logs []*stream.Log) *lives {
	l := &lives{until: make(map[revocation.KeyID]events.Timestamp)}
	for _, log := range logs {
		l.logs = append(l.logs, &livesOf{log: log, standing: make(map[uint64]standing)})
	}
	return l
}

// catchUp reads the control lanes up to their ends.
func (l *lives) catchUp(ctx context.Context) error {
	for _, of := range l.logs {
		if err := l.catchUpWith(ctx, of); err != nil {
			return fmt.Errorf("read what feed keys made: %w", err)
		}
	}
	return nil
}

func (l *lives) catchUpWith(ctx context.Context, of *livesOf) error {
	goesOn, err := of.goesOn(ctx)
	if err != nil {
		return err
	}
	if !goesOn {
		*of = livesOf{log: of.log, standing: make(map[uint64]standing)}
	}
	last, err := of.log.LastOf(ctx, events.Control)
	if err == nil && last.Seq > of.last.Seq {
		err = l.readTo(ctx, of, last.Seq)
	}
	return err
}

// goesOn reports whether the log still has what was read last. One that was restored
// from an older copy has nothing there, or another message.
func (of *livesOf) goesOn(ctx context.Context) (bool, error) {
	if of.last.Seq == 0 {
		return true, nil
	}
	m, err := of.log.Get(ctx, of.last.Seq)
	if errors.Is(err, stream.ErrNotFound) {
		return false, nil
	}
	return m.Time.Equal(of.last.Time), err
}

// readBytes bounds one read from the log.
const readBytes = 8 << 20

func (l *lives) readTo(ctx context.Context, of *livesOf, last uint64) error {
	r, err := of.log.Read(ctx, of.last.Seq+1, events.Control)
	if err != nil {
		return err
	}
	defer r.Close()
	for of.last.Seq < last {
		messages, err := r.Next(ctx, readBytes)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := l.take(of, m.Data); err != nil {
				return fmt.Errorf("batch stream=%s seq=%d: %w", of.log.Stream(), m.Seq, err)
			}
			of.last = stream.LogMessage{Seq: m.Seq, Time: m.Time}
		}
	}
	return nil
}

// take notes the entries of a batch.
func (l *lives) take(of *livesOf, data []byte) error {
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
		if e, is, err := revocation.EntryOf(r, index); err == nil && is { // what cannot be enforced is no entry anywhere
			l.note(of, &e)
		}
	}
	return nil
}

// note notes an entry. A lift needs no key, and nor does what it lifts: of a key that
// rotates that is left out, as which entries it made is not kept in mind.
func (l *lives) note(of *livesOf, e *revocation.Entry) {
	until := e.Expires
	if until == 0 {
		until = events.MaxTimestamp
	}
	switch {
	case e.Lift:
		delete(of.standing, e.Index)
	case events.Standing(e.Key.Generation):
		of.standing[e.Index] = standing{e.Key, until}
	default:
		l.until[e.Key] = max(l.until[e.Key], until)
	}
}

// lost is how many keys are not among all that something lives of. What is under one that
// does not rotate is dropped when it has expired.
func (l *lives) lost(all []events.FeedKey, now time.Time) int {
	lost, at := make(map[revocation.KeyID]bool), events.TimestampOf(now)
	for id, until := range l.until {
		if until > at {
			lost[id] = true
		}
	}
	for _, of := range l.logs {
		for index, s := range of.standing {
			if s.until <= at {
				delete(of.standing, index)
				continue
			}
			lost[s.key] = true
		}
	}
	for _, k := range all {
		delete(lost, revocation.KeyID{Tenant: k.Tenant, Generation: k.Generation})
	}
	return len(lost)
}
