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
	missing []KeyID // that entries were made with and that are not there, in order
}

type tenant struct {
	keys    []generation
	missing bool // one of its keys
}

// generation is a feed key, and what was made with it.
type generation struct {
	events.FeedKey
	tenant hash // of the tenant's revocations: it is the same for every token
	made   *made
}

func newGeneration(k events.FeedKey, of *made) generation {
	h := k.Hash(events.ScopeTenant, "", "")
	return generation{k, hashOf(&h), of}
}

// hashes are those of the token with claims c that there may be a revocation of,
// and how many. Scopes that no revocation under the key has are left out.
func (g *generation) hashes(c *Claims, out *[len(scopes)]hash) (n int) {
	held := g.made.held.Load()
	var of events.IssuerHasher
	of.Reset(&g.FeedKey, c.Issuer)
	for i, scope := range scopes {
		if held&(1<<i) == 0 {
			continue
		}
		h := g.tenant
		if scope != events.ScopeTenant {
			id, ok := c.id(scope)
			if !ok {
				continue
			}
			r := of.Hash(scope, id)
			h = hashOf(&r)
		}
		out[n] = h
		n++
	}
	return n
}

// made counts the revocations whose hashes one feed key made.
type made struct {
	held atomic.Uint32 // for readers: a bit for each scope, by its place, that there are revocations of

	// Of the writer.
	rows  int
	scope [len(scopes)]int
}

// add counts one revocation of a scope. Readers look for the scope before it can
// be found.
func (m *made) add(scope int8, n int) {
	m.rows += n
	if m.scope[scope] += n; m.scope[scope] == n {
		m.held.Or(1 << scope)
	}
}

// take takes one away that no page has any more.
func (m *made) take(scope int8) {
	m.rows--
	if m.scope[scope]--; m.scope[scope] == 0 {
		m.held.And(^uint32(1 << scope))
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
	t := tenants{of: make(map[string]tenant, len(s.keys))}
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
	s.begin(true)
	s.noteTenants()
	s.end(true)
}

// Missing lists the feed keys that entries were made with and that the set was
// not given.
func (s *Set) Missing() []KeyID { return slices.Clone(s.tenants.Load().missing) }
