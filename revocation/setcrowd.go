package revocation

import (
	"slices"
)

// gather makes a crowd of rows of the page. Readers find it once the page is
// published.
func (s *Set) gather(from, to int) {
	r := s.crowd(slices.Clone(s.rows[from:to]))
	s.rows = slices.Insert(slices.Delete(s.rows, from, to), from, r)
}

// crowd is the row that stands for a crowd of rows, which it keeps.
func (s *Set) crowd(rows []row) row {
	n := s.crowds.number()
	s.crowds.store(n, newCrowd(rows, &s.kinds))
	return row{hash: rows[0].hash, index: uint64(n), cutoff: endless, expires: endless, kind: crowded}
}

// applyToCrowd adds entries, in the order of their index, to a crowd.
func (s *Set) applyToCrowd(number uint32, entries []placed) {
	c := s.crowds.get(number)
	taken, different := false, false
	s.added = s.added[:0]
	for i := range entries {
		e := entries[i].entry
		if n := len(s.added); n == 0 || s.added[n-1].index != e.Index {
			r, there := c.tree.find(e.Index)
			if !there {
				s.added, different = append(s.added, s.newRow(e, c.hash)), true
				continue
			}
			s.added = append(s.added, r)
		}
		r := &s.added[len(s.added)-1]
		was := *r
		if moved := s.join(r, e); moved || *r != was {
			taken, different = true, true
		}
	}
	if different {
		c = c.with(s.added, &s.kinds)
		s.begin(taken)
		s.crowds.store(number, c)
		s.end(taken)
	}
}

func (s *Set) walkCrowd(r *row, visit func(rows []row)) {
	for from, more := uint64(0), true; more; {
		s.locked(func() {
			c, budget := s.crowds.get(uint32(r.index)), walkStep
			if more = c != nil && c.hash == r.hash; more {
				from = c.tree.visit(from, &budget, visit)
				more = from > 0 && from <= c.tree.last
			}
		})
	}
}

// sweepCrowds drops what has expired by a limit from crowds, and those of which
// nothing is left.
func (s *Set) sweepCrowds(limit int64) (dropped int) {
	for n, more := uint32(0), true; more; n++ {
		for due := true; due; {
			s.locked(func() {
				var some int
				some, due = s.sweepCrowd(n, limit)
				dropped += some
				more = int(n) < s.crowds.given
			})
		}
	}
	return dropped
}

// sweepCrowd drops what has expired from some leaves of a crowd. It reports
// whether there may be more.
func (s *Set) sweepCrowd(n uint32, limit int64) (dropped int, more bool) {
	c, budget := s.crowds.get(n), walkStep
	if c == nil || c.tree.sweep > limit {
		return 0, false
	}
	parts, gone := c.tree.without(limit, &budget, &s.kinds, s.gone)
	s.gone, dropped = gone, len(gone)
	s.living.Add(-int64(dropped))
	if len(parts) == 0 {
		s.disperse(n, c.hash)
		return dropped, false
	}
	s.begin(true)
	s.crowds.store(n, &crowd{c.hash, grown(parts)})
	s.end(true)
	return dropped, true
}

// disperse takes the row of a crowd from its page. Whoever still reads that page
// looks again, as something was taken.
func (s *Set) disperse(n uint32, h hash) {
	p := s.dir.Load().page(h.hi)
	s.rows = p.rows(s.rows[:0], firstOf(h.hi, p.depth))
	from, to := s.rowsOf(h)
	s.publish(p, slices.Delete(s.rows, from, to), h.hi, true)
	s.crowds.drop(n)
	s.shrink(h.hi)
}
