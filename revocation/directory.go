package revocation

import (
	"math/bits"
	"sync/atomic"
)

// directory finds the page of a hash: extendible hashing. A page of a depth
// stands in the slots of all hashes that begin with the same depth bits. A
// directory grows and shrinks by being replaced.
type directory struct {
	depth uint8
	slots []atomic.Pointer[page]
}

func newDirectory(depth uint8) *directory {
	return &directory{depth: depth, slots: make([]atomic.Pointer[page], 1<<depth)}
}

func (d *directory) slot(hi uint64) int { return int(hi >> (64 - d.depth)) }

func (d *directory) page(hi uint64) *page { return d.slots[d.slot(hi)].Load() }

// set puts p where the hashes are that begin as prefix does.
func (d *directory) set(p *page, prefix uint64) {
	first := d.slot(firstOf(prefix, p.depth))
	for i := range 1 << (d.depth - p.depth) {
		d.slots[first+i].Store(p)
	}
}

// firstOf is the first hash of those that begin with the depth bits that hi
// begins with.
func firstOf(hi uint64, depth uint8) uint64 { return hi &^ (1<<(64-depth) - 1) }

// doubled is d with one more bit.
func (d *directory) doubled() *directory {
	out := newDirectory(d.depth + 1)
	for i := range out.slots {
		out.slots[i].Store(d.slots[i/2].Load())
	}
	return out
}

// halved is d with one bit less, which no page needs.
func (d *directory) halved() *directory {
	out := newDirectory(d.depth - 1)
	for i := range out.slots {
		out.slots[i].Store(d.slots[2*i].Load())
	}
	return out
}

// pageRows is how many rows a page has at most, unless they cannot be told
// apart by as many bits as the directory may have.
const pageRows = 64

// mayHave is how deep a directory of n rows may be. Evenly spread hashes need
// two or three less.
func mayHave(n int64) uint8 { return min(uint8(bits.Len64(uint64(n)/pageRows))+4, maxDepth) }
