package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

const (
	maxBatchBytes = 900_000 // of items in one batch, unless a single one has more
	itemOverhead  = 24      // digest and lengths
)

// group is a record and the findings that it caused: they are logged together.
type group struct {
	from     *arrival
	items    []events.Item
	leaves   []events.Hash
	findings int
	bytes    int
}

func (g *group) add(item events.Item, leaf events.Hash) {
	g.items = append(g.items, item)
	g.leaves = append(g.leaves, leaf)
	g.bytes += len(item.Record) + len(item.Sealed) + itemOverhead
}

// write appends the records of live candidates, in order, in as few batches as
// they fit.
func (w *writer) write(ctx context.Context, lane events.Lane, candidates []*candidate, received time.Time) error {
	for _, c := range candidates { // before the first batch, so that its header says so
		w.settled(c.from)
	}
	var groups []*group
	items, size := 0, 0
	for _, c := range candidates {
		if !c.live() {
			continue
		}
		g := w.group(c, received)
		if len(groups) > 0 && (items+len(g.items) > events.MaxBatchRecords || size+g.bytes > maxBatchBytes) {
			if err := w.append(ctx, lane, groups); err != nil {
				return err
			}
			groups, items, size = groups[:0], 0, 0
		}
		groups, items, size = append(groups, g), items+len(g.items), size+g.bytes
	}
	if len(groups) == 0 {
		return nil
	}
	return w.append(ctx, lane, groups)
}

// group asks the controls about c and remembers it: from here on it is in the
// log for this writer.
func (w *writer) group(c *candidate, received time.Time) *group {
	g := &group{from: c.from}
	g.add(c.item, c.leaf)
	w.window.add(c.ref, c.digest, received)
	w.attempt("controls", func() {
		found := w.controls.Check(c.record, received)
		w.controls.Apply(c.record)
		for i := range found {
			w.finding(g, c, found[i].Record(c.record, received), received)
		}
	})
	return g
}

func (w *writer) finding(g *group, c *candidate, r *events.Record, received time.Time) {
	encoded, err := encode(r)
	if err != nil {
		w.cfg.Logger.Error("cannot encode a finding", "control", r.Attributes["control"], "err", err)
		return
	}
	d := digest(c.tenant.Digest(encoded))
	g.add(events.Item{Record: encoded, Digest: d[:]}, events.LeafHash(encoded))
	g.findings++
	w.window.add(r.Ref(), d, received)
	w.controls.Apply(r)
}

// append writes groups as one batch, and acknowledges the messages of which
// nothing waits any more.
func (w *writer) append(ctx context.Context, lane events.Lane, groups []*group) error {
	start := w.cfg.Now()
	b := w.makeBatch(lane, groups, start)
	data, err := b.Marshal()
	if err != nil {
		return fmt.Errorf("encode batch first=%d count=%d: %w", b.Header.First, b.Header.Count, err)
	}
	if err := w.put(ctx, lane, data); err != nil {
		return fmt.Errorf("append batch first=%d count=%d: %w", b.Header.First, b.Header.Count, err)
	}
	findings := 0
	for _, g := range groups {
		findings += g.findings
		w.acknowledge(g.from)
	}
	w.count(func(s *Stats) {
		s.Batches, s.Bytes = s.Batches+1, s.Bytes+uint64(len(data))
		s.Records, s.Findings = s.Records+uint64(b.Header.Count), s.Findings+uint64(findings)
		s.Seq, s.Size = w.seq, b.Header.Size
	})
	now := w.cfg.Now()
	w.cfg.Logger.Info("batch logged", "stream", stream.LogStream, "lane", string(lane), "seq", w.seq, "first", b.Header.First,
		"last", b.Header.Last(), "count", b.Header.Count, "elapsed", now.Sub(start), "lag", lag(now, groups))
	return nil
}

// makeBatch takes the records of groups into the tree, and is the batch that
// says so.
func (w *writer) makeBatch(lane events.Lane, groups []*group, now time.Time) *events.Batch {
	b := &events.Batch{Header: events.Header{
		Version: events.BatchVersion, Shard: w.cfg.Shard, Epoch: w.epoch, Lane: lane, First: w.tree.Size(),
		Written: now.UnixMicro(), IntakeStream: w.cfg.Source.Created().UnixNano(),
	}}
	for _, g := range groups {
		b.Items = append(b.Items, g.items...)
		for _, leaf := range g.leaves {
			w.tree.Append(leaf)
		}
		g.from.waiting--
		w.settled(g.from)
	}
	h := &b.Header
	h.Count, h.Covered = uint32(len(b.Items)), w.covered.ranges
	h.Size, h.Root, h.Edge = w.tree.Size(), w.tree.Root(), w.tree.Edge()
	return b
}

// put appends data behind seq and returns when it is there. As long as that
// cannot be known it goes on asking: everything later depends on it.
func (w *writer) put(ctx context.Context, lane events.Lane, data []byte) error {
	for failures := 0; ; failures++ {
		_, err := w.cfg.Log.Append(ctx, lane, data, w.seq)
		if err != nil {
			w.count(func(s *Stats) { s.Unsettled++ })
			w.cfg.Logger.Warn("append did not answer, reading the log", "stream", stream.LogStream, "seq", w.seq, "err", err)
			err = w.settle(ctx, lane, data)
		}
		switch {
		case err == nil:
			w.seq++
			w.written++
			return nil
		case errors.Is(err, ErrFenced), errors.Is(err, ErrCorrupt):
			return err
		}
		if pause(ctx, failures) != nil {
			return fmt.Errorf("stopped before its outcome was known: %w", err)
		}
	}
}

// errNotThere says that data is not in the log, as far as that can be known.
var errNotThere = errors.New("not written")

// settle finds out what became of an append: nil where data is the message
// behind seq, ErrFenced where another one is.
func (w *writer) settle(ctx context.Context, lane events.Lane, data []byte) error {
	last, err := w.cfg.Log.Last(ctx)
	switch {
	case err != nil:
		return err
	case last.Seq == w.seq:
		return errNotThere
	case last.Seq < w.seq:
		return fmt.Errorf("the log ends at seq=%d, before seq=%d: %w", last.Seq, w.seq, ErrCorrupt)
	}
	m, err := w.cfg.Log.Get(ctx, w.seq+1)
	if err != nil {
		return err
	}
	if m.Lane != lane || !bytes.Equal(m.Data, data) {
		return fmt.Errorf("seq=%d: %w", m.Seq, ErrFenced)
	}
	return nil
}
