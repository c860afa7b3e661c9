package revocation

import (
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// directory finds the page of a hash: extendible hashing. A page of a depth
// stands in the slots of all hashes that begin with the same depth bits. A
// directory grows and shrinks by being replaced.
type directory struct {
	depth uint8
	slots []slot
}

// slot is a page and, beside it, what to expect of it. The two are not written
// at one moment: whoever reads them believes the page.
type slot struct {
	page  atomic.Pointer[page]
	shape atomic.Uint64
}

func (s *slot) store(p *page, of shape) {
	s.page.Store(p)
	s.shape.Store(uint64(of))
}

// prefetch asks for the memory of s.
func (s *slot) prefetch() { prefetchLine(unsafe.Pointer(s)) }

func (s *slot) copy(from *slot) { s.store(from.page.Load(), shape(from.shape.Load())) }

func newDirectory(depth uint8) *directory {
	return &directory{depth: depth, slots: make([]slot, 1<<depth)}
}

func (d *directory) slot(hi uint64) int { return int(hi >> (64 - d.depth)) }

func (d *directory) at(hi uint64) *slot { return &d.slots[d.slot(hi)] }

func (d *directory) page(hi uint64) *page { return d.at(hi).page.Load() }

// set puts p where the hashes are that begin as prefix does.
func (d *directory) set(p *page, prefix uint64) {
	first, of := d.slot(firstOf(prefix, p.depth)), p.shape()
	for i := range 1 << (d.depth - p.depth) {
		d.slots[first+i].store(p, of)
	}
}

// firstOf is the first hash of those that begin with the depth bits that hi
// begins with.
func firstOf(hi uint64, depth uint8) uint64 { return hi &^ (1<<(64-depth) - 1) }

// doubled is d with one more bit.
func (d *directory) doubled() *directory {
	out := newDirectory(d.depth + 1)
	for i := range out.slots {
		out.slots[i].copy(&d.slots[i/2])
	}
	return out
}

// halved is d with one bit less, which no page needs.
func (d *directory) halved() *directory {
	out := newDirectory(d.depth - 1)
	for i := range out.slots {
		out.slots[i].copy(&d.slots[2*i])
	}
	return out
}

// pageRows is how many rows a page has at most, unless they cannot be told
// apart by as many bits as the directory may have.
const pageRows = 64

// mayHave is how deep a directory of n rows may be. Evenly spread hashes need
// two or three less.
func mayHave(n int64) uint8 { return min(uint8(bits.Len64(uint64(n)/pageRows))+4, maxDepth) }
