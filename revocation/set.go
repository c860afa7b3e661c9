package revocation

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rescindhq/rescind/events"
)

// Set is what the entries applied to it amount to. The zero Set is not ready:
// use NewSet. Readers load what is below without a lock; writers take turns.
type Set struct {
	dir     atomic.Pointer[directory]
	kinds   kinds
	crowds  numbering[crowd]
	times   []timeline // by shard
	tenants atomic.Pointer[tenants]
	living  atomic.Int64

	// What tells readers that several loads may not fit together. Each is
	// counted before and after a change, so that two equal readings have at
	// most one change between them.
	_       [64]byte
	changed atomic.Uint64 // any change
	taken   atomic.Uint64 // one that takes something away, or gives a number to another kind
	_       [64]byte

	mu     sync.Mutex // for the rest
	depths [65]int    // pages by their depth
	madeBy map[KeyID]*made
	keys   map[string][]events.FeedKey // by tenant
	batch  []Entry
	order  []placed
	rows   []row
	added  []row    // of a crowd
	gone   []former // of rows, not given back yet
	noted  bool     // whether tenants says what keys and madeBy do
	pruned int      // points when they were last pruned
}

// NewSet is an empty set of tenants in so many shards, without keys.
func NewSet(shards int) *Set {
	s := &Set{times: make([]timeline, max(shards, 1)), madeBy: make(map[KeyID]*made)}
	for i := range s.times {
		s.times[i].init()
	}
	s.kinds.init()
	s.crowds.init()
	s.noteTenants()
	d := newDirectory(0)
	d.set(newPage(nil, 0), 0)
	s.dir.Store(d)
	s.depths[0] = 1
	return s
}

// applyStep bounds how long one writer keeps another waiting.
const applyStep = 256

// Apply adds entries. It ignores those that are not valid, which the signed
// messages and EntryOf never yield.
func (s *Set) Apply(entries ...Entry) {
	for part := range slices.Chunk(entries, applyStep) {
		s.locked(func() { s.apply(part) })
	}
}

// locked takes the writer's turn. What the turn took away is given back when
// every page and crowd of it is published, and what it changed of keys is noted
// once.
func (s *Set) locked(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	s.releaseKinds()
	if !s.noted && s.keys != nil {
		s.noteTenants()
	}
}

func (s *Set) apply(entries []Entry) {
	s.batch = s.batch[:0]
	for i := range entries {
		if entries[i].validate() == nil {
			s.batch = append(s.batch, entries[i].whole())
		}
	}
	s.order = s.order[:0]
	for i := range s.batch {
		s.order = append(s.order, placed{hashOf(&s.batch[i].Hash), &s.batch[i]})
	}
	slices.SortFunc(s.order, func(a, b placed) int { // entries commute
		return cmp.Or(a.hash.compare(b.hash), cmp.Compare(a.entry.Index, b.entry.Index))
	})
	for rest := s.order; len(rest) > 0; {
		n := s.together(rest)
		s.applyTo(rest[:n])
		rest = rest[n:]
	}
	clear(s.batch)
}

// placed is an entry beside its hash.
type placed struct {
	hash  hash
	entry *Entry
}

// together is how many of the entries, from the first, go into one page at
// once: only one where the page has several slots, as those are not replaced at
// one moment.
func (s *Set) together(entries []placed) int {
	d := s.dir.Load()
	first := entries[0].hash
	if d.page(first.hi).depth < d.depth {
		return 1
	}
	for i := 1; i < len(entries); i++ {
		if d.slot(entries[i].hash.hi) != d.slot(first.hi) {
			return i
		}
	}
	return len(entries)
}

// applyTo adds entries of one page.
func (s *Set) applyTo(entries []placed) {
	hi := entries[0].hash.hi
	p := s.dir.Load().page(hi)
	s.rows = p.rows(s.rows[:0], firstOf(hi, p.depth))
	taken, different := false, false
	for len(entries) > 0 {
		h, n := entries[0].hash, 1
		for n < len(entries) && entries[n].hash == h {
			n++
		}
		t, d := s.applyToHash(h, entries[:n])
		taken, different, entries = taken || t, different || d, entries[n:]
	}
	if different {
		s.publish(p, s.rows, hi, taken)
	}
}

