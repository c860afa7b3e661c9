package revocation

import (
	"time"
)

// Sweep drops what has expired by now and returns how many that were. What it
// drops has no effect on a decision at that time or later.
func (s *Set) Sweep(now time.Time) int {
	limit, dropped := now.Unix(), 0
	s.walk(func(p *page, prefix, _ uint64) {
		if p.expires <= limit {
			dropped += s.sweep(p, prefix, limit)
		}
	})
	dropped += s.sweepCrowds(limit)
	s.prune()
	return dropped
}

func (s *Set) sweep(p *page, prefix uint64, limit int64) int {
	all := p.rows(s.rows[:0], prefix)
	s.rows = all
	left := all[:0]
	for _, r := range all {
		if r.expires <= limit {
			s.gone = append(s.gone, r.former())
			continue
		}
		left = append(left, r)
	}
	dropped := len(all) - len(left)
	s.publish(p, left, prefix, true)
	s.living.Add(-int64(dropped))
	s.shrink(prefix)
	return dropped
}

// shrink makes one page of two that have grown small, and the directory no
// larger than its pages need.
func (s *Set) shrink(prefix uint64) {
	for {
		d := s.dir.Load()
		p := d.page(prefix)
		if p.depth == 0 {
			return
		}
		buddy := firstOf(prefix, p.depth) ^ 1<<(64-p.depth)
		b := d.page(buddy)
		if b.depth != p.depth || int(p.n+b.n) > pageRows/2 {
			return
		}
		s.unite(d, p, b, firstOf(prefix, p.depth), buddy)
	}
}

// unite puts one page in the place of two beside each other.
func (s *Set) unite(d *directory, p, b *page, prefix, buddy uint64) {
	if buddy < prefix {
		p, b, prefix, buddy = b, p, buddy, prefix
	}
	rows := b.rows(p.rows(nil, prefix), buddy)
	s.depths[p.depth] -= 2
	s.depths[p.depth-1]++
	s.begin(false)
	d.set(newPage(rows, p.depth-1), prefix)
	s.end(false)
	for d.depth > 0 && s.depths[d.depth] == 0 {
		d = d.halved()
		s.dir.Store(d)
	}
}

// prune drops the points of timelines that no row needs any more, if they have
// become many.
func (s *Set) prune() {
	due := false
	s.locked(func() {
		points := s.points()
		due = points >= pruneFrom && points >= s.Len()/8 && points >= 2*s.pruned
		for i := range s.times {
			if due {
				s.times[i].beginPrune()
			}
		}
	})
	if !due {
		return
	}
	s.walkRows(func(rows []row) {
		for i := range rows {
			if k := s.kinds.get(rows[i].kind); k.known {
				s.timeline(k.key.Tenant).need(rows[i].index)
			}
		}
	})
	s.locked(func() {
		s.begin(true)
		for i := range s.times {
			s.times[i].endPrune()
		}
		s.end(true)
		s.pruned = s.points()
	})
}
