package query

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/erasure"
)

// The states of a subject that a search names.
const (
	subjectKnown   = "known"
	subjectUnknown = "unknown"
	subjectErased  = "erased"
)

// SearchAudit answers a search, and opens personal parts where that is asked
// for, allowed, and recorded.
func (s *Server) SearchAudit(c echo.Context) error {
	var in AuditSearch
	if err := readJSON(c, &in); err != nil {
		return err
	}
	p := caller(c)
	tenant, err := p.tenant(in.Tenant)
	if err != nil {
		return err
	}
	in.Tenant = tenant
	if err := in.validate(p); err != nil {
		return err
	}
	ctx := c.Request().Context()
	if in.Issuer == "" && in.Subject+in.Jti+in.Sid != "" {
		if in.Issuer, err = s.issuerOf(ctx, in); err != nil {
			return err
		}
	}
	search, state, err := s.resolve(ctx, &in)
	if err != nil {
		return err
	}
	out := AuditEvents{Events: []AuditEvent{}, SubjectState: state}
	if search == nil { // nothing can match
		search = &Search{Tenant: tenant, Shard: s.shard(tenant)}
		in.Count, out.Total = false, zeroIf(in.Count)
		return s.answerSearch(c, p, &in, search, nil, out)
	}
	rows, next, err := s.page(ctx, &in, *search)
	if err != nil {
		return err
	}
	out.Next = next
	return s.answerSearch(c, p, &in, search, rows, out)
}

func zeroIf(asked bool) *uint64 {
	if asked {
		return new(uint64)
	}
	return nil
}

// answerSearch adds what was asked for beside the rows.
func (s *Server) answerSearch(c echo.Context, p *Principal, in *AuditSearch, search *Search, rows []Row, out AuditEvents) error {
	ctx := c.Request().Context()
	for _, r := range rows {
		out.Events = append(out.Events, auditEvent(r))
	}
	if in.Count {
		n, err := s.cfg.Events.Count(ctx, *search)
		if err != nil {
			return err
		}
		out.Total = &n
	}
	if in.Open {
		if err := s.recordAccess(ctx, p, in, rows, out); err != nil {
			return err
		}
		if err := s.openPermitted(ctx, in, rows, out.Events); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, out)
}

const minPurpose = 3

func (in *AuditSearch) validate(p *Principal) error {
	if in.Open && !p.Has(ScopeAuditOpen) {
		return &scopeError{[]string{ScopeAuditOpen}}
	}
	var k check
	k.that(!in.Open || len(in.Purpose) >= minPurpose, "purpose", "say why the personal part is read: %d to %d bytes", minPurpose, events.MaxTextBytes)
	k.text("purpose", in.Purpose, events.MaxTextBytes)
	if in.Exception != "" {
		oneOf(&k, "exception", in.Exception, erasure.Exceptions())
	}
	if in.Outcome != "" {
		oneOf(&k, "outcome", in.Outcome, []string{"success", "failure"})
	}
	if in.Order != "" {
		oneOf(&k, "order", in.Order, []string{"asc", "desc"})
	}
	k.that(in.From.IsZero() || in.To.IsZero() || in.From.Before(in.To), "to", "it is not after from: nothing can match")
	for _, name := range in.Type {
		k.that(typeNamed(name).Known(), "type", "%.80q is not one of ours", name)
	}
	return k.err
}

// typeNamed is the type with that name, whole or short.
func typeNamed(name string) events.Type {
	if t := events.Type(name); t.Known() {
		return t
	}
	return events.TypeNamed(name)
}

// resolve turns identifiers into references. The search is nil where nothing
// can match, because the identifiers mean nothing to us.
func (s *Server) resolve(ctx context.Context, in *AuditSearch) (*Search, string, error) {
	search, err := in.search()
	if err != nil {
		return nil, "", err
	}
	search.Shard = s.shard(in.Tenant)
	possible, err := s.resolveTokens(ctx, in, search)
	if err != nil {
		return nil, "", err
	}
	state, err := s.resolveSubject(ctx, in, search)
	if err != nil {
		return nil, "", err
	}
	if !possible || state == subjectUnknown || state == subjectErased {
		return nil, state, nil
	}
	return search, state, nil
}

// search is what can be said without keys.
func (in *AuditSearch) search() (*Search, error) {
	out := &Search{
		Tenant: in.Tenant, Issuer: in.Issuer, Client: in.ClientID, KeyID: in.Kid, Outcome: in.Outcome,
		From: in.From, To: in.To, Descending: in.Order == "desc",
	}
	for _, name := range in.Type {
		out.Types = append(out.Types, typeNamed(name))
	}
	for _, ref := range []struct {
		name, value string
		to          *events.Ref
	}{
		{"subject_ref", in.SubjectRef, &out.SubjectRef}, {"token_ref", in.TokenRef, &out.TokenRef}, {"session_ref", in.SessionRef, &out.SessionRef},
	} {
		var err error
		if *ref.to, err = events.ParseRef(ref.value); err != nil {
			return nil, invalid(ref.name, "want 32 hex digits, as in an event")
		}
	}
	return out, nil
}

// resolveTokens reports false where the tenant was never seen, or where a
// reference is given twice and differs.
func (s *Server) resolveTokens(ctx context.Context, in *AuditSearch, search *Search) (bool, error) {
	if in.Jti == "" && in.Sid == "" {
		return true, nil
	}
	t, err := s.cfg.Keyring.LookupTenant(ctx, in.Tenant)
	if errors.Is(err, seal.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return narrow(&search.TokenRef, t.TokenRef(in.Issuer, in.Jti)) && narrow(&search.SessionRef, t.SessionRef(in.Issuer, in.Sid)), nil
}

func (s *Server) resolveSubject(ctx context.Context, in *AuditSearch, search *Search) (string, error) {
	if in.Subject == "" {
		return "", nil
	}
	key, err := s.cfg.Keyring.Lookup(ctx, seal.Person{Tenant: in.Tenant, Issuer: in.Issuer, Subject: in.Subject})
	switch {
	case errors.Is(err, seal.ErrNotFound):
		return subjectUnknown, nil
	case err != nil:
		return "", err
	case key.Erased:
		return subjectErased, nil
	case !narrow(&search.SubjectRef, key.Ref):
		return subjectUnknown, nil
	default:
		return subjectKnown, nil
	}
}

// narrow sets a reference; false where it is set to another one already.
func narrow(to *events.Ref, ref events.Ref) bool {
	if ref.IsZero() {
		return true
	}
	if !to.IsZero() && *to != ref {
		return false
	}
	*to = ref
	return true
}

// page is the rows of one page, and the cursor of the next.
func (s *Server) page(ctx context.Context, in *AuditSearch, search Search) (rows []Row, next string, err error) {
	limit, err := limitOf(in.Limit)
	if err != nil {
		return nil, "", err
	}
	query := search // identifiers are references by now: a cursor tells nothing
	if search.After, err = parseCursor(query, in.Cursor); err != nil {
		return nil, "", err
	}
	search.Limit = limit
	if rows, err = s.cfg.Events.Search(ctx, search); err != nil {
		return nil, "", err
	}
	if len(rows) == limit {
		next, err = newCursor(query, rows[limit-1].Index)
	}
	return rows, next, err
}
