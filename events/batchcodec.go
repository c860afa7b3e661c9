package events

import "math"

// AppendTo appends the encoding of b to buf.
func (b *Batch) AppendTo(buf []byte) []byte {
	var p pairs
	p.begin(buf)
	p.key(1)
	p.b = b.Header.appendTo(p.b)
	p.key(2)
	p.b = appendItems(p.b, b.Items)
	return p.end()
}

func (h *Header) appendTo(b []byte) []byte {
	var p pairs
	p.begin(b)
	p.uintAlways(1, uint64(h.Version))
	p.uintAlways(2, uint64(h.Shard))
	p.uintAlways(3, h.Epoch)
	p.textAlways(4, string(h.Lane))
	p.uintAlways(5, h.First)
	p.uintAlways(6, uint64(h.Count))
	p.intAlways(7, h.Written)
	p.intAlways(8, h.IntakeStream)
	if len(h.Covered) > 0 {
		p.key(9)
		p.b = appendRanges(p.b, h.Covered)
	}
	p.uintAlways(10, h.Size)
	p.hashAlways(11, &h.Root)
	p.key(12)
	p.b = appendEdge(p.b, h.Edge)
	return p.end()
}

func appendRanges(b []byte, ranges []Range) []byte {
	b = appendHead(b, cborArray, uint64(len(ranges)))
	for _, r := range ranges {
		b = appendHead(b, cborArray, 2)
		b = appendHead(appendHead(b, cborUint, r.First), cborUint, r.Last)
	}
	return b
}

func appendEdge(b []byte, edge [][]byte) []byte {
	if edge == nil {
		return append(b, cborNull)
	}
	b = appendHead(b, cborArray, uint64(len(edge)))
	for _, root := range edge {
		b = appendBytes(b, root)
	}
	return b
}

func appendItems(b []byte, items []Item) []byte {
	if items == nil {
		return append(b, cborNull)
	}
	b = appendHead(b, cborArray, uint64(len(items)))
	for i := range items {
		b = appendHead(b, cborArray, 3)
		b = appendBytes(appendBytes(appendBytes(b, items[i].Record), items[i].Sealed), items[i].Digest)
	}
	return b
}

// The keys that there must be: a bit each.
const (
	batchKeys  = 1<<1 | 1<<2
	headerKeys = 1<<13 - 1<<1 - 1<<9
)

func (b *Batch) read(in *cborReader) {
	ks := in.keys()
	for k := in.next(&ks); k != 0; k = in.next(&ks) {
		switch k {
		case 1:
			b.Header.read(in)
		case 2:
			b.Items = in.batchItems()
		default:
			in.fail("an unknown key")
		}
	}
	in.require(ks, batchKeys)
}

func (h *Header) read(in *cborReader) {
	ks := in.keys()
	for k := in.next(&ks); k != 0; k = in.next(&ks) {
		if k <= 6 {
			h.readStart(in, k)
		} else {
			h.readRest(in, k)
		}
	}
	in.require(ks, headerKeys)
}

func (h *Header) readStart(in *cborReader, k uint64) {
	switch k {
	case 1:
		h.Version = uint8(in.uint(math.MaxUint8))
	case 2:
		h.Shard = uint16(in.uint(math.MaxUint16))
	case 3:
		h.Epoch = in.uint(math.MaxUint64)
	case 4:
		h.Lane = Lane(in.common())
	case 5:
		h.First = in.uint(math.MaxUint64)
	case 6:
		h.Count = uint32(in.uint(math.MaxUint32))
	}
}

func (h *Header) readRest(in *cborReader, k uint64) {
	switch k {
	case 7:
		h.Written = in.int()
	case 8:
		h.IntakeStream = in.int()
	case 9:
		if h.Covered = in.ranges(); len(h.Covered) == 0 {
			in.fail("an empty member")
		}
	case 10:
		h.Size = in.uint(math.MaxUint64)
	case 11:
		h.Root = in.hash()
	case 12:
		h.Edge = in.edge()
	default:
		in.fail("an unknown key in a header")
	}
}

// tuple reads the head of an array of n.
func (r *cborReader) tuple(n uint64) {
	if major, got := r.head(); major != cborArray || got != n {
		r.fail("want an array of a fixed length")
	}
}

func (r *cborReader) ranges() []Range {
	list := make([]Range, r.items(cborArray, 3))
	for i := range list {
		r.tuple(2)
		list[i].First, list[i].Last = r.uint(math.MaxUint64), r.uint(math.MaxUint64)
	}
	return list
}

func (r *cborReader) edge() [][]byte {
	if r.peek() == cborNull {
		r.at++
		return nil
	}
	list := make([][]byte, r.items(cborArray, 1))
	for i := range list {
		list[i] = r.bytes()
	}
	return list
}

func (r *cborReader) batchItems() []Item {
	if r.peek() == cborNull {
		r.at++
		return nil
	}
	n := r.items(cborArray, 4)
	if n > MaxBatchRecords {
		r.fail("more records than a batch has")
		return nil
	}
	list := make([]Item, n)
	for i := range list {
		r.tuple(3)
		list[i].Record, list[i].Sealed, list[i].Digest = r.bytes(), r.bytes(), r.bytes()
	}
	return list
}
