package intake

import (
	"time"

	"github.com/rescindhq/rescind/events"
)

const (
	mostWhole     = 8       // chunks that wait for a batch with nothing left but what is in it
	maxBatchBytes = 900_000 // of items in one batch, unless a single one has more
	itemOverhead  = 24      // digest and lengths
)

// draft is the records that go into the next batch, in order. What is in it is
// in the state already.
type draft struct {
	lane     events.Lane
	items    []events.Item
	leaves   []events.Hash
	from     []*arrival // of each event, findings left out
	behind   []*arrival // with nothing in here, but maybe a repeat of what is
	bytes    int
	findings int
	oldest   time.Time // when the message was stored that waits longest
}

// group is an event's record and the findings that it caused: they are logged
// together.
type group struct {
	items   []events.Item
	leaves  []events.Hash
	records []*events.Record // of the findings
	bytes   int
}

func (g *group) add(item events.Item, leaf events.Hash) {
	g.items = append(g.items, item)
	g.leaves = append(g.leaves, leaf)
	g.bytes += len(item.Record) + len(item.Sealed) + itemOverhead
}

func (g *group) reset() {
	*g = group{items: g.items[:0], leaves: g.leaves[:0], records: g.records[:0]}
}

// fits reports whether g may join what is there.
func (d *draft) fits(g *group) bool {
	return len(d.items) == 0 || len(d.items)+len(g.items) <= events.MaxBatchRecords && d.bytes+g.bytes <= maxBatchBytes
}

func (d *draft) add(g *group, from *arrival) {
	d.items = append(d.items, g.items...)
	d.leaves = append(d.leaves, g.leaves...)
	d.from = append(d.from, from)
	d.bytes += g.bytes
	d.findings += len(g.records)
	if d.oldest.IsZero() || from.Received.Before(d.oldest) {
		d.oldest = from.Received
	}
}

func (d *draft) reset() {
	clear(d.items)
	clear(d.from)
	clear(d.behind)
	*d = draft{items: d.items[:0], leaves: d.leaves[:0], from: d.from[:0], behind: d.behind[:0]}
}

// seal takes the draft into the tree, and is the batch that says so.
func (w *writer) seal() *pending {
	h := events.Header{
		Version: events.BatchVersion, Shard: w.cfg.Shard, Epoch: w.epoch, Lane: w.draft.lane, First: w.tree.Size(),
		Count: uint32(len(w.draft.items)), Written: w.cfg.Now().UnixMicro(), IntakeStream: w.intake,
	}
	for _, leaf := range w.draft.leaves {
		w.tree.Append(leaf)
	}
	for _, a := range w.draft.from {
		a.waiting--
		w.cover(a)
	}
	for _, a := range w.draft.behind {
		w.cover(a)
	}
	h.Covered, h.Size, h.Root, h.Edge = w.covered.ranges, w.tree.Size(), w.tree.Root(), w.tree.Edge()
	b := events.Batch{Header: h, Items: w.draft.items}
	data, _ := b.Marshal() // it never fails
	h.Covered = append([]events.Range(nil), h.Covered...)
	return &pending{lane: h.Lane, data: data, head: h, at: w.covered.until}
}
