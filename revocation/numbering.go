package revocation

import "sync/atomic"

// numbering gives numbers to values, for readers without a lock. A number is
// given again only once no page has it any more; whoever reads an old page finds
// out by the set's taken counter.
type numbering[T any] struct {
	slots atomic.Pointer[[]atomic.Pointer[T]] // for readers, by number

	// Of the writer.
	given int // numbers so far
	free  []uint32
}

func (t *numbering[T]) init() {
	slots := make([]atomic.Pointer[T], 16)
	t.slots.Store(&slots)
}

// get is what has a number, nil where nothing has it any more.
func (t *numbering[T]) get(n uint32) *T {
	if slots := *t.slots.Load(); int(n) < len(slots) {
		return slots[n].Load()
	}
	return nil
}

// number is one that nothing has.
func (t *numbering[T]) number() uint32 {
	if last := len(t.free) - 1; last >= 0 {
		n := t.free[last]
		t.free = t.free[:last]
		return n
	}
	t.given++
	return uint32(t.given - 1)
}

// store gives a number to v.
func (t *numbering[T]) store(n uint32, v *T) {
	slots := *t.slots.Load()
	if int(n) >= len(slots) {
		more := make([]atomic.Pointer[T], 2*len(slots))
		for i := range slots {
			more[i].Store(slots[i].Load())
		}
		t.slots.Store(&more)
		slots = more
	}
	slots[n].Store(v)
}

// drop takes its number from a value.
func (t *numbering[T]) drop(n uint32) {
	(*t.slots.Load())[n].Store(nil)
	t.free = append(t.free, n)
}
