package revocation

import "cmp"

// kind is what many rows have in common.
type kind struct {
	scope  int8 // place in Scopes; not used where only a lift is known
	known  bool // a revocation was applied; else only a lift
	lifted bool
	reason string
	key    KeyID // that made the hash
}

// effective reports whether rows of k have effect while they last. The others need no
// feed key: whatever they are the hash of, it is not revoked by them.
func (k *kind) effective() bool { return k.known && !k.lifted }

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

// kinds numbers kinds.
type kinds struct {
	numbering[kind]

	// Of the writer.
	numbers map[kind]uint32
	refs    []int // by number
}

func (t *kinds) init() {
	t.numbering.init()
	t.numbers = make(map[kind]uint32)
}

// take is the number of k, with one more reference to it.
func (t *kinds) take(k *kind) uint32 {
	n, there := t.numbers[*k]
	if !there {
		n = t.number()
		copied := *k
		t.numbers[copied] = n
		t.store(n, &copied)
		if int(n) == len(t.refs) {
			t.refs = append(t.refs, 0)
		}
	}
	t.refs[n]++
	return n
}

// release gives back one reference to n.
func (t *kinds) release(n uint32) {
	if t.refs[n]--; t.refs[n] == 0 {
		delete(t.numbers, *t.get(n))
		t.drop(n)
	}
}
