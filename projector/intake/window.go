package intake

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"github.com/rescindhq/rescind/events"
)

// digest tells two events of one identity apart.
type digest [8]byte

// window remembers the latest events that were logged, at most max.
//
// It is a ring of entries in the order of the log, and over it a hash table
// with open addressing that holds places in the ring: 24 bytes an entry and 5
// to 10 for its slots, without a pointer that the garbage collector would follow
// but one for each chunk. The ring grows by a chunk, the table is doubled.
type window struct {
	max   int
	seed  uint64 // so that nobody can choose ids whose slots are one
	ring  []*[chunkEntries]remembered
	len   int
	next  int      // place of the oldest, which the next one takes, once the ring is full
	slots []uint32 // place in the ring plus one; 0 is free
}

type remembered struct {
	ref    events.Ref
	digest digest
}

const (
	chunkEntries = 4096
	leastSlots   = 1024
)

func newWindow(most int) *window {
	return &window{max: most, seed: rand.Uint64(), slots: make([]uint32, leastSlots)}
}

func (w *window) at(place int) *remembered { return &w.ring[place/chunkEntries][place%chunkEntries] }

// home is where a ref is looked for first.
func (w *window) home(ref events.Ref) int {
	x := (binary.LittleEndian.Uint64(ref[:8]) ^ w.seed) * 0x9E3779B97F4A7C15
	return int(x >> (64 - bits.TrailingZeros(uint(len(w.slots)))))
}

// slot is the slot of ref, or the free one where it would go.
func (w *window) slot(ref events.Ref) int {
	i := w.home(ref)
	for w.slots[i] != 0 && w.at(int(w.slots[i])-1).ref != ref {
		i = (i + 1) & (len(w.slots) - 1)
	}
	return i
}

// find is the digest of the event with that identity, if it is remembered.
func (w *window) find(ref events.Ref) (digest, bool) {
	place := w.slots[w.slot(ref)]
	if place == 0 {
		return digest{}, false
	}
	return w.at(int(place) - 1).digest, true
}

// add remembers an event, and forgets the oldest where there are too many. What
// is remembered already stays as it is: the first one is the fact.
func (w *window) add(ref events.Ref, d digest) {
	if w.slots[w.slot(ref)] != 0 {
		return
	}
	place := w.place()
	*w.at(place) = remembered{ref, d}
	w.slots[w.slot(ref)] = uint32(place + 1)
}

// place is where the next entry goes.
func (w *window) place() int {
	if w.len < w.max {
		w.grow()
		w.len++
		return w.len - 1
	}
	place := w.next
	w.remove(w.at(place).ref)
	w.next = (w.next + 1) % w.len
	return place
}

// grow makes room for one more: the table is at most four fifths full.
func (w *window) grow() {
	if w.len%chunkEntries == 0 {
		w.ring = append(w.ring, new([chunkEntries]remembered))
	}
	if (w.len+1)*5 <= len(w.slots)*4 {
		return
	}
	w.slots = make([]uint32, 2*len(w.slots))
	for i := range w.len {
		w.slots[w.slot(w.at(i).ref)] = uint32(i + 1)
	}
}

// remove frees the slot of ref and moves those behind it up, so that none is
// cut off from its home.
func (w *window) remove(ref events.Ref) {
	mask := len(w.slots) - 1
	free := w.slot(ref)
	for i := (free + 1) & mask; w.slots[i] != 0; i = (i + 1) & mask {
		home := w.home(w.at(int(w.slots[i]) - 1).ref)
		if (i-home)&mask >= (i-free)&mask { // its home is not behind the free slot
			w.slots[free], free = w.slots[i], i
		}
	}
	w.slots[free] = 0
}
