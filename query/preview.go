package query

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
)

// PreviewRevocation counts what a revocation would hit, and makes none.
func (s *Server) PreviewRevocation(c echo.Context) error {
	in, tenant, err := s.revocationRequest(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	search, state, err := s.hitSearch(ctx, tenant, in)
	if err != nil {
		return err
	}
	hits, err := s.cfg.Reach.Hits(ctx, search)
	if err != nil {
		return err
	}
	out := RevocationPreview{
		Tokens: hits.Tokens, AlreadyRevoked: s.alreadyRevoked(ctx, search, hits), Subjects: hits.Subjects, Sessions: hits.Sessions, Clients: hits.Clients, Reach: hits.Reach,
		AtLeast: hits.AtLeast, SubjectState: state, AsOf: s.cfg.Now().UTC(), Position: hits.Position,
	}
	if s.watches(in.Scope) {
		out.Limit, out.ApprovalRequired = s.cfg.ApprovalAbove, hits.Reach > s.cfg.ApprovalAbove
	}
	return c.JSON(http.StatusOK, out)
}

// refusedFor bounds how long a preview counts what is refused already: the rest
// of the answer does not need it.
const refusedFor = 10 * time.Second

// alreadyRevoked is how many of hits are refused already; nil where that cannot
// be counted in time. It asks the audit store, and not the revocation set: the
// set knows hashes under the feed key, and the live tokens are known by
// references, so the set could not be asked without opening what is personal.
func (s *Server) alreadyRevoked(ctx context.Context, search HitSearch, hits Hits) *uint64 {
	ctx, cancel := context.WithTimeout(ctx, refusedFor)
	defer cancel()
	n, err := s.cfg.Reach.Refused(ctx, search, hits.Position)
	if err != nil {
		s.log.WarnContext(ctx, "previewing without what is refused already", slog.Any("err", err))
		return nil
	}
	return &n
}

// revocationRequest reads a body that could be one of POST /v1/revocations.
func (s *Server) revocationRequest(c echo.Context) (*RevocationRequest, string, error) {
	in := new(RevocationRequest)
	if err := readJSON(c, in); err != nil {
		return nil, "", err
	}
	tenant, err := caller(c).tenant(in.Tenant)
	if err == nil {
		err = in.validate()
	}
	if err == nil {
		err = s.effective(in)
	}
	return in, tenant, err
}

// hits counts the live tokens that in would reach, and says what is known of
// the subject that it names.
func (s *Server) hits(ctx context.Context, tenant string, in *RevocationRequest) (Hits, string, error) {
	search, state, err := s.hitSearch(ctx, tenant, in)
	if err != nil {
		return Hits{}, "", err
	}
	hits, err := s.cfg.Reach.Hits(ctx, search)
	return hits, state, err
}

// hitSearch is what in would reach. No key is made for that.
func (s *Server) hitSearch(ctx context.Context, tenant string, in *RevocationRequest) (HitSearch, string, error) {
	now := s.cfg.Now()
	search := HitSearch{
		Tenant: tenant, Shard: s.shard(tenant), Scope: in.Scope, Issuer: in.Iss, Client: in.ClientID, KeyID: in.Kid,
		Cutoff: in.cutoff(now), Now: now, MaxLifetime: s.cfg.MaxLifetime,
	}
	state, err := s.hitRef(ctx, &search, in)
	return search, state, err
}

// hitRef sets the reference that search is about. It stays zero, and matches
// nothing, where the identifier means nothing to us.
func (s *Server) hitRef(ctx context.Context, search *HitSearch, in *RevocationRequest) (state string, err error) {
	switch in.Scope {
	case events.ScopeSubject:
		return s.hitSubject(ctx, search, in)
	case events.ScopeToken, events.ScopeSession, events.ScopeGrant:
	default:
		return "", nil
	}
	t, err := s.cfg.Keyring.LookupTenant(ctx, search.Tenant)
	switch {
	case errors.Is(err, seal.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	}
	switch in.Scope {
	case events.ScopeToken:
		search.Ref = t.TokenRef(in.Iss, in.Jti)
	case events.ScopeSession:
		search.Ref = t.SessionRef(in.Iss, in.Sid)
	default:
		search.Ref = t.GrantRef(in.Iss, in.GrantID)
	}
	return "", nil
}

func (s *Server) hitSubject(ctx context.Context, search *HitSearch, in *RevocationRequest) (state string, err error) {
	key, err := s.cfg.Keyring.Lookup(ctx, seal.Person{Tenant: search.Tenant, Issuer: in.Iss, Subject: in.Sub})
	switch {
	case errors.Is(err, seal.ErrNotFound):
		return subjectUnknown, nil
	case err != nil:
		return "", err
	case key.Erased:
		return subjectErased, nil
	default:
		search.Ref = key.Ref
		return subjectKnown, nil
	}
}
