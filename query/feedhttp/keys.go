package feedhttp

import (
	"context"
	"fmt"
	"slices"

	"github.com/rescindhq/rescind/revocation"
)

// Keys is a page of the feed keys that r asks for, as the projector signed it.
// The page is refused where it holds a key of a tenant that r does not name: a
// projector that does not know the question answers with everybody's.
func (s *Server) Keys(ctx context.Context, r revocation.KeysRequest) (body, signature []byte, err error) {
	page, body, signature, err := s.cfg.Source.Keys(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	for i := range page.Keys {
		if len(r.Tenants) > 0 && !slices.Contains(r.Tenants, page.Keys[i].Tenant) {
			return nil, nil, fmt.Errorf("feed keys: the projector answered with keys of others")
		}
	}
	return body, signature, nil
}