// applyToHash adds entries of one hash, in the order of their index, to the rows
// of its page or to its crowd. It reports whether something that was in the page
// may be so no more, and whether anything in it is different.
func (s *Set) applyToHash(h hash, entries []placed) (taken, different bool) {
	for i := range entries {
		from, to := s.rowsOf(h)
		if from < to && s.rows[from].kind == crowded {
			s.applyToCrowd(uint32(s.rows[from].index), entries[i:])
			return taken, different
		}
		t, d := s.merge(from, to, h, entries[i].entry)
		taken, different = taken || t, different || d
		if from, to = s.rowsOf(h); to-from > crowdRows {
			s.gather(from, to)
		}
	}
	return taken, different
}

// rowsOf is where the rows of h are among those of its page.
func (s *Set) rowsOf(h hash) (from, to int) {
	from, _ = slices.BinarySearchFunc(s.rows, h, func(r row, h hash) int { return r.hash.compare(h) })
	for to = from; to < len(s.rows) && s.rows[to].hash == h; to++ {
	}
	return from, to
}

// merge adds e to the rows of its page, where those of its hash are from one
// place to before another. It reports whether something that was there may be so
// no more, and whether anything is different.
func (s *Set) merge(from, to int, h hash, e *Entry) (taken, different bool) {
	at := from + slices.IndexFunc(s.rows[from:to], func(r row) bool { return r.index == e.Index })
	if at < from {
		s.insert(s.newRow(e, h))
		return false, true
	}
	r := s.rows[at]
	moved := s.join(&r, e)
	if r == s.rows[at] {
		return moved, moved
	}
	s.rows = slices.Delete(s.rows, at, at+1)
	s.insert(r)
	return true, true
}

// insert puts r where it belongs among the rows of its page.
func (s *Set) insert(r row) {
	at, _ := slices.BinarySearchFunc(s.rows, &r, func(a row, r *row) int { return a.compare(r) })
	s.rows = slices.Insert(s.rows, at, r)
}

func kindOf(e *Entry) kind {
	if e.Lift {
		return kind{lifted: true, key: e.Key}
	}
	return kind{scope: int8(rank(e.Scope)), known: true, reason: e.Reason, key: e.Key}
}

func (s *Set) newRow(e *Entry, h hash) row {
	s.living.Add(1)
	k := kindOf(e)
	r := row{hash: h, index: e.Index, cutoff: endless, expires: bound(e.Expires), kind: s.takeKind(&k, h)}
	if k.known {
		r.cutoff, r.starts = bound(e.IssuedBefore), seconds(e.Starts)
		s.timeline(k.key.Tenant).set(e.Index, seconds(e.At))
	}
	return r
}

// join adds to r what e says of the same revocation: the widest bounds, the
// earliest time. It reports whether the time moved.
func (s *Set) join(r *row, e *Entry) (moved bool) {
	was := *s.kinds.get(r.kind)
	is := was.join(kindOf(e))
	r.expires = max(r.expires, bound(e.Expires))
	if !e.Lift {
		cutoff, starts := bound(e.IssuedBefore), seconds(e.Starts)
		if was.known {
			cutoff, starts = max(cutoff, r.cutoff), min(starts, r.starts)
		}
		r.cutoff, r.starts = cutoff, starts
		t := s.timeline(is.key.Tenant)
		if moved = !was.known || seconds(e.At) < t.at(r.index); moved {
			t.set(r.index, seconds(e.At))
		}
	}
	if is != was {
		s.gone = append(s.gone, r.former())
		r.kind = s.takeKind(&is, r.hash)
	}
	return moved
}

func (s *Set) timeline(tenant string) *timeline {
	return &s.times[events.ShardOf(tenant, len(s.times))]
}

// takeKind is a number for k, which a row of hash h has, and sees to it that its
// key is asked for where it has effect.
func (s *Set) takeKind(k *kind, h hash) uint32 {
	if k.effective() {
		m := s.by(k.key)
		if m.add(k.scope, h.part()); m.rows == 1 && !s.holds(k.key) {
			s.noted = false
		}
	}
	return s.kinds.take(k)
}

// former is what is given back for a row, or for what it was of, that no page has
// any more.
type former struct {
	kind uint32
	part uint8 // of all hashes
}

