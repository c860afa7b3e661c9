package query

import (
	"context"
)

// maxIssuers is how many issuers of a tenant are tried for an identifier that
// came without one.
const maxIssuers = 32

// issuerOf finds the one issuer whose identifiers match in, which names none.
// Identifiers are unique only within their issuer: where several match, the
// caller has to say which person is meant. Where none does it is the issuer
// that has forgotten the subject, or "".
func (s *Server) issuerOf(ctx context.Context, in AuditSearch) (string, error) {
	issuers, err := s.cfg.Events.Issuers(ctx, in.Tenant, s.shard(in.Tenant), maxIssuers+1)
	if err != nil {
		return "", err
	}
	if len(issuers) > maxIssuers {
		return "", invalid("issuer", "name it: the tenant has more than %d issuers to try", maxIssuers)
	}
	var found, forgotten string
	for _, issuer := range issuers {
		in.Issuer = issuer
		matches, state, err := s.matches(ctx, &in)
		switch {
		case err != nil:
			return "", err
		case state == subjectErased:
			forgotten = issuer
		case matches && found != "":
			return "", invalid("issuer", "name it: several issuers know this identifier")
		case matches:
			found = issuer
		}
	}
	if found == "" {
		return forgotten, nil
	}
	return found, nil
}

// matches reports whether any event matches in.
func (s *Server) matches(ctx context.Context, in *AuditSearch) (bool, string, error) {
	search, state, err := s.resolve(ctx, in)
	if err != nil || search == nil {
		return false, state, err
	}
	search.Limit = 1
	rows, err := s.cfg.Events.Search(ctx, *search)
	return len(rows) > 0, state, err
}
