package revocation

// table gives small numbers to values that many entries share, and takes them
// back when the last entry is gone. It is owned by the mutex of its Set.
type table[T comparable] struct {
	index  map[T]uint32
	values []T
	refs   []int
	free   []uint32
}

// take is the number of v, with one more reference to it. isNew reports
// whether v had none.
func (t *table[T]) take(v T) (n uint32, isNew bool) {
	if n, ok := t.index[v]; ok {
		t.refs[n]++
		return n, false
	}
	if t.index == nil {
		t.index = make(map[T]uint32)
	}
	if last := len(t.free) - 1; last >= 0 {
		n, t.free = t.free[last], t.free[:last]
	} else {
		n = uint32(len(t.values))
		t.values, t.refs = append(t.values, v), append(t.refs, 0)
	}
	t.values[n], t.refs[n], t.index[v] = v, 1, n
	return n, true
}

// release gives back one reference to n. It reports whether it was the last.
func (t *table[T]) release(n uint32) bool {
	if t.refs[n]--; t.refs[n] > 0 {
		return false
	}
	var none T
	delete(t.index, t.values[n])
	t.values[n] = none
	t.free = append(t.free, n)
	return true
}
