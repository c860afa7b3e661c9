package intake

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/projector/controls"
	"github.com/rescindhq/rescind/projector/ledger"
)

// readBytes is how much of the log is in memory at once while it is read.
const readBytes = 8 << 20

// recover is a writer that stands at the end of the log and knows what it has
// to: starting on an empty log, starting again and starting after another
// writer are the same.
//
// What a writer knows comes from two parts of the log. The tail, which the
// de-duplication window spans, is read whole and proved: it gives the tree, the
// window, and what the controls remember. Of what is before it only the control
// lane is read, for the controls.
func (in *Intake) recover(ctx context.Context) (*writer, error) {
	engine, err := controls.New(in.cfg.Controls)
	if err != nil {
		return nil, err
	}
	w := &writer{
		in: in, cfg: &in.cfg, epoch: 1, tree: ledger.New(), controls: engine,
		window: newWindow(in.cfg.DedupIDs, in.cfg.DedupWindow),
	}
	last, err := in.cfg.Log.Last(ctx)
	if err != nil || last.Seq == 0 {
		return w, err
	}
	h, err := w.header(last)
	if err != nil {
		return nil, err
	}
	tail, err := w.findTail(ctx, last.Seq, h)
	if err != nil {
		return nil, err
	}
	if err := w.readControl(ctx, tail); err != nil {
		return nil, err
	}
	if err := w.readTail(ctx, tail, last.Seq); err != nil {
		return nil, err
	}
	return w, w.resume(h, last.Time)
}

// resume takes over what the last batch says of its writer.
func (w *writer) resume(h *events.Header, stored time.Time) error {
	if h.Epoch == ^uint64(0) {
		return fmt.Errorf("epochs are used up: %w", ErrCorrupt)
	}
	w.epoch = h.Epoch + 1
	if h.IntakeStream == w.cfg.Source.Created().UnixNano() {
		w.covered = covered{ranges: h.Covered, until: stored}
	}
	return nil
}

// header is the header of a message of the log.
func (w *writer) header(m stream.LogMessage) (*events.Header, error) {
	b, err := w.batch(m)
	if err != nil {
		return nil, err
	}
	return &b.Header, nil
}

func (w *writer) batch(m stream.LogMessage) (*events.Batch, error) {
	b, err := events.UnmarshalBatch(m.Data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read stream=%s seq=%d: %w: %w", stream.LogStream, m.Seq, ErrCorrupt, err)
	case b.Header.Lane != m.Lane:
		return nil, fmt.Errorf("read stream=%s seq=%d: a batch of another lane: %w", stream.LogStream, m.Seq, ErrCorrupt)
	case b.Header.Shard != w.cfg.Shard:
		return nil, fmt.Errorf("read stream=%s seq=%d: a batch of shard %d: %w", stream.LogStream, m.Seq, b.Header.Shard, ErrCorrupt)
	}
	return b, nil
}

// findTail is the sequence of the first batch in the window, which ends with
// the batch at last: it looks back in steps that double, and then between the
// last two of them.
func (w *writer) findTail(ctx context.Context, last uint64, h *events.Header) (uint64, error) {
	since := h.Written - w.cfg.DedupWindow.Microseconds()
	within := func(seq uint64) (bool, error) {
		m, err := w.cfg.Log.Get(ctx, seq)
		if err != nil {
			return false, err
		}
		at, err := w.header(m)
		if err != nil {
			return false, err
		}
		return at.Written >= since && h.Size-min(at.Size, h.Size) <= uint64(w.cfg.DedupIDs), nil
	}
	low, high := uint64(0), last // high is in the window; low is not, or before the log
	for step := uint64(1); step < high; step *= 2 {
		in, err := within(high - step)
		if err != nil {
			return 0, err
		}
		if !in {
			low = high - step
			break
		}
		high -= step
	}
	var failed error
	n := sort.Search(int(high-low-1), func(i int) bool {
		if failed != nil {
			return true
		}
		in, err := within(low + 1 + uint64(i))
		failed = err
		return in
	})
	return low + 1 + uint64(n), failed
}

