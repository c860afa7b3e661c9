package revocation

import (
	"slices"

	"github.com/rescindhq/rescind/events"
)

// tenants is what a decision needs to know of each tenant. It is replaced as a
// whole.
type tenants struct {
	of      map[string]tenant
	missing []KeyID // that entries were made with and that are not there, in order
}

type tenant struct {
	keys    []events.FeedKey
	missing bool // one of its keys
}

func (s *Set) holds(id KeyID) bool {
	return slices.ContainsFunc(s.keys[id.Tenant], func(k events.FeedKey) bool { return k.Generation == id.Generation })
}

// noteTenants makes what readers see of keys.
func (s *Set) noteTenants() {
	t := tenants{of: make(map[string]tenant, len(s.keys))}
	for name, keys := range s.keys {
		t.of[name] = tenant{keys: keys}
	}
	for id := range s.madeBy {
		if s.holds(id) {
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
