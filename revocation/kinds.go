package revocation

import (
	"cmp"
	"sync/atomic"
)

// kind is what many rows have in common.
type kind struct {
	scope  int8 // place in Scopes; not used where only a lift is known
	known  bool // a revocation was applied; else only a lift
	lifted bool
	reason string
	key    KeyID // that made the hash
}

// join is what k and o, of one revocation, say together: something known before
// nothing, of what is known the least, and lifted if either is.
func (k kind) join(o kind) kind {
	lifted := k.lifted || o.lifted
	if o.compare(&k) < 0 {
		k = o
	}
	k.lifted = lifted
	return k
}

func (k *kind) compare(o *kind) int {
	return cmp.Or(cmpBool(o.known, k.known), cmp.Compare(k.scope, o.scope), cmp.Compare(k.reason, o.reason), k.key.compare(o.key))
}

// kinds numbers kinds. A number is given to another kind only once no page has
// it any more; whoever reads an old page finds out by the set's taken counter.
type kinds struct {
	slots atomic.Pointer[[]atomic.Pointer[kind]] // for readers, by number

	// Of the writer.
	numbers map[kind]uint32
	refs    []int // by number
	free    []uint32
}

func (t *kinds) init() {
	t.numbers = make(map[kind]uint32)
	slots := make([]atomic.Pointer[kind], 16)
	t.slots.Store(&slots)
}

// get is a kind by its number, nil where it has none any more.
func (t *kinds) get(n uint32) *kind {
	if slots := *t.slots.Load(); int(n) < len(slots) {
		return slots[n].Load()
	}
	return nil
}

// take is the number of k, with one more reference to it.
func (t *kinds) take(k *kind) uint32 {
	n, there := t.numbers[*k]
	if !there {
		n = t.number()
		t.numbers[*k] = n
		t.store(n, k)
	}
	t.refs[n]++
	return n
}

func (t *kinds) number() uint32 {
	if last := len(t.free) - 1; last >= 0 {
		n := t.free[last]
		t.free = t.free[:last]
		return n
	}
	t.refs = append(t.refs, 0)
	return uint32(len(t.refs) - 1)
}

func (t *kinds) store(n uint32, k *kind) {
	slots := *t.slots.Load()
	if int(n) >= len(slots) {
		more := make([]atomic.Pointer[kind], 2*len(slots))
		for i := range slots {
			more[i].Store(slots[i].Load())
		}
		t.slots.Store(&more)
		slots = more
	}
	copied := *k
	slots[n].Store(&copied)
}

// release gives back one reference to n.
func (t *kinds) release(n uint32) {
	if t.refs[n]--; t.refs[n] > 0 {
		return
	}
	slots := *t.slots.Load()
	delete(t.numbers, *slots[n].Load())
	slots[n].Store(nil)
	t.free = append(t.free, n)
}
