package revocation

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Set is what the entries applied to it amount to. The zero Set is not ready:
// use NewSet.
type Set struct {
	mu      sync.RWMutex
	heads   map[events.Ref]uint32 // hash -> place of its first item, plus one
	items   []item
	free    []uint32
	living  int // items in use
	reasons table[string]
	madeBy  table[KeyID]
	keys    map[string][]events.FeedKey // by tenant
	missing map[string]int              // tenant -> keys in madeBy that keys lacks
}

// item is everything that is known of one revocation. Merging what two entries
// say of it takes the join of each member, so that order and repetition do not
// matter.
type item struct {
	hash     events.Ref
	index    uint64
	cutoff   events.Timestamp // greatest
	starts   events.Timestamp // least
	expires  events.Timestamp // greatest, of revocation and lift
	at       events.Timestamp // least, with the members below
	reason   uint32
	key      uint32
	next     uint32 // place of the next item of this hash, plus one; 0 ends
	scope    int8
	liftedBy KeyID
	known    bool // a revocation was applied; else only a lift
	lifted   bool
}

// NewSet is an empty set of tenants in so many shards, without keys.
func NewSet(shards int) *Set {
	return &Set{heads: make(map[events.Ref]uint32), keys: make(map[string][]events.FeedKey), missing: make(map[string]int)}
}

// applyStep bounds how long Apply keeps readers waiting.
const applyStep = 256

// Apply adds entries. It ignores those that are not valid, which the signed
// messages and EntryOf never yield.
func (s *Set) Apply(entries ...Entry) {
	for part := range slices.Chunk(entries, applyStep) {
		s.mu.Lock()
		for i := range part {
			if e := part[i].whole(); e.validate() == nil {
				s.apply(&e)
			}
		}
		s.mu.Unlock()
	}
}

func (s *Set) apply(e *Entry) {
	it := s.find(e.Hash, e.Index)
	it.expires = max(it.expires, orForever(e.Expires))
	if e.Lift {
		it.lifted = true
		if !it.known {
			it.liftedBy = e.Key
		}
		return
	}
	if !it.known {
		it.starts = e.Starts
	}
	it.starts = min(it.starts, e.Starts)
	it.cutoff = max(it.cutoff, orForever(e.IssuedBefore))
	if !it.known {
		it.at = e.At
	}
	it.at = min(it.at, e.At)
	if !it.known || s.compareDetail(e, it) < 0 {
		s.setDetail(it, e)
	}
}

// find is the item of a revocation, made where there is none.
func (s *Set) find(hash events.Ref, index uint64) *item {
	for at := s.heads[hash]; at != 0; at = s.items[at-1].next {
		if s.items[at-1].index == index {
			return &s.items[at-1]
		}
	}
	at := s.place()
	s.items[at] = item{hash: hash, index: index, next: s.heads[hash]}
	s.heads[hash] = at + 1
	s.living++
	return &s.items[at]
}

func (s *Set) place() uint32 {
	if last := len(s.free) - 1; last >= 0 {
		at := s.free[last]
		s.free = s.free[:last]
		return at
	}
	s.items = append(s.items, item{})
	return uint32(len(s.items) - 1)
}

// compareDetail orders what e says of a revocation against what is held of it:
// the earliest is kept.
func (s *Set) compareDetail(e *Entry, it *item) int {
	return cmp.Or(cmp.Compare(int8(rank(e.Scope)), it.scope), cmp.Compare(e.Reason, s.reasons.values[it.reason]),
		e.Key.compare(s.madeBy.values[it.key]))
}

func (s *Set) setDetail(it *item, e *Entry) {
	old := *it
	it.scope, it.known = int8(rank(e.Scope)), true
	it.reason, _ = s.reasons.take(e.Reason)
	key, isNew := s.madeBy.take(e.Key)
	it.key = key
	if isNew && !s.holds(e.Key) {
		s.missing[e.Key.Tenant]++
	}
	if old.known {
		s.releaseDetail(&old)
	}
}

func (s *Set) releaseDetail(it *item) {
	s.reasons.release(it.reason)
	key := s.madeBy.values[it.key]
	if s.madeBy.release(it.key) && !s.holds(key) {
		if s.missing[key.Tenant]--; s.missing[key.Tenant] == 0 {
			delete(s.missing, key.Tenant)
		}
	}
}

func (s *Set) holds(id KeyID) bool {
	return slices.ContainsFunc(s.keys[id.Tenant], func(k events.FeedKey) bool { return k.Generation == id.Generation })
}

