package revocation

import (
	"slices"
	"sort"
	"sync/atomic"
)

// timeline knows when each place in one log was received: it keeps the places
// at which the second changes. Only places that the set holds count; those
// between them say what the one before says. Readers need no lock.
type timeline struct {
	blocks atomic.Pointer[[]atomic.Pointer[block]]

	// Of the writer.
	points  int
	end     uint64 // behind the last place that was told
	last    int64  // what the last point says
	pruning bool
}

// block is some points in their order. It is not changed once it is read, but
// for marks, which are the writer's.
type block struct {
	index  uint64 // of the first point
	points []point
	marks  []bool // while pruning: points that a row needs
}

// point says that from a place on the second is another.
type point struct {
	index  uint64
	second int64
}

const blockPoints = 256

func (t *timeline) init() { t.blocks.Store(new([]atomic.Pointer[block])) }

// at is when the place was received, 0 where the timeline does not go as far
// back.
func (t *timeline) at(index uint64) int64 {
	blocks := *t.blocks.Load()
	i := sort.Search(len(blocks), func(i int) bool { return blocks[i].Load().index > index }) - 1
	if i < 0 {
		return 0
	}
	points := blocks[i].Load().points
	k := sort.Search(len(points), func(k int) bool { return points[k].index > index }) - 1
	if k < 0 {
		return 0
	}
	return points[k].second
}

// set tells when one place was received. Others keep what they say.
func (t *timeline) set(index uint64, second int64) {
	if index >= t.end && second == t.last && t.points > 0 {
		t.end = index + 1
		t.keep(index)
		return
	}
	was := t.at(index)
	if next := index + 1; was != second && next < t.end {
		t.put(next, t.at(next))
	}
	if was != second {
		t.put(index, second)
	}
	if index+1 >= t.end {
		t.end, t.last = index+1, second
	}
	t.keep(index)
}

// keep sees to it that a place which is told while the timeline is pruned is
// not forgotten.
func (t *timeline) keep(index uint64) {
	if t.pruning {
		t.need(index)
	}
}

// put makes a point, or changes the one that is there.
func (t *timeline) put(index uint64, second int64) {
	blocks := *t.blocks.Load()
	i := max(0, sort.Search(len(blocks), func(i int) bool { return blocks[i].Load().index > index })-1)
	var b block
	if len(blocks) > 0 {
		b = *blocks[i].Load()
	}
	k, there := slices.BinarySearchFunc(b.points, index, func(p point, index uint64) int { return cmpUint(p.index, index) })
	points := make([]point, 0, len(b.points)+1)
	points = append(append(points, b.points[:k]...), point{index, second})
	marks := b.marks
	if there {
		points = append(points, b.points[k+1:]...)
	} else {
		points = append(points, b.points[k:]...)
		t.points++
		if marks != nil {
			marks = slices.Insert(slices.Clone(marks), k, true)
		}
	}
	t.replace(i, block{points[0].index, points, marks})
}

func cmpUint(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

// replace puts b where block i is, in two parts where it has grown too long.
func (t *timeline) replace(i int, b block) {
	blocks := *t.blocks.Load()
	if len(blocks) > 0 && len(b.points) <= blockPoints {
		blocks[i].Store(&b)
		return
	}
	parts := []*block{&b}
	if n := len(b.points); n > blockPoints {
		cut := n / 2
		if i == len(blocks)-1 {
			cut = n - 1 // a log grows at its end
		}
		parts = b.cut(cut)
	}
	t.publish(i, min(i+1, len(blocks)), parts)
}

func (b *block) cut(at int) []*block {
	left, right := block{b.index, b.points[:at:at], nil}, block{b.points[at].index, slices.Clone(b.points[at:]), nil}
	if b.marks != nil {
		left.marks, right.marks = slices.Clone(b.marks[:at]), slices.Clone(b.marks[at:])
	}
	return []*block{&left, &right}
}

// publish replaces the blocks from i to end by others.
func (t *timeline) publish(i, end int, parts []*block) {
	old := *t.blocks.Load()
	blocks := make([]atomic.Pointer[block], len(old)-(end-i)+len(parts))
	for k := range i {
		blocks[k].Store(old[k].Load())
	}
	for k, p := range parts {
		blocks[i+k].Store(p)
	}
	for k := range old[end:] {
		blocks[i+len(parts)+k].Store(old[end+k].Load())
	}
	t.blocks.Store(&blocks)
}

// beginPrune forgets which points are needed. Those that come are.
func (t *timeline) beginPrune() {
	t.pruning = true
	blocks := *t.blocks.Load()
	for i := range blocks {
		b := *blocks[i].Load()
		b.marks = make([]bool, len(b.points))
		blocks[i].Store(&b)
	}
}

// need marks the point that says when a place was received.
func (t *timeline) need(index uint64) {
	blocks := *t.blocks.Load()
	i := sort.Search(len(blocks), func(i int) bool { return blocks[i].Load().index > index }) - 1
	if i < 0 {
		return
	}
	b := blocks[i].Load()
	k := sort.Search(len(b.points), func(k int) bool { return b.points[k].index > index }) - 1
	if k >= 0 && b.marks != nil {
		b.marks[k] = true
	}
}

// endPrune drops the points that are not needed.
func (t *timeline) endPrune() {
	old := *t.blocks.Load()
	var parts []*block
	t.points = 0
	for i := range old {
		b := old[i].Load()
		var points []point
		for k, p := range b.points {
			if b.marks == nil || b.marks[k] {
				points = append(points, p)
			}
		}
		if len(points) > 0 {
			parts = append(parts, &block{index: points[0].index, points: points})
			t.points += len(points)
		}
	}
	t.publish(0, len(old), parts)
	t.pruning, t.last = false, 0
	if n := len(parts); n > 0 {
		t.last = parts[n-1].points[len(parts[n-1].points)-1].second
	}
}
