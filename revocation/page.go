package revocation

import (
	"math/bits"
	"sort"
	"unsafe"
)

// page is some rows, packed: this header and, right behind it, the columns. It
// is one allocation without pointers and is never changed, so that readers need
// no lock. The depth bits of a hash that the place of the page in the directory
// implies are left out, and the tagBits behind them stand apart: a tag is all
// that has to be read to see that a hash is not there.
//
//	tagBits × n         of each row the tag, in order
//	bitsOfTheRow × n    the rest of the hash, extra, kind, expires and index, each in as many
//	                    bits as the greatest of the page needs above the least
//	uint64  × 3         the least cut-off, the least start, and in how many bits they are, where there is any
//	…       × extras    cut-off and start of the rows that have one: extra is their place, plus one
type page struct {
	size uint32 // of all, in words
	n    uint32 // rows

	depth                                       uint8 // bits of every hash that are those of the page's place
	extraBits, kindBits, expiresBits, indexBits uint8
	bitsOfTheRow                                uint16 // more than 255 where hashes were made to begin alike

	index   uint64 // the least
	expires int64  // the least; endless where no row expires
}

const (
	headerWords = int(unsafe.Sizeof(page{}) / 8)
	tagBits     = 16
	maxDepth    = 64 - tagBits
)

func (p *page) words() []uint64 { return unsafe.Slice((*uint64)(unsafe.Pointer(p)), p.size) }

// tags is the column of tags. It begins right behind the header, so that the
// two come from memory together.
func (p *page) tags() []uint16 {
	const perWord = 64 / tagBits
	return unsafe.Slice((*uint16)(unsafe.Pointer(p)), perWord*p.size)[perWord*headerWords:][:p.n]
}

func tagWords(n int) int { return (n*tagBits + 63) / 64 }

// tag and middle are h without the bits that a page of a depth implies; the
// rest of it is h.lo.
func (h hash) tag(depth uint8) uint16    { return uint16(h.hi << depth >> (64 - tagBits)) }
func (h hash) middle(depth uint8) uint64 { return h.hi & (1<<(maxDepth-depth) - 1) }

// field reads width bits at a bit.
func field(words []uint64, bit uint, width uint8) uint64 {
	at, off := bit/64, bit%64
	v := words[at] >> off
	if off+uint(width) > 64 {
		v |= words[at+1] << (64 - off)
	}
	return v & (1<<width - 1)
}

// find is the place of the first row of h, if there is one. It is sought from a
// guess, which is at most some rows off where the page is the one that was
// guessed about.
func (p *page) find(h hash, guess int) (int, bool) {
	tags, tag := p.tags(), h.tag(p.depth)
	n := len(tags)
	for i := search(tags, tag, guess); i < n && tags[i] == tag; i++ {
		if p.is(i, h) {
			return i, true
		}
	}
	return 0, false
}

// near is how far from the guess a row is looked for one by one.
const near = 32

// search is the first place of a value in a sorted column, or where it would
// be.
func search(column []uint16, v uint16, guess int) int {
	if len(column) == 0 {
		return 0
	}
	guess = min(guess, len(column)-1)
	i := guess
	if column[i] < v {
		for i++; i < len(column) && column[i] < v; i++ {
			if i > guess+near {
				return sort.Search(len(column), func(i int) bool { return column[i] >= v })
			}
		}
		return i
	}
	for ; i > 0 && column[i-1] >= v; i-- {
		if i < guess-near {
			return sort.Search(len(column), func(i int) bool { return column[i] >= v })
		}
	}
	return i
}

// at is the first bit of row i.
func (p *page) at(i int) uint {
	return uint(headerWords+tagWords(int(p.n)))*64 + uint(i)*uint(p.bitsOfTheRow)
}

// is reports whether row i, whose tag is that of h, is of h.
func (p *page) is(i int, h hash) bool {
	words, bit := p.words(), p.at(i)
	return field(words, bit, 64) == h.lo && field(words, bit+64, maxDepth-p.depth) == h.middle(p.depth)
}

// same reports whether row i is there and of h.
func (p *page) same(i int, h hash) bool {
	return i < int(p.n) && p.tags()[i] == h.tag(p.depth) && p.is(i, h)
}

// restBits is how many bits of a hash stand in its row.
func (p *page) restBits() uint8 { return 64 + maxDepth - p.depth }

// load reads what row i says, but its hash.
func (p *page) load(i int, r *row) {
	in := unpacker{words: p.words(), bit: p.at(i) + uint(p.restBits())}
	extra := in.next(p.extraBits)
	r.kind = uint32(in.next(p.kindBits))
	r.expires = below(p.expires, in.next(p.expiresBits))
	r.index = p.index + in.next(p.indexBits)
	r.cutoff, r.starts = endless, 0
	if extra > 0 {
		p.loadExtra(extra, r)
	}
}

// loadExtra reads the bounds of a row by their place, plus one.
func (p *page) loadExtra(extra uint64, r *row) {
	extras := p.words()[headerWords+tagWords(int(p.n))+wordsOf(int(p.n), p.bitsOfTheRow):]
	cutoffBits, startsBits := uint8(extras[2]), uint8(extras[2]>>8)
	in := unpacker{words: extras, bit: 64*boundsWords + uint(extra-1)*uint(cutoffBits+startsBits)}
	r.cutoff = below(int64(extras[0]), in.next(cutoffBits))
	if s := in.next(startsBits); s > 0 {
		r.starts = below(int64(extras[1]), s)
	}
}

// unpacker reads values bit behind bit.
type unpacker struct {
	words []uint64
	bit   uint
}

func (r *unpacker) next(width uint8) uint64 {
	if width == 0 {
		return 0
	}
	v := field(r.words, r.bit, width)
	r.bit += uint(width)
	return v
}

