package revoke

import (
	"context"
	"fmt"
	"slices"
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
func (r *Revoker) recover(ctx context.Context, js jetstream.JetStream, logs []*stream.Log) (*writer, error) {
	end, err := r.deltas.Last(ctx)
	if err != nil {
		return nil, err
	}
	ends, err := headOf(ctx, js, logs)
	if err != nil {
		return nil, err
	}
	w := &writer{r: r, set: revocation.NewSet(len(logs)), last: end.Seq, head: ends, by: r.clock.now()}
	w.head.Feed, w.head.Seq = end.Feed, end.Seq
	if err := w.findTold(ctx, end.Data); err != nil {
		return nil, err
	}
	for _, log := range logs {
		if told, last := w.head.Place(log.Shard()).LogSeq, ends.Place(log.Shard()).LogSeq; told > last {
			return nil, fmt.Errorf("%w: log stream=%s last=%d was rolled back: verifiers were told up to seq=%d", errFatal, log.Stream(), last, told)
		}
	}
	w.heed(&w.head)
	covered, err := r.fromSnapshot(ctx, w)
	if err != nil {
		return nil, err
	}
	for _, log := range logs {
		if err := w.follow(ctx, log, covered.Place(log.Shard()).LogSeq); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

// Check reads the control lanes of all logs to their ends and says whether a
// feed can be made of them. It publishes and stores nothing.
func Check(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("check logs: %w", err)
	}
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return fmt.Errorf("check logs: %w", err)
	}
	r := New(cfg)
	logs, err := r.logs(ctx, js)
	if err != nil {
		return fmt.Errorf("check logs: %w", err)
	}
	ends, err := headOf(ctx, js, logs)
	if err != nil {
		return fmt.Errorf("check logs: %w", err)
	}
	w := &writer{r: r, set: revocation.NewSet(len(logs)), head: ends, by: r.clock.now()}
	defer w.close()
	for _, log := range logs {
		if err := w.follow(ctx, log, 0); err != nil {
			return fmt.Errorf("check logs: %w", err)
		}
	}
	return nil
}

// headOf is a head at the end of the control lane of every log, whose positions
// are not known yet.
func headOf(ctx context.Context, js jetstream.JetStream, logs []*stream.Log) (h revocation.Head, err error) {
	h.Others = make([]revocation.Place, len(logs)-1)
	for k, log := range logs {
		control, err := lastControl(ctx, js, log.Shard())
		if err != nil {
			return h, err
		}
		if epoch := uint64(log.Created().UnixNano()); k == 0 {
			h.Epoch, h.LogSeq = epoch, control
		} else {
			h.Others[k-1] = revocation.Place{Epoch: epoch, LogSeq: control}
		}
	}
	return h, nil
}

// follow opens a log behind what is covered of it, and reads up to the head.
func (w *writer) follow(ctx context.Context, log *stream.Log, covered uint64) error {
	reader, err := log.Read(ctx, covered+1, events.Control)
	if err != nil {
		return err
	}
	l := &lane{r: w.r, log: log, reader: reader}
	w.lanes = append(w.lanes, l)
	return w.fold(ctx, l, covered)
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
// these logs that is not ahead of head, and returns how far in them it reaches.
func (r *Revoker) fromSnapshot(ctx context.Context, w *writer) (covered revocation.Head, err error) {
	fetch, cancel := context.WithTimeout(ctx, snapshotWait)
	defer cancel()
	data, err := r.objects.Get(fetch)
	if ctx.Err() != nil {
		return covered, ctx.Err()
	}
	if err != nil {
		if !none(err) {
			r.cfg.Log.Warn("snapshot cannot be fetched, reading the log instead", "err", err)
		}
		return covered, nil
	}
	s, err := revocation.OpenSnapshot(r.public(), data)
	switch {
	case err != nil:
		r.cfg.Log.Warn("snapshot cannot be used, reading the log instead", "err", err)
		return covered, nil
	case !within(&s.Head, &w.head):
		r.cfg.Log.Warn("snapshot is of another history, reading the log instead", "stream", stream.LogStream, "seq", s.LogSeq, "last", w.head.LogSeq)
		return covered, nil
	}
	if w.heed(&s.Head); !w.left.IsZero() {
		r.cfg.Log.Error("the feed was signed at a time that is still to come, reading the log instead", "until", w.left)
		return covered, nil
	}
	w.set = s.Set(w.by)
	for k := range uint16(s.Shards()) {
		w.reached(k, s.Place(k).Position)
	}
	return s.Head, nil
}

// heed notes when h was signed at a time that is still to come: what expires
// until then has left sets, here and elsewhere.
func (w *writer) heed(h *revocation.Head) {
	if at := h.Signed(); at.Sub(w.by) > w.r.cfg.ClockSkew && at.After(w.left) {
		w.left = at
	}
}

// again has verifiers told again what may have left them too early: entries
// commute, so that who has them still is told nothing.
func (w *writer) again(b batch) {
	if w.left.IsZero() || w.sum.IsZero() { // none left, or a snapshot tells all
		return
	}
	b.entries = slices.DeleteFunc(b.entries, func(e revocation.Entry) bool { return !e.Expired(w.left) })
	if at := w.head.Place(b.shard); len(b.entries) > 0 {
		b.seq, b.position = at.LogSeq, at.Position // as verifiers were told
		w.pending = append(w.pending, b)
	}
}

// within reports whether s, of a snapshot, is of the same logs as h and not
// ahead of it in any. The feed may be another.
func within(s, h *revocation.Head) bool {
	if s.Shards() != h.Shards() {
		return false
	}
	for k := range uint16(h.Shards()) {
		if at, end := s.Place(k), h.Place(k); at.Epoch != end.Epoch || at.LogSeq > end.LogSeq {
			return false
		}
	}
	return true
}

// reached moves the position of a shard in the head on, never back.
func (w *writer) reached(shard uint16, position uint64) {
	if at := w.head.Place(shard); position > at.Position {
		w.head.Reach(shard, position, at.LogSeq)
	}
}

// fold reads one log up to the head into the set, without publishing: it is
// what verifiers were told, or are told by the snapshot that follows.
func (w *writer) fold(ctx context.Context, l *lane, covered uint64) error {
	shard := l.log.Shard()
	for end := w.head.Place(shard).LogSeq; covered < end; {
		batches, err := l.next(ctx)
		if err != nil {
			return err
		}
		for i, b := range batches {
			if b.seq > end {
				w.pending = append(w.pending, batches[i:]...)
				return nil
			}
			covered = b.seq
			w.reached(shard, b.position)
			b.entries = w.living(b.entries)
			w.set.Apply(b.entries...)
			w.again(b)
		}
	}
	return nil
}

// lane is the control lane of one shard's log.
type lane struct {
	r      *Revoker
	log    *stream.Log
	reader *stream.Reader
}

// batch is what one batch of the log has for verifiers.
type batch struct {
	shard    uint16
	seq      uint64 // in the log's stream
	position uint64 // index of its last record
	entries  []revocation.Entry
}

// readBytes bounds one read from the log.
const readBytes = 8 << 20

// next waits for batches of the log.
func (l *lane) next(ctx context.Context) ([]batch, error) {
	messages, err := l.reader.Next(ctx, readBytes)
	if err != nil {
		return nil, err
	}
	out := make([]batch, len(messages))
	for i, m := range messages {
		if out[i], err = l.unpack(m); err != nil {
			return nil, fmt.Errorf("%w: batch stream=%s seq=%d: %w", errFatal, l.log.Stream(), m.Seq, err)
		}
	}
	return out, nil
}

// unpack takes the entries out of a batch.
func (l *lane) unpack(m stream.LogMessage) (batch, error) {
	in, err := events.UnmarshalBatch(m.Data)
	if err != nil {
		return batch{}, err
	}
	out := batch{shard: l.log.Shard(), seq: m.Seq, position: in.Header.Last()}
	if in.Header.Shard != out.shard {
		return batch{}, fmt.Errorf("it is of shard %d", in.Header.Shard)
	}
	for i := range in.Items {
		record, err := events.UnmarshalRecord(in.Items[i].Record)
		if err != nil {
			return batch{}, fmt.Errorf("record %d: %w", in.Header.First+uint64(i), err)
		}
		e, ok, err := revocation.EntryOf(record, in.Header.First+uint64(i))
		if err != nil {
			l.r.defects.Add(1)
			l.r.cfg.Log.Error("a revocation cannot be enforced", "stream", l.log.Stream(), "seq", m.Seq, "first", in.Header.First+uint64(i), "err", err)
		}
		if ok {
			out.entries = append(out.entries, e)
		}
	}
	return out, nil
}