func (r *row) former() former { return former{r.kind, r.hash.part()} }

// releaseKinds gives back the numbers of rows that are gone from every page.
func (s *Set) releaseKinds() {
	for _, was := range s.gone {
		k := *s.kinds.get(was.kind)
		s.kinds.release(was.kind)
		if !k.effective() {
			continue
		}
		m := s.by(k.key)
		if m.take(k.scope, was.part); m.rows == 0 && !s.holds(k.key) {
			delete(s.madeBy, k.key)
			s.noted = false
		}
	}
	s.gone = s.gone[:0]
}

// begin and end surround a change that readers may see half of.
func (s *Set) begin(taken bool) {
	if taken {
		s.taken.Add(1)
	}
	s.changed.Add(1)
}

func (s *Set) end(taken bool) {
	s.changed.Add(1)
	if taken {
		s.taken.Add(1)
	}
}

// publish puts rows in place of p, in which hi is, in as many pages as they
// need.
func (s *Set) publish(p *page, rows []row, hi uint64, taken bool) {
	depth, prefix := p.depth, firstOf(hi, p.depth)
	deepest := mayHave(s.living.Load() + int64(len(rows)))
	var pages []*page
	var prefixes []uint64
	divide(rows, depth, max(depth, deepest), prefix, func(p *page, prefix uint64) {
		pages, prefixes = append(pages, p), append(prefixes, prefix)
	})
	d := s.dir.Load()
	for _, p := range pages {
		for d.depth < p.depth {
			d = d.doubled()
		}
		s.depths[p.depth]++
	}
	s.depths[depth]--
	s.begin(taken)
	for i, p := range pages {
		d.set(p, prefixes[i])
	}
	s.dir.Store(d) // where it is another, readers see all of it at one moment
	s.end(taken)
}

// divide makes pages of rows that begin with a prefix, none of them with more
// than pageRows rows but those of the deepest.
func divide(rows []row, depth, deepest uint8, prefix uint64, yield func(*page, uint64)) {
	if len(rows) <= pageRows || depth >= deepest {
		yield(newPage(rows, depth), prefix)
		return
	}
	right := prefix | 1<<(63-depth)
	cut, _ := slices.BinarySearchFunc(rows, right, func(r row, hi uint64) int { return cmpUint(r.hash.hi, hi) })
	divide(rows[:cut], depth+1, deepest, prefix, yield)
	divide(rows[cut:], depth+1, deepest, right, yield)
}

// Len is the number of revocations held, lifted ones among them.
func (s *Set) Len() int { return int(s.living.Load()) }

// walk calls visit with every page and the first hash of its place, in the
// order of hashes, and takes the writer's turn for some pages at a time. A page
// that was merged meanwhile with one before it is visited again: hashes before
// from are known.
func (s *Set) walk(visit func(p *page, prefix, from uint64)) {
	for from, more := uint64(0), true; more; {
		s.locked(func() {
			for n := 0; more && n < walkStep; n++ {
				p := s.dir.Load().page(from)
				prefix := firstOf(from, p.depth)
				visit(p, prefix, from)
				from = prefix + 1<<(64-p.depth)
				more = from != 0
			}
		})
	}
}

// walkRows calls visit with the rows of every page, then with those of every
// crowd that had its row there, and takes the writer's turn for some pages or
// leaves at a time. Each is visited once; those that are applied meanwhile may
// be left out.
func (s *Set) walkRows(visit func(rows []row)) {
	var crowds []row
	s.walk(func(p *page, prefix, from uint64) {
		s.rows = p.rows(s.rows[:0], prefix)
		visit(slices.DeleteFunc(s.rows, func(r row) bool {
			if r.hash.hi >= from && r.kind == crowded {
				crowds = append(crowds, r)
			}
			return r.hash.hi < from || r.kind == crowded
		}))
	})
	for i := range crowds {
		s.walkCrowd(&crowds[i], visit)
	}
}

// walkStep is how many pages are looked at before other writers have a turn.
const walkStep = 64

// pruneFrom is how many points there are at least before they are looked
// through. As long as there is one for eight rows, they do not matter.
const pruneFrom = 1024

// points is how many points all timelines have.
func (s *Set) points() (n int) {
	for i := range s.times {
		n += s.times[i].points
	}
	return n
}
