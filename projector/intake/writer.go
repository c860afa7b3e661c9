package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

// writer is one term at the end of the log. All of it belongs to one goroutine:
// what needs the order of the log is done here, and nothing else.
type writer struct {
	*state
	intake  int64 // which intake stream the sequences are of
	epoch   uint64
	covered covered

	draft  draft
	group  group        // of the event in hand; kept for its room
	parked []*candidate // refused here, and not in quarantine yet
	whole  []*chunk     // of which nothing is left but what is in the draft
}

// write writes what source has until ctx ends, deals with what was taken while
// hold lasts, and returns why it stopped: nil where it was told to.
func (in *Intake) write(ctx, hold context.Context, source Source) error {
	w, err := in.at.writer(source.Created().UnixNano(), source.Last())
	if err != nil {
		return in.forget(err)
	}
	in.cfg.Logger.Info("writing", "stream", stream.LogStream, "seq", w.seq, "size", w.tree.Size(), "epoch", w.epoch)
	take, stop := context.WithCancel(hold)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	hold, drop := context.WithCancelCause(hold)
	defer drop(nil)

	q := newQueue()
	var lanes errgroup.Group
	for name, out := range map[events.Lane]chan *chunk{events.Control: q.control.from, events.Access: q.access.from} {
		l := &lane{in: in, cfg: &in.cfg, lane: name, source: source}
		lanes.Go(func() error {
			defer stop() // one lane alone is not to go on
			return l.run(take, hold, out)
		})
	}
	err = w.run(hold, q)
	drop(err)
	stop()
	return errors.Join(in.forget(err), lanes.Wait())
}

// writer is a writer behind what s knows, of messages of an intake stream that
// has got as far as last.
func (s *state) writer(intake int64, last uint64) (*writer, error) {
	head, until := &s.head, s.stored
	if s.pending != nil {
		head, until = &s.pending.head, s.pending.at
	}
	if head.Epoch == ^uint64(0) {
		return nil, fmt.Errorf("epochs are used up: %w", ErrCorrupt)
	}
	w := &writer{state: s, intake: intake, epoch: head.Epoch + 1}
	if head.IntakeStream == intake {
		w.covered = recall(head.Covered, until, last)
	}
	s.in.stats.count(func(st *Stats) { st.Terms, st.Epoch = st.Terms+1, w.epoch })
	return w, nil
}

// run writes what comes until there is no more.
func (w *writer) run(ctx context.Context, q *queue) error {
	if w.pending != nil { // of an earlier term: what is in it counts as logged
		if err := w.put(ctx); err != nil {
			return err
		}
	}
	for {
		c, err := q.next(ctx, len(w.whole) == 0) // nothing waits for company
		switch {
		case errors.Is(err, io.EOF):
			return w.flush(ctx)
		case err != nil:
			return errors.Join(err, w.flush(ctx)) // it cannot be appended now: it is left pending
		case c == nil:
			err = w.flush(ctx)
		default:
			err = w.take(ctx, c)
		}
		if err != nil {
			return err
		}
	}
}

// take brings the events of c into the draft, in order, and appends as often as
// it is full. However much comes that is not logged, of what is through no more
// is kept than waits for the draft, and that is not for long.
func (w *writer) take(ctx context.Context, c *chunk) error {
	if w.draft.lane != c.lane {
		if err := w.flush(ctx); err != nil {
			return err
		}
		w.draft.lane = c.lane
	}
	skip := w.skipCovered(c)
	for i := range c.candidates {
		k := &c.candidates[i]
		if !k.live() || skip && k.from.done {
			continue
		}
		if err := w.enter(ctx, k, c.received); err != nil {
			return err
		}
	}
	if err := w.unpark(ctx, c.received); err != nil {
		return err
	}
	w.close(c)
	if w.whole = append(w.whole, c); len(w.draft.items) == 0 || len(w.whole) == mostWhole {
		return w.flush(ctx)
	}
	return nil
}