// readControl folds the control lane before the tail into the controls.
func (w *writer) readControl(ctx context.Context, tail uint64) error {
	last, err := w.cfg.Log.LastOf(ctx, events.Control)
	if err != nil || last.Seq == 0 || tail == 1 {
		return err
	}
	return w.read(ctx, 1, min(last.Seq, tail-1), func(m stream.LogMessage) error {
		b, err := w.batch(m)
		if err != nil {
			return err
		}
		records, err := decodeRecords(b)
		for _, r := range records {
			w.controls.Apply(r)
		}
		return err
	}, events.Control)
}

// read calls do for the messages of some lanes from one sequence to another,
// or to the first behind that. There must be one.
func (w *writer) read(ctx context.Context, from, to uint64, do func(stream.LogMessage) error, lanes ...events.Lane) error {
	r, err := w.cfg.Log.Read(ctx, from, lanes...)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		messages, err := r.Next(ctx, readBytes)
		if err != nil {
			return fmt.Errorf("read stream=%s first=%d last=%d: %w", stream.LogStream, from, to, err)
		}
		for _, m := range messages {
			if m.Seq <= to {
				if err := do(m); err != nil {
					return err
				}
			}
			if m.Seq >= to {
				return nil
			}
		}
	}
}

// readTail folds what is in the window into everything that the writer knows,
// and proves it against the batch before.
func (w *writer) readTail(ctx context.Context, tail, last uint64) error {
	var before events.Header
	if tail > 1 {
		m, err := w.cfg.Log.Get(ctx, tail-1)
		if err != nil {
			return err
		}
		h, err := w.header(m)
		if err != nil {
			return err
		}
		before = *h
		if w.tree, err = ledger.FromEdge(h.Size, h.Edge); err != nil || w.tree.Root() != h.Root {
			return fmt.Errorf("read stream=%s seq=%d: the edge is not that of the root: %w", stream.LogStream, m.Seq, ErrCorrupt)
		}
	}
	w.seq = tail - 1
	return w.read(ctx, tail, last, func(m stream.LogMessage) error {
		h, err := w.fold(m, &before)
		if err == nil {
			before = *h
		}
		return err
	})
}

// fold takes a batch as the next one.
func (w *writer) fold(m stream.LogMessage, before *events.Header) (*events.Header, error) {
	b, err := w.batch(m)
	if err != nil {
		return nil, err
	}
	records, err := decodeRecords(b)
	if err != nil {
		return nil, fmt.Errorf("read stream=%s seq=%d: %w", stream.LogStream, m.Seq, err)
	}
	at := time.UnixMicro(b.Header.Written)
	for i, r := range records {
		w.tree.Append(events.LeafHash(b.Items[i].Record))
		w.window.add(r.Ref(), digest(b.Items[i].Digest), at)
		w.controls.Apply(r)
	}
	if err := w.follows(&b.Header, before, m.Seq); err != nil {
		return nil, err
	}
	w.seq = m.Seq
	return &b.Header, nil
}

// follows checks that h, which was folded, is what comes after before.
func (w *writer) follows(h, before *events.Header, seq uint64) error {
	what := ""
	switch {
	case seq != w.seq+1:
		what = "a message is missing before it"
	case h.First != before.Size:
		what = "its first index is not the next one"
	case h.Epoch < before.Epoch:
		what = "its writer was replaced before it"
	case h.Root != w.tree.Root():
		what = "its root is not that of the records"
	default:
		return nil
	}
	return fmt.Errorf("read stream=%s seq=%d: %s: %w", stream.LogStream, seq, what, ErrCorrupt)
}

// decodeRecords is the records of b. Several are decoded at once.
func decodeRecords(b *events.Batch) ([]*events.Record, error) {
	records, errs := make([]*events.Record, len(b.Items)), make([]error, len(b.Items))
	parallel(len(b.Items), smallShare, func(i int) {
		records[i], errs[i] = events.UnmarshalRecord(b.Items[i].Record)
		if errs[i] == nil && len(b.Items[i].Digest) != len(digest{}) {
			errs[i] = fmt.Errorf("digest of %d bytes", len(b.Items[i].Digest))
		}
	})
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("record index=%d: %w: %w", b.Header.First+uint64(i), ErrCorrupt, err)
		}
	}
	return records, nil
}
