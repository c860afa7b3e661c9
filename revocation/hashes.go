package revocation

import "github.com/rescindhq/rescind/events"

// AppendHashes appends to dst the hashes of the entries that would match the
// token with claims c, under each key that the set has. It waits for nobody.
func (s *Set) AppendHashes(dst []events.Ref, c *Claims) []events.Ref {
	keys := s.tenants.Load().of[c.Tenant].keys
	for i := range keys {
		for _, scope := range scopes {
			if id, ok := c.id(scope); ok {
				dst = append(dst, keys[i].Hash(scope, c.Issuer, id))
			}
		}
	}
	return dst
}
