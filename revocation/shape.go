package revocation

import "unsafe"

// shape is what a directory knows of a page beside its address, so that all of
// the memory that a lookup reads can be asked for at once, before the page's
// header says where in it that is: how many rows there are, of how many bits,
// how deep the page is, and how many rows are in the first eighth of its tags, in
// the first two, and so on. It is a hint: a lookup that believes a wrong one
// waits longer and finds the same.
//
//	bits 0…41   seven counts of six bits, the first eighth first
//	bits 42…48  rows
//	bits 49…57  bits of a row
//	bits 58…63  depth
type shape uint64

const (
	shapeParts   = 8
	shapeCount   = 6
	shapeRows    = shapeCount * (shapeParts - 1)
	shapeBits    = shapeRows + 7
	shapeDepth   = shapeBits + 9
	tagsOfEighth = tagBits - 3
)

// shape is that of p. What does not fit is not told.
func (p *page) shape() shape {
	s := uint64(min(p.n, 1<<7-1))<<shapeRows | uint64(p.bitsOfTheRow)<<shapeBits | uint64(p.depth)<<shapeDepth
	tags := p.tags()
	for part, i := 1, 0; part < shapeParts; part++ {
		for i < len(tags) && int(tags[i]>>tagsOfEighth) < part {
			i++
		}
		s |= uint64(min(i, 1<<shapeCount-1)) << (shapeCount * (part - 1))
	}
	return shape(s)
}

func (s shape) rows() int { return int(s >> shapeRows & (1<<7 - 1)) }

// before is how many rows are in the first parts of the tags.
func (s shape) before(part int) int {
	switch part {
	case 0:
		return 0
	case shapeParts:
		return s.rows()
	default:
		return int(s >> (shapeCount * (part - 1)) & (1<<shapeCount - 1))
	}
}

// guess is about where the rows of h stand in the page.
func (s shape) guess(h hash) int {
	tag := int(h.tag(uint8(s >> shapeDepth)))
	part := tag >> tagsOfEighth
	from, to := s.before(part), s.before(part+1)
	return from + (tag&(1<<tagsOfEighth-1))*max(to-from, 0)>>tagsOfEighth
}

// prefetch asks for the memory in which p, if it is of that shape, says what is
// at a place.
func (s shape) prefetch(p *page, place int) {
	const header = headerWords * 8
	row := header + 8*tagWords(s.rows()) + place*int(s>>shapeBits&(1<<9-1))/8
	prefetch(unsafe.Pointer(p), header+place*tagBits/8, row)
}
