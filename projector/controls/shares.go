package controls

// shares is a map for each tenant. It keeps what was put first, up to a bound
// for one tenant, so that none takes the room of the others, and up to a bound
// for all of them, so that memory is bounded however many there are. Nothing
// makes room for what is new: a rule cannot be sure about what was forgotten.
type shares[K comparable, V any] struct {
	one, all int // the most entries of a tenant, and of all together
	size     int
	of       map[string]*share[K, V] // each with an entry, or it would not be bounded
	lost     bool                    // of a tenant that is not in of something did not fit
}

type share[K comparable, V any] struct {
	entries map[K]V
	lost    bool // something did not fit
}

func newShares[K comparable, V any](one, all int) shares[K, V] {
	return shares[K, V]{one: one, all: all, of: map[string]*share[K, V]{}}
}

func (s *shares[K, V]) get(tenant string, k K) (v V, found bool) {
	if t := s.of[tenant]; t != nil {
		v, found = t.entries[k]
	}
	return v, found
}

// whole reports whether everything that was put for tenant is remembered. Where
// something of a tenant without an entry did not fit, all such tenants count as
// that one.
func (s *shares[K, V]) whole(tenant string) bool {
	if t := s.of[tenant]; t != nil {
		return !t.lost
	}
	return !s.lost
}

// full is the bound that keeps k of tenant out, 0 where it is there or fits.
func (s *shares[K, V]) full(tenant string, k K) int {
	t := s.of[tenant]
	if t != nil {
		if _, there := t.entries[k]; there {
			return 0
		}
	}
	switch {
	case t != nil && len(t.entries) >= s.one:
		return s.one
	case s.size >= s.all:
		return s.all
	default:
		return 0
	}
}

// put remembers v as k of tenant, or that it did not fit.
func (s *shares[K, V]) put(tenant string, k K, v V) {
	fits, t := s.full(tenant, k) == 0, s.of[tenant]
	switch {
	case !fits && t == nil:
		s.lost = true
		return
	case !fits:
		t.lost = true
		return
	case t == nil:
		t = &share[K, V]{entries: map[K]V{}}
		s.of[tenant] = t
	}
	before := len(t.entries)
	t.entries[k] = v
	s.size += len(t.entries) - before
}
