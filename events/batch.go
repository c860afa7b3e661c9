package events

import (
	"fmt"
	"slices"
)

// BatchVersion is the version of a batch's encoding.
const BatchVersion = 1

// Batch is one message of the log: a header, and records in the order of their
// index.
type Batch struct {
	Header Header `cbor:"1,keyasint"`
	Items  []Item `cbor:"2,keyasint"`
}

// Header says where a batch stands and what the writer had done when it wrote
// it, so that a new writer finds its whole state in the log.
type Header struct {
	Version      uint8    `cbor:"1,keyasint"`
	Shard        uint16   `cbor:"2,keyasint"`
	Epoch        uint64   `cbor:"3,keyasint"`           // grows with each writer; a batch of an older epoch after a newer one is a fork
	Lane         Lane     `cbor:"4,keyasint"`           //
	First        uint64   `cbor:"5,keyasint"`           // index of the first record
	Count        uint32   `cbor:"6,keyasint"`           // records in Items
	Written      int64    `cbor:"7,keyasint"`           // µs, the writer's clock
	IntakeStream int64    `cbor:"8,keyasint"`           // creation time of the intake stream, ns: its sequences mean something only beside it
	Covered      []Range  `cbor:"9,keyasint,omitempty"` // intake sequences wholly dealt with by this batch and those before it
	Size         uint64   `cbor:"10,keyasint"`          // tree size after this batch: First + Count
	Root         Hash     `cbor:"11,keyasint"`          // tree root after this batch
	Edge         [][]byte `cbor:"12,keyasint"`          // roots of the perfect subtrees that make up the tree, largest first
}

// Range is an inclusive range of stream sequences.
type Range struct {
	_     struct{} `cbor:",toarray"`
	First uint64
	Last  uint64
}

// Item is one record with what travels beside it.
type Item struct {
	_      struct{} `cbor:",toarray"`
	Record []byte   // the encoding that the leaf is the hash of
	Sealed []byte   // the sealed personal part; empty where there is none
	Digest []byte   // 8 bytes: keyed digest of the event as published, to tell a duplicate from a conflict
}

// Last is the index of the last record.
func (h *Header) Last() uint64 { return h.First + uint64(h.Count) - 1 }

// Marshal is b as deterministic CBOR. It never fails.
func (b *Batch) Marshal() ([]byte, error) {
	return b.AppendTo(make([]byte, 0, b.size())), nil
}

// size is somewhat more than b takes encoded.
func (b *Batch) size() int {
	size := 256 + 20*len(b.Header.Covered) + 40*len(b.Header.Edge)
	for i := range b.Items {
		it := &b.Items[i]
		size += len(it.Record) + len(it.Sealed) + len(it.Digest) + 16
	}
	return size
}

// UnmarshalBatch reads what Marshal wrote and checks that header and items
// agree. The records inside are not decoded. Items and Edge are parts of data,
// which must not change while they are in use.
func UnmarshalBatch(data []byte) (*Batch, error) {
	b, in := new(Batch), cborReader{b: data}
	b.read(&in)
	if err := in.end(); err != nil {
		return nil, fmt.Errorf("decode batch: %w", err)
	}
	h := &b.Header
	switch {
	case h.Version != BatchVersion:
		return nil, fmt.Errorf("decode batch: version %d, want %d", h.Version, BatchVersion)
	case h.Count == 0 || int(h.Count) != len(b.Items) || h.Count > MaxBatchRecords:
		return nil, fmt.Errorf("decode batch first=%d: count %d with %d items", h.First, h.Count, len(b.Items))
	case h.Size != h.First+uint64(h.Count) || h.Size < h.First:
		return nil, fmt.Errorf("decode batch first=%d: size %d after %d records", h.First, h.Size, h.Count)
	case h.Lane != Control && h.Lane != Access:
		return nil, fmt.Errorf("decode batch first=%d: unknown lane", h.First)
	case !inOrder(h.Covered):
		return nil, fmt.Errorf("decode batch first=%d: covered ranges touch or are out of order", h.First)
	}
	return b, nil
}

// inOrder reports whether ranges are as AddToRanges leaves them.
func inOrder(ranges []Range) bool {
	for i, r := range ranges {
		if r.First > r.Last || i > 0 && (r.First == 0 || ranges[i-1].Last >= r.First-1) {
			return false
		}
	}
	return true
}

// AddToRanges puts seq into ranges, which are sorted and do not touch, and returns
// them so.
func AddToRanges(ranges []Range, seq uint64) []Range {
	i, _ := slices.BinarySearchFunc(ranges, seq, func(r Range, s uint64) int {
		switch {
		case r.Last+1 < s:
			return -1
		case r.Last+1 == s, r.First <= s:
			return 0
		default:
			return 1
		}
	})
	switch {
	case i < len(ranges) && ranges[i].First <= seq && seq <= ranges[i].Last:
	case i < len(ranges) && ranges[i].Last+1 == seq:
		ranges[i].Last = seq
		if i+1 < len(ranges) && ranges[i+1].First == seq+1 {
			ranges[i].Last = ranges[i+1].Last
			ranges = slices.Delete(ranges, i+1, i+2)
		}
	case i < len(ranges) && ranges[i].First == seq+1:
		ranges[i].First = seq
	default:
		ranges = slices.Insert(ranges, i, Range{First: seq, Last: seq})
	}
	return ranges
}

// InRanges reports whether seq is in ranges, which are sorted.
func InRanges(ranges []Range, seq uint64) bool {
	_, found := slices.BinarySearchFunc(ranges, seq, func(r Range, s uint64) int {
		switch {
		case r.Last < s:
			return -1
		case r.First > s:
			return 1
		default:
			return 0
		}
	})
	return found
}
