package revoke

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation"
)

// recover finds out where the feed stands. The last delta says what verifiers
// were told; where none can be found, they are told the whole log by a
// snapshot. Starting fresh, restarting and resuming after an uncertain publish
// all come through here.
func (r *Revoker) recover(ctx context.Context, js jetstream.JetStream, log *stream.Log) (*writer, error) {
	end, err := r.deltas.Last(ctx)
	if err != nil {
		return nil, err
	}
	control, err := lastControl(ctx, js)
	if err != nil {
		return nil, err
	}
	w := &writer{r: r, set: revocation.NewSet(), last: end.Seq}
	w.head = revocation.Head{Epoch: uint64(log.Created().UnixNano()), Feed: end.Feed, Seq: end.Seq, LogSeq: control}
	if err := w.findTold(ctx, end.Data); err != nil {
		return nil, err
	}
	if w.head.LogSeq > control {
		return nil, fmt.Errorf("%w: log stream=%s last=%d was rolled back: verifiers were told up to seq=%d", errFatal, stream.LogStream, control, w.head.LogSeq)
	}
	covered, err := r.fromSnapshot(ctx, w)
	if err != nil {
		return nil, err
	}
	if w.reader, err = log.Read(ctx, covered+1, events.Control); err != nil {
		return nil, err
	}
	if err := w.fold(ctx, covered); err != nil {
		w.reader.Close()
		return nil, err
	}
	return w, nil
}

// lookBack is how many messages that are not ours are passed over in search of
// the last delta.
const lookBack = 64

// findTold takes what the last delta says into the head. Where there is none,
// the head stays as it is: a snapshot will stand in for it.
func (w *writer) findTold(ctx context.Context, data []byte) (err error) {
	for seq := w.last; data != nil && w.last-seq < lookBack; seq-- {
		if w.told(seq, data) || seq == 1 {
			return nil
		}
		if data, err = w.r.deltas.Get(ctx, seq-1); err != nil {
			return err
		}
	}
	return nil
}

// told takes the delta in data into the head, if it is one of this log and
// feed.
func (w *writer) told(seq uint64, data []byte) bool {
	d, err := revocation.OpenDelta(w.r.public(), data)
	switch {
	case err != nil:
		w.r.cfg.Log.Warn("a message of the revocation feed is not ours", "stream", stream.RevocationsStream, "seq", seq, "err", err)
		return false
	case !d.SameHistory(&w.head) || d.Seq != seq:
		w.r.cfg.Log.Warn("a delta is of another history", "stream", stream.RevocationsStream, "seq", seq)
		return false
	}
	w.head, w.sum = d.Head, revocation.Sum(data)
	return true
}

// snapshotWait bounds fetching a snapshot: reading the log is slower, but it
// always works.
const snapshotWait = 15 * time.Second

// fromSnapshot fills the set from the newest snapshot, where there is one of
// this log that is not ahead of head, and returns the sequence of the log that
// it reaches.
func (r *Revoker) fromSnapshot(ctx context.Context, w *writer) (covered uint64, err error) {
	fetch, cancel := context.WithTimeout(ctx, snapshotWait)
	defer cancel()
	data, err := r.objects.Get(fetch)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		if !none(err) {
			r.cfg.Log.Warn("snapshot cannot be fetched, reading the log instead", "err", err)
		}
		return 0, nil
	}
	s, err := revocation.OpenSnapshot(r.public(), data)
	switch {
	case err != nil:
		r.cfg.Log.Warn("snapshot cannot be used, reading the log instead", "err", err)
		return 0, nil
	case s.Epoch != w.head.Epoch || s.LogSeq > w.head.LogSeq:
		r.cfg.Log.Warn("snapshot is of another history, reading the log instead", "stream", stream.LogStream, "seq", s.LogSeq, "last", w.head.LogSeq)
		return 0, nil
	}
	now := r.cfg.Now()
	for e := range s.Entries() {
		if !e.Expired(now) {
			w.set.Apply(e)
		}
	}
	w.head.Position = max(w.head.Position, s.Position)
	return s.LogSeq, nil
}

// fold reads the log up to the head into the set, without publishing: it is
// what verifiers were told, or are told by the snapshot that follows.
func (w *writer) fold(ctx context.Context, covered uint64) error {
	for covered < w.head.LogSeq {
		batches, err := w.next(ctx)
		if err != nil {
			return err
		}
		for i, b := range batches {
			if b.seq > w.head.LogSeq {
				w.pending = batches[i:]
				return nil
			}
			covered = b.seq
			w.head.Position = max(w.head.Position, b.position)
			w.set.Apply(b.entries...)
		}
	}
	return nil
}

// batch is what one batch of the log has for verifiers.
type batch struct {
	seq      uint64 // in the log's stream
	position uint64 // index of its last record
	entries  []revocation.Entry
}

// readBytes bounds one read from the log.
const readBytes = 8 << 20

// next waits for batches of the log.
func (w *writer) next(ctx context.Context) ([]batch, error) {
	messages, err := w.reader.Next(ctx, readBytes)
	if err != nil {
		return nil, err
	}
	out := make([]batch, len(messages))
	for i, m := range messages {
		if out[i], err = w.r.unpack(m); err != nil {
			return nil, fmt.Errorf("%w: batch stream=%s seq=%d: %w", errFatal, stream.LogStream, m.Seq, err)
		}
	}
	return out, nil
}

// unpack takes the living entries out of a batch.
func (r *Revoker) unpack(m stream.LogMessage) (batch, error) {
	in, err := events.UnmarshalBatch(m.Data)
	if err != nil {
		return batch{}, err
	}
	out := batch{seq: m.Seq, position: in.Header.Last()}
	now := r.cfg.Now()
	for i := range in.Items {
		record, err := events.UnmarshalRecord(in.Items[i].Record)
		if err != nil {
			return batch{}, fmt.Errorf("record %d: %w", in.Header.First+uint64(i), err)
		}
		e, ok, err := revocation.EntryOf(record)
		if err != nil {
			r.defects.Add(1)
			r.cfg.Log.Error("a revocation cannot be enforced", "stream", stream.LogStream, "seq", m.Seq, "first", in.Header.First+uint64(i), "err", err)
		}
		if ok && !e.Expired(now) {
			out.entries = append(out.entries, e)
		}
	}
	return out, nil
}
