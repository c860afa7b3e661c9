package controls

// recent is a map that remembers at least the last max/2 entries put into it,
// and never more than max.
type recent[K comparable, V any] struct {
	half      int
	new, past map[K]V
}

func newRecent[K comparable, V any](most int) recent[K, V] {
	return recent[K, V]{half: most / 2, new: map[K]V{}}
}

func (r *recent[K, V]) get(k K) (V, bool) {
	if v, ok := r.new[k]; ok {
		return v, true
	}
	v, ok := r.past[k]
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if len(r.new) >= r.half {
		r.past, r.new = r.new, make(map[K]V, r.half)
	}
	r.new[k] = v
}

func (r *recent[K, V]) remove(k K) {
	delete(r.new, k)
	delete(r.past, k)
}