// unpark puts what was parked into quarantine, which takes its time: what is in
// the draft is appended before.
func (w *writer) unpark(ctx context.Context, received time.Time) error {
	if len(w.parked) == 0 {
		return nil
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	w.in.refuse(ctx, w.parked, received)
	w.parked = w.parked[:0]
	return nil
}

// close acknowledges what nothing of c waits for: at once where the draft is
// empty, else with the draft. What repeats an event of the draft is no more
// logged than that is.
func (w *writer) close(c *chunk) {
	for i := range c.arrivals {
		a := &c.arrivals[i]
		if len(w.draft.items) == 0 || a.held {
			w.acknowledge(a)
		} else if a.waiting == 0 && !a.done {
			w.draft.behind = append(w.draft.behind, a)
		}
	}
}

// enter compares k with what was logged, asks the controls about it, and takes
// it into the draft.
func (w *writer) enter(ctx context.Context, k *candidate, received time.Time) error {
	switch first, found := w.window.find(k.ref); {
	case found && first == k.digest:
		k.drop()
		w.in.stats.count(func(s *Stats) { s.Duplicates++ })
		return nil
	case found:
		w.park(k, events.ReasonConflict, "an event of this tenant, source and id was logged with other content")
		return nil
	}
	if !w.judge(k, received) {
		return nil
	}
	if !w.draft.fits(&w.group) {
		if err := w.flush(ctx); err != nil {
			return err
		}
		w.draft.lane = k.event.Type.Lane()
	}
	w.admit(k)
	return nil
}

// park refuses k. It goes into quarantine once the chunk is through.
func (w *writer) park(k *candidate, reason events.Reason, detail string) {
	k.refuse(reason, detail)
	w.parked = append(w.parked, k)
}

// flush appends the draft as one batch, and acknowledges the messages of which
// nothing waits any more.
func (w *writer) flush(ctx context.Context) error {
	if len(w.draft.items) == 0 {
		w.passed()
		return nil
	}
	start := w.cfg.Now()
	p := w.seal()
	w.pending = p
	if err := w.put(ctx); err != nil {
		return err
	}
	for _, a := range w.draft.from {
		w.acknowledge(a)
	}
	for _, a := range w.draft.behind {
		w.acknowledge(a)
	}
	w.logged(p, w.cfg.Now().Sub(start))
	w.passed()
	w.draft.reset()
	return nil
}

// logged counts and tells of a batch.
func (w *writer) logged(p *pending, elapsed time.Duration) {
	now, h, findings := w.cfg.Now(), &p.head, w.draft.findings
	w.in.stats.count(func(s *Stats) {
		s.Batches, s.Bytes = s.Batches+1, s.Bytes+uint64(len(p.data))
		s.Records, s.Findings = s.Records+uint64(h.Count), s.Findings+uint64(findings)
		s.Seq, s.Size, s.LastBatch = w.seq, h.Size, int(h.Count)
	})
	w.cfg.Logger.Info("batch logged", "stream", stream.LogStream, "lane", string(h.Lane), "seq", w.seq, "first", h.First,
		"last", h.Last(), "count", h.Count, "bytes", len(p.data), "elapsed", elapsed, "lag", now.Sub(w.draft.oldest))
}

// passed notes that nothing of the chunks that were taken waits any more.
func (w *writer) passed() {
	if len(w.whole) > 0 {
		for _, c := range w.whole {
			if c.lane == events.Access {
				w.in.pace.passed(c)
			}
		}
		w.in.stats.passed(w.whole)
		clear(w.whole)
		w.whole = w.whole[:0]
	}
}

// skipCovered acknowledges the messages that were dealt with before, and
// reports whether there are any.
func (w *writer) skipCovered(c *chunk) (some bool) {
	for i := range c.arrivals {
		a := &c.arrivals[i]
		if !w.covered.has(a.Seq, a.Received) {
			continue
		}
		some = true
		w.in.stats.count(func(s *Stats) { s.Skipped++ })
		a.waiting, a.held = 0, false
		w.acknowledge(a)
	}
	return some
}

// cover notes that nothing of a waits any more, if that is so.
func (w *writer) cover(a *arrival) {
	if a.waiting == 0 && !a.held && !a.done {
		w.covered.add(a.Seq, a.Received)
	}
}

// acknowledge acknowledges a, once, if nothing of it waits. A message that is
// held is left alone.
func (w *writer) acknowledge(a *arrival) {
	switch {
	case a.done:
	case a.held:
		a.done = true
		w.in.stats.count(func(s *Stats) { s.Held++ })
	case a.waiting == 0:
		w.cover(a)
		a.done = true
		if err := a.Ack(); err != nil { // it is delivered again and skipped
			w.in.stats.count(func(s *Stats) { s.Acks++ })
			w.cfg.Logger.Debug("cannot acknowledge", "stream", stream.IntakeStream, "seq", a.Seq, "err", err)
		}
	}
}
