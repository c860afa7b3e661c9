package revocation

import (
	"slices"
	"sync/atomic"

	"github.com/rescindhq/rescind/events"
)

// tenants is what a decision needs to know of each tenant. It is replaced as a
// whole.
type tenants struct {
	of      map[string]tenant
	missing []KeyID // that revocations were made with and that are not there, in order
	keyless bool    // whether nobody ever gave keys: then of and missing may lack what came last
}

type tenant struct {
	keys    []generation
	missing bool // one of its keys
}

// generation is a feed key, and what was made with it.
type generation struct {
	events.FeedKey
	tenant  hash // of the tenant's revocations: it is the same for every token
	issuers *issuers
	made    *made
}

func newGeneration(k events.FeedKey, of *made) generation {
	h := k.Hash(events.ScopeTenant, "", "")
	return generation{k, hashOf(&h), new(issuers), of}
}

// hashes are those of the token with claims c that there may be a revocation of,
// and how many. Parts of scopes that no revocation under the key is in are left
// out. Their slots in d are asked for, so that they come while others are hashed.
func (g *generation) hashes(d *directory, c *Claims, out *[len(scopes)]hash) (n int) {
	var of *issuer
	asked := false
	for i := range scopes {
		held := g.made.held[i].Load()
		if held == 0 {
			continue
		}
		if !asked && i != ofTenant {
			of, asked = g.issuers.get(&g.FeedKey, c.Issuer), true
		}
		if h, ok := g.hash(of, i, c); ok && held>>h.part()&1 != 0 {
			d.at(h.hi).prefetch()
			out[n] = h
			n++
		}
	}
	return n
}

// hash is that of a scope, if the token has an identifier for it. Nothing may be
// kept of its issuer.
func (g *generation) hash(of *issuer, rank int, c *Claims) (h hash, ok bool) {
	id, ok := c.id(scopes[rank])
	switch {
	case !ok:
		return hash{}, false
	case rank == ofTenant:
		return g.tenant, true
	case of == nil:
		r := g.Hash(scopes[rank], c.Issuer, id)
		return hashOf(&r), true
	case rank == ofIssuer:
		return of.alone, true
	default:
		r := of.of[rank].Hash(id)
		return hashOf(&r), true
	}
}

// made counts the revocations, not lifted, whose hashes one feed key made, of each scope by
// the part of all hashes that theirs is in. Of most scopes there are few
// revocations: one bit says that a page need not be looked at.
type made struct {
	held [len(scopes)]atomic.Uint64 // for readers: a bit for each part that there are revocations in

	// Of the writer.
	rows  int
	parts [len(scopes)]*[hashParts]uint32 // nil before the first of a scope
}

// hashParts is how many parts there are, one for each bit of a word.
const (
	hashParts = 1 << partBits
	partBits  = 6
)

// part is which of the parts of all hashes h is in.
func (h hash) part() uint8 { return uint8(h.hi >> (64 - partBits)) }

// add counts one revocation of a scope. Readers look for the part before it can
// be found.
func (m *made) add(scope int8, part uint8) {
	m.rows++
	if m.parts[scope] == nil {
		m.parts[scope] = new([hashParts]uint32)
	}
	of := &m.parts[scope][part]
	if *of++; *of == 1 {
		m.held[scope].Or(1 << part)
	}
}

// take takes one away that no page has any more.
func (m *made) take(scope int8, part uint8) {
	m.rows--
	of := &m.parts[scope][part]
	if *of--; *of == 0 {
		m.held[scope].And(^(uint64(1) << part))
	}
}

// by is the count of what a key made.
func (s *Set) by(id KeyID) *made {
	m := s.madeBy[id]
	if m == nil {
		m = new(made)
		s.madeBy[id] = m
	}
	return m
}

func (s *Set) holds(id KeyID) bool {
	return slices.ContainsFunc(s.keys[id.Tenant], func(k events.FeedKey) bool { return k.Generation == id.Generation })
}

// noteTenants makes what readers see of keys.
func (s *Set) noteTenants() {
	t := tenants{of: make(map[string]tenant, len(s.keys)), keyless: s.keys == nil}
	for name, keys := range s.keys {
		var one tenant
		for _, k := range keys {
			one.keys = append(one.keys, newGeneration(k, s.by(KeyID{Tenant: k.Tenant, Generation: k.Generation})))
		}
		t.of[name] = one
	}
	for id, made := range s.madeBy {
		if s.holds(id) {
			continue
		}
		if made.rows == 0 {
			delete(s.madeBy, id)
			continue
		}
		t.missing = append(t.missing, id)
		one := t.of[id.Tenant]
		one.missing = true
		t.of[id.Tenant] = one
	}
	slices.SortFunc(t.missing, KeyID.compare)
	s.tenants.Store(&t)
	s.noted = true
}

// SetKeys replaces the feed keys: every living generation of every tenant that
// the set is to decide for.
func (s *Set) SetKeys(keys []events.FeedKey) {
	byTenant := make(map[string][]events.FeedKey)
	for _, k := range keys {
		byTenant[k.Tenant] = append(byTenant[k.Tenant], k)
	}
	s.locked(func() {
		s.keys = byTenant
		s.begin(true)
		s.noteTenants()
		s.end(true)
	})
}

// Missing lists the feed keys that revocations, not lifted, were made with and that the
// set was not given. Of a set that was given none it waits for a writer's turn.
func (s *Set) Missing() []KeyID {
	if s.tenants.Load().keyless {
		s.locked(s.noteTenants)
	}
	return slices.Clone(s.tenants.Load().missing)
}
