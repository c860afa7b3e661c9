package intake

import (
	"context"
	"fmt"
	"sort"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/projector/ledger"
)

// readBytes is how much of the log is in memory at once while it is read.
const readBytes = 8 << 20

// recentIDs is how many of the latest events are read back however old they
// are: about a second's work.
const recentIDs = 100_000

// recover is the state at the end of the log: starting on an empty log, starting
// again, standing by and taking over are the same.
//
// What a writer knows comes from two parts of the log. The tail, which the
// de-duplication window spans, is read whole and proved: it gives the tree, the
// window, and what the controls remember. Of what is before it only the control
// lane is read, for the controls.
func (in *Intake) recover(ctx context.Context) (*state, error) {
	engine, err := in.engine(in.cfg.Controls)
	if err != nil {
		return nil, err
	}
	s := &state{in: in, cfg: &in.cfg, tree: ledger.New(), controls: engine, window: newWindow(in.cfg.DedupIDs)}
	last, err := in.cfg.Log.Last(ctx)
	if err != nil || last.Seq == 0 {
		return s, err
	}
	h, err := s.header(last)
	if err != nil {
		return nil, err
	}
	tail, err := s.findTail(ctx, last.Seq, h)
	if err != nil {
		return nil, err
	}
	if err := s.readControl(ctx, tail); err != nil {
		return nil, err
	}
	if err := s.startAt(ctx, tail); err != nil {
		return nil, err
	}
	return s, s.readTo(ctx, last.Seq)
}

// header is the header of a message of the log.
func (s *state) header(m stream.LogMessage) (*events.Header, error) {
	b, err := s.batch(m)
	if err != nil {
		return nil, err
	}
	return &b.Header, nil
}

func (s *state) batch(m stream.LogMessage) (*events.Batch, error) {
	b, err := events.UnmarshalBatch(m.Data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read stream=%s seq=%d: %w: %w", stream.LogStream, m.Seq, ErrCorrupt, err)
	case b.Header.Lane != m.Lane:
		return nil, fmt.Errorf("read stream=%s seq=%d: a batch of another lane: %w", stream.LogStream, m.Seq, ErrCorrupt)
	case b.Header.Shard != s.cfg.Shard:
		return nil, fmt.Errorf("read stream=%s seq=%d: a batch of shard %d: %w", stream.LogStream, m.Seq, b.Header.Shard, ErrCorrupt)
	}
	return b, nil
}

// findTail is the sequence of the first batch in the window, which ends with
// the batch at last: it looks back in steps that double, and then between the
// last two of them.
func (s *state) findTail(ctx context.Context, last uint64, h *events.Header) (uint64, error) {
	since := h.Written - s.cfg.DedupWindow.Microseconds()
	within := func(seq uint64) (bool, error) {
		m, err := s.cfg.Log.Get(ctx, seq)
		if err != nil {
			return false, err
		}
		at, err := s.header(m)
		if err != nil {
			return false, err
		}
		newer := h.Size - min(at.Size, h.Size) // records
		return newer <= uint64(s.cfg.DedupIDs) && (at.Written >= since || newer < s.in.recent), nil
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
func (s *state) readControl(ctx context.Context, tail uint64) error {
	last, err := s.cfg.Log.LastOf(ctx, events.Control)
	if err != nil || last.Seq == 0 || tail == 1 {
		return err
	}
	return s.in.readLog(ctx, 1, min(last.Seq, tail-1), func(m stream.LogMessage) error {
		b, err := s.batch(m)
		if err != nil {
			return err
		}
		records, err := s.in.decodeRecords(b)
		for _, r := range records {
			s.apply(r)
		}
		return err
	}, events.Control)
}

// startAt takes the tree from the batch before tail.
func (s *state) startAt(ctx context.Context, tail uint64) error {
	if tail == 1 {
		return nil
	}
	m, err := s.cfg.Log.Get(ctx, tail-1)
	if err != nil {
		return err
	}
	h, err := s.header(m)
	if err != nil {
		return err
	}
	if s.tree, err = ledger.FromEdge(h.Size, h.Edge); err != nil || s.tree.Root() != h.Root {
		return fmt.Errorf("read stream=%s seq=%d: the edge is not that of the root: %w", stream.LogStream, m.Seq, ErrCorrupt)
	}
	s.seq, s.head, s.stored = m.Seq, *h, m.Time
	return nil
}

// readLog calls do for the messages of some lanes from one sequence to another,
// or to the first behind that. There must be one.
func (in *Intake) readLog(ctx context.Context, from, to uint64, do func(stream.LogMessage) error, lanes ...events.Lane) error {
	r, err := in.cfg.Log.Read(ctx, from, lanes...)
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

// decodeRecords is the records of b. Several are decoded at once.
func (in *Intake) decodeRecords(b *events.Batch) ([]*events.Record, error) {
	records, errs := make([]*events.Record, len(b.Items)), make([]error, len(b.Items))
	in.each("read", len(b.Items), smallShare, func(i int) {
		records[i], errs[i] = events.UnmarshalRecord(b.Items[i].Record)
		if errs[i] == nil && len(b.Items[i].Digest) != len(digest{}) {
			errs[i] = fmt.Errorf("digest of %d bytes", len(b.Items[i].Digest))
		}
	}, func(i int) { errs[i] = errDefect })
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("record index=%d: %w: %w", b.Header.First+uint64(i), ErrCorrupt, err)
		}
	}
	return records, nil
}
