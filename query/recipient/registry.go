package recipient

import (
	"fmt"
	"maps"
	"slices"

	"github.com/rescindhq/rescind/events/envelope"
)

// Recipient is one of those who were told personal data.
type Recipient struct {
	ID        string
	Tenants   []string // empty for all
	Audiences []string
	URL       string // empty where a person has to tell them
	Contact   string
	Key       envelope.PublicKey // zero without a URL
}

// serves reports whether r is a recipient of the tenant's.
func (r *Recipient) serves(tenant string) bool {
	return len(r.Tenants) == 0 || slices.Contains(r.Tenants, tenant)
}

// Registry is all recipients. A nil Registry has none.
type Registry struct {
	byID map[string]*Recipient
	own  map[string]bool
}

// IsEmpty reports whether nobody is registered.
func (g *Registry) IsEmpty() bool { return g == nil || len(g.byID) == 0 }

// Get is the recipient of that id.
func (g *Registry) Get(id string) (Recipient, bool) {
	if g == nil || g.byID[id] == nil {
		return Recipient{}, false
	}
	return *g.byID[id], true
}

// Disclosed is what is known of where a person's data went.
type Disclosed struct {
	Audiences []string // aud of the tokens that were issued about them
	Exports   []string // ids of recipients that exports name
	More      bool     // there were others, that lead to nobody of Names
}

// others stands for what in Disclosed was left out.
const others = "more than are listed"

// Names is all that leads to a recipient: audiences, and ids.
func (g *Registry) Names() (out []string) {
	if g == nil {
		return nil
	}
	for id, r := range g.byID {
		out = append(append(out, id), r.Audiences...)
	}
	return out
}

// Of is the ids of the recipients to whom a tenant has disclosed what d says,
// sorted, and what in it leads to nobody: audiences, and ids that are not
// registered for the tenant.
func (g *Registry) Of(tenant string, d Disclosed) (ids, unknown []string) {
	found, strange := map[string]bool{}, map[string]bool{}
	for _, aud := range d.Audiences {
		to := g.takers(tenant, aud)
		for _, id := range to {
			found[id] = true
		}
		strange[aud] = len(to) == 0 && !g.own[aud]
	}
	for _, id := range d.Exports {
		r, there := g.Get(id)
		there = there && r.serves(tenant)
		found[id], strange[id] = found[id] || there, strange[id] || !there
	}
	if d.More {
		strange[others] = true
	}
	return sorted(found), sorted(strange)
}

func (g *Registry) takers(tenant, audience string) (ids []string) {
	for id, r := range g.byID {
		if r.serves(tenant) && slices.Contains(r.Audiences, audience) {
			ids = append(ids, id)
		}
	}
	return ids
}

func sorted(of map[string]bool) []string {
	maps.DeleteFunc(of, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(of))
}

// Seal encrypts a notice to r.
func (r *Recipient) Seal(notice []byte) ([]byte, error) {
	sealed, err := envelope.Seal(r.Key, "application/json", notice)
	if err != nil {
		return nil, fmt.Errorf("seal for recipient %s: %w", r.ID, err)
	}
	return sealed, nil
}
