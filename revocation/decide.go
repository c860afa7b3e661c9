package revocation

import (
	"time"

	"github.com/rescindhq/rescind/events"
)

// Decide answers for the token with claims c at the time now: Active, Revoked,
// or Unknown where a key is missing to tell. It takes no lock, does not wait
// for writers and does not allocate, but for the first token of an issuer. The
// answer is that of the set at one moment while it was made, of what has not
// expired by now.
func (s *Set) Decide(c *Claims, now time.Time) Decision {
	at := now.Unix()
	var before, since uint64 // what the last look found, plus one, and what was taken by then
	for {
		changed, taken := s.changed.Load(), s.taken.Load()
		f := s.look(c, at)
		switch {
		case s.taken.Load() != taken: // what was looked at may not have been there together
			before = 0
		case !f.revoked() || s.changed.Load() == changed:
			return f.decision
		case f.row == before && taken == since: // found in two looks: it was the first of all between them
			return f.decision
		default:
			before, since = f.row, taken
		}
	}
}

// found is what one look at every page that may hold a match has come to.
type found struct {
	decision Decision
	row      uint64 // which revocation it was, plus one
}

func (f *found) revoked() bool { return f.decision.State == Revoked }

// match is a row that has effect.
type match struct {
	cutoff int64
	index  uint64
	kind   *kind
}

// outranks reports whether m decides rather than o: by the later cut-off, then
// the narrower scope, then the place in the log.
func (m *match) outranks(o *match) bool {
	switch {
	case o.kind == nil:
		return true
	case m.cutoff != o.cutoff:
		return m.cutoff > o.cutoff
	case m.kind.scope != o.kind.scope:
		return m.kind.scope < o.kind.scope
	default:
		return m.index < o.index
	}
}

func (s *Set) look(c *Claims, now int64) found {
	tenants := s.tenants.Load()
	t := tenants.of[c.Tenant]
	var best match
	for i := range t.keys {
		s.lookUnder(&t.keys[i], c, now, &best)
	}
	switch {
	case best.kind != nil && covers(best.cutoff, c.IssuedAt):
		at := s.timeline(c.Tenant).at(best.index)
		return found{Decision{State: Revoked, Scope: scopes[best.kind.scope], Reason: best.kind.reason, At: time.Unix(at, 0).UTC()}, best.index + 1}
	case t.missing, tenants.keyless:
		return found{decision: Decision{State: Unknown, Cause: CauseCold}}
	default:
		return found{decision: Decision{State: Active}}
	}
}

// covers reports whether a token issued at iat is revoked by a cut-off. Both
// count in whole seconds, because iat mostly does: a token of the same second
// may have been issued before the cut-off.
func covers(cutoff int64, iat events.Timestamp) bool { return seconds(iat) <= cutoff }

// lookUnder finds the match that decides among best and those under one feed
// key. It goes step by step, each for all hashes: the slots of the directory are
// read together, and the pages behind them asked for together, so that the
// memory of all is waited for at the same time.
func (s *Set) lookUnder(key *generation, c *Claims, now int64, best *match) {
	var hashes [len(scopes)]hash
	var all [len(scopes)]lookup
	d := s.dir.Load()
	n := key.hashes(d, c, &hashes)
	for i := range n {
		all[i].begin(d, hashes[i])
	}
	for i := range n {
		all[i].prefetch()
	}
	for i := range n {
		s.finish(&all[i], now, best)
	}
}

// lookup is that of one hash.
type lookup struct {
	hash  hash
	page  *page
	shape shape
	guess int // about where in the page
}

func (l *lookup) begin(d *directory, h hash) {
	at := d.at(h.hi)
	l.hash, l.page, l.shape = h, at.page.Load(), shape(at.shape.Load())
}

// prefetch asks for the memory that finish is going to read.
func (l *lookup) prefetch() {
	l.guess = l.shape.guess(l.hash)
	l.shape.prefetch(l.page, l.guess)
}

func (s *Set) finish(l *lookup, now int64, best *match) {
	if at, there := l.page.find(l.hash, l.guess); there {
		s.match(l.page, at, l.hash, now, best)
	}
}

// match makes the first row of h, from its first in p, that has effect best, if
// it outranks it.
func (s *Set) match(p *page, i int, h hash, now int64, best *match) {
	for ; p.same(i, h); i++ {
		var r row
		p.load(i, &r)
		if r.kind == crowded && !s.inCrowd(&r, h, now) || r.expires <= now || r.starts > now {
			continue
		}
		k, ok := s.kinds.effective(r.kind)
		if !ok {
			continue
		}
		if m := (match{r.cutoff, r.index, k}); m.outranks(best) {
			*best = m
		}
		return
	}
}

// inCrowd makes r the row that decides in the crowd that it stands for, if any
// has effect.
func (s *Set) inCrowd(r *row, h hash, now int64) bool {
	c := s.crowds.get(uint32(r.index))
	if c == nil || c.hash != h { // it was taken away meanwhile, and taken says so
		return false
	}
	*r = row{cutoff: none}
	c.tree.decides(now, &s.kinds, r)
	return r.cutoff != none
}

// Holds reports whether the set holds a revocation of the hash that has effect
// at now: one lookup, of which a decision makes several.
func (s *Set) Holds(h events.Ref, now time.Time) bool {
	for key := hashOf(&h); ; {
		taken := s.taken.Load()
		var best match
		var l lookup
		l.begin(s.dir.Load(), key)
		l.prefetch()
		s.finish(&l, now.Unix(), &best)
		if s.taken.Load() == taken {
			return best.kind != nil
		}
	}
}