// above and below are a bound as a distance from the least one, and back: 0 is
// none.
func above(least, v int64) uint64 {
	if v == endless {
		return 0
	}
	return uint64(v-least) + 1
}

func below(least int64, code uint64) int64 {
	if code == 0 {
		return endless
	}
	return least + int64(code-1)
}

// boundsWords is what stands before the bounds.
const boundsWords = 3

func wordsOf(n int, width uint16) int { return (n*int(width) + 63) / 64 }

// rows appends the rows of p. The first hash of its place is prefix.
func (p *page) rows(out []row, prefix uint64) []row {
	in := unpacker{words: p.words(), bit: p.at(0)}
	for _, tag := range p.tags() {
		lo, middle := in.next(64), in.next(maxDepth-p.depth)
		r := row{hash: hash{prefix | uint64(tag)<<(maxDepth-p.depth) | middle, lo}, cutoff: endless}
		extra := in.next(p.extraBits)
		r.kind = uint32(in.next(p.kindBits))
		r.expires = below(p.expires, in.next(p.expiresBits))
		r.index = p.index + in.next(p.indexBits)
		if extra > 0 {
			p.loadExtra(extra, &r)
		}
		out = append(out, r)
	}
	return out
}

// ranges are the least and the greatest of each column.
type ranges struct {
	kind               uint32
	index, indexTo     uint64
	expires, expiresTo int64
	cutoff, cutoffTo   int64
	starts, startsTo   int64
	extras             int
}

func rangesOf(rows []row) ranges {
	g := ranges{index: ^uint64(0), expires: endless, cutoff: endless, starts: endless}
	for i := range rows {
		r := &rows[i]
		g.kind = max(g.kind, r.kind)
		g.index, g.indexTo = min(g.index, r.index), max(g.indexTo, r.index)
		g.expires = min(g.expires, r.expires)
		if r.expires != endless {
			g.expiresTo = max(g.expiresTo, r.expires)
		}
		if !r.extra() {
			continue
		}
		g.extras++
		if g.cutoff = min(g.cutoff, r.cutoff); r.cutoff != endless {
			g.cutoffTo = max(g.cutoffTo, r.cutoff)
		}
		if r.starts != 0 {
			g.starts, g.startsTo = min(g.starts, r.starts), max(g.startsTo, r.starts)
		}
	}
	return g
}

// extra reports whether r says more than most rows do.
func (r *row) extra() bool { return r.cutoff != endless || r.starts != 0 }

func bitsFor(v uint64) uint8 { return uint8(bits.Len64(v)) }

// codeBits is how many bits the codes of bounds between two take.
func codeBits(least, greatest int64) uint8 {
	if least == endless {
		return 0
	}
	return bitsFor(above(least, greatest))
}

// newPage packs rows, which are in their order.
func newPage(rows []row, depth uint8) *page {
	g := rangesOf(rows)
	h := page{n: uint32(len(rows)), depth: depth, kindBits: bitsFor(uint64(g.kind)), expires: g.expires, extraBits: bitsFor(uint64(g.extras)),
		expiresBits: codeBits(g.expires, g.expiresTo)}
	if len(rows) > 0 {
		h.index, h.indexBits = g.index, bitsFor(g.indexTo-g.index)
	}
	h.bitsOfTheRow = uint16(h.restBits()) + uint16(h.extraBits) + uint16(h.kindBits) + uint16(h.expiresBits) + uint16(h.indexBits)
	size := headerWords + tagWords(len(rows)) + wordsOf(len(rows), h.bitsOfTheRow)
	if g.extras > 0 {
		size += boundsWords + wordsOf(g.extras, uint16(codeBits(g.cutoff, g.cutoffTo)+codeBits(g.starts, g.startsTo)))
	}
	h.size = uint32(size)
	words := make([]uint64, size)
	p := (*page)(unsafe.Pointer(&words[0]))
	*p = h
	p.pack(words, rows, &g)
	return p
}

func (p *page) pack(words []uint64, rows []row, g *ranges) {
	w := packer{words: words, bit: p.at(0)}
	end := headerWords + tagWords(len(rows)) + wordsOf(len(rows), p.bitsOfTheRow)
	x := packer{words: words, bit: uint(end+boundsWords) * 64}
	cutoffBits, startsBits := codeBits(g.cutoff, g.cutoffTo), codeBits(g.starts, g.startsTo)
	if g.extras > 0 {
		words[end], words[end+1], words[end+2] = uint64(g.cutoff), uint64(g.starts), uint64(cutoffBits)|uint64(startsBits)<<8
	}
	extras, tags := uint64(0), p.tags()
	for i := range rows {
		r := &rows[i]
		tags[i] = r.hash.tag(p.depth)
		extra := uint64(0)
		if r.extra() {
			extras++
			extra = extras
			x.put(above(g.cutoff, r.cutoff), cutoffBits)
			if r.starts != 0 {
				x.put(above(g.starts, r.starts), startsBits)
			} else {
				x.put(0, startsBits)
			}
		}
		w.put(r.hash.lo, 64)
		w.put(r.hash.middle(p.depth), maxDepth-p.depth)
		w.put(extra, p.extraBits)
		w.put(uint64(r.kind), p.kindBits)
		w.put(above(g.expires, r.expires), p.expiresBits)
		w.put(r.index-g.index, p.indexBits)
	}
}

// packer writes values bit behind bit into words that are zero.
type packer struct {
	words []uint64
	bit   uint
}

func (w *packer) put(v uint64, width uint8) {
	if width == 0 {
		return
	}
	at, off := w.bit/64, w.bit%64
	w.words[at] |= v << off
	if off+uint(width) > 64 {
		w.words[at+1] |= v >> (64 - off)
	}
	w.bit += uint(width)
}