// SetKeys replaces the feed keys: every living generation of every tenant that
// the set is to decide for.
func (s *Set) SetKeys(keys []events.FeedKey) {
	byTenant := make(map[string][]events.FeedKey)
	for _, k := range keys {
		byTenant[k.Tenant] = append(byTenant[k.Tenant], k)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = byTenant
	clear(s.missing)
	for id := range s.madeBy.index {
		if !s.holds(id) {
			s.missing[id.Tenant]++
		}
	}
}

// Missing lists the feed keys that entries were made with and that the set was
// not given.
func (s *Set) Missing() []KeyID {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.missing) == 0 {
		return nil
	}
	var out []KeyID
	for id := range s.madeBy.index {
		if !s.holds(id) {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, KeyID.compare)
	return out
}

// Len is the number of revocations held, lifted ones among them.
func (s *Set) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.living
}

// Sweep drops what has expired and returns how many that were.
func (s *Set) Sweep(now time.Time) int {
	limit, dropped := events.TimestampOf(now), 0
	for from := 0; ; from += applyStep {
		s.mu.Lock()
		if from >= len(s.items) {
			s.mu.Unlock()
			return dropped
		}
		for at := from; at < min(from+applyStep, len(s.items)); at++ {
			if it := &s.items[at]; !it.hash.IsZero() && it.expires <= limit {
				s.drop(uint32(at))
				dropped++
			}
		}
		s.mu.Unlock()
	}
}

func (s *Set) drop(at uint32) {
	it := &s.items[at]
	if s.heads[it.hash] == at+1 {
		s.heads[it.hash] = it.next
		if it.next == 0 {
			delete(s.heads, it.hash)
		}
	} else {
		before := s.heads[it.hash]
		for s.items[before-1].next != at+1 {
			before = s.items[before-1].next
		}
		s.items[before-1].next = it.next
	}
	if it.known {
		s.releaseDetail(it)
	}
	*it = item{}
	s.free = append(s.free, at)
	s.living--
}

// Entries is the whole set as entries, in their one order.
func (s *Set) Entries() []Entry {
	s.mu.RLock()
	out := make([]Entry, 0, s.living)
	for i := range s.items {
		out = s.appendEntries(out, &s.items[i])
	}
	s.mu.RUnlock()
	slices.SortFunc(out, func(a, b Entry) int { return a.compare(&b) })
	return out
}

func (s *Set) appendEntries(out []Entry, it *item) []Entry {
	if it.known {
		out = append(out, Entry{Hash: it.hash, Index: it.index, Scope: scopes[it.scope], IssuedBefore: orZero(it.cutoff), Starts: it.starts,
			Expires: orZero(it.expires), At: it.at, Reason: s.reasons.values[it.reason], Key: s.madeBy.values[it.key]})
	}
	if it.lifted {
		out = append(out, Entry{Hash: it.hash, Index: it.index, Lift: true, Expires: orZero(it.expires), Key: s.liftKey(it)})
	}
	return out
}

func (s *Set) liftKey(it *item) KeyID {
	if it.known {
		return s.madeBy.values[it.key]
	}
	return it.liftedBy
}

// Decide answers for the token with claims c at the time now: Active, Revoked,
// or Unknown where a key is missing to tell. It does not allocate.
func (s *Set) Decide(c *Claims, now time.Time) Decision {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var best *item
	for i := range s.keys[c.Tenant] {
		best = s.decideUnder(&s.keys[c.Tenant][i], c, events.TimestampOf(now), best)
	}
	switch {
	case best != nil && best.covers(c.IssuedAt):
		return Decision{State: Revoked, Scope: scopes[best.scope], Reason: s.reasons.values[best.reason], At: best.at.Time()}
	case len(s.missing) > 0 && s.missing[c.Tenant] > 0:
		return Decision{State: Unknown, Cause: CauseCold}
	default:
		return Decision{State: Active}
	}
}

// decideUnder is the item with the latest cut-off among best and the living
// items that match c under one feed key.
func (s *Set) decideUnder(key *events.FeedKey, c *Claims, now events.Timestamp, best *item) *item {
	for _, scope := range scopes {
		id, ok := c.id(scope)
		if !ok {
			continue
		}
		for at := s.heads[key.Hash(scope, c.Issuer, id)]; at != 0; at = s.items[at-1].next {
			it := &s.items[at-1]
			if it.known && !it.lifted && it.expires > now && it.starts <= now && (best == nil || it.outranks(best)) {
				best = it
			}
		}
	}
	return best
}

// outranks reports whether it decides rather than o: by the later cut-off,
// then the narrower scope, then the earlier revocation.
func (it *item) outranks(o *item) bool {
	return cmp.Or(-cmp.Compare(it.cutoff, o.cutoff), cmp.Compare(it.scope, o.scope),
		cmp.Compare(it.index, o.index)) < 0
}

// covers reports whether a token issued at iat is revoked. Both count in whole
// seconds, because iat mostly does: a token of the same second may have been
// issued before the cut-off.
func (it *item) covers(iat events.Timestamp) bool {
	return it.cutoff == forever || iat/1000 <= it.cutoff/1000
}
