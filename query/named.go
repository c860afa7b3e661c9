package query

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
)

// named is how a caller names one revocation: by the id of its event, and what more is
// needed, as an id is unique only within a tenant and source.
type named struct {
	id, tenant, source string  // tenant and source may be empty
	position           *uint64 // may be nil
}

// is reports whether n may mean the revocation that is at an index.
func (n *named) is(index uint64, r *events.Record) bool {
	return r.ID == n.id && r.Revocation != nil && r.Type.RevokedScope() != "" &&
		(n.source == "" || r.Source == n.source) && (n.position == nil || index == *n.position)
}

// revocation finds the one that is named: among the last ones, else in the audit store.
func (s *Server) revocation(c echo.Context, n named) (revoked, error) {
	p := caller(c)
	sees, err := reaches(p, n.tenant)
	if err != nil {
		return revoked{}, err
	}
	found := slices.DeleteFunc(s.recent.find(n.id, sees), func(v revoked) bool { return !n.is(v.Index, v.Record) })
	switch len(found) {
	case 0:
		return s.olderRevocation(c.Request().Context(), p, n)
	case 1:
		return found[0], nil
	default:
		return revoked{}, errMany
	}
}

// olderRevocation finds one in the audit store: at its position, or by its id. Ids are
// not indexed: it looks around the time that a UUID of version 7 begins with, and at
// all times only for what names its source.
func (s *Server) olderRevocation(ctx context.Context, p *Principal, n named) (revoked, error) {
	if n.position != nil {
		return s.revocationAt(ctx, p, n)
	}
	if u, err := uuid.Parse(n.id); err == nil && u.Version() == 7 {
		at := s.madeAround(p, n.id, u)
		v, err := s.searchRevocation(ctx, p, n, Search{From: at.Add(-searchAround), To: at.Add(searchAround)})
		if !errors.Is(err, ErrNotFound) {
			return v, err
		}
	}
	if n.source == "" {
		return revoked{}, ErrNotFound
	}
	return s.searchRevocation(ctx, p, n, Search{})
}

// searchRevocation finds the one that is named, between the times of q.
func (s *Server) searchRevocation(ctx context.Context, p *Principal, n named, q Search) (revoked, error) {
	of, err := tenants(p, n.tenant)
	if err != nil {
		return revoked{}, err
	}
	q.ID, q.Source, q.Types, q.Limit = n.id, n.source, revokingTypes(), MaxLimit
	var rows []Row
	for _, w := range s.where(of) {
		q.Tenant, q.AllTenants, q.Shard = w.tenant, w.tenant == allTenants, w.shard
		found, err := s.cfg.Events.Search(ctx, q)
		if err != nil {
			return revoked{}, err
		}
		rows = append(rows, slices.DeleteFunc(found, func(r Row) bool { return !n.is(r.Index, &r.Record) })...)
	}
	switch {
	case len(rows) == 0:
		return revoked{}, ErrNotFound
	case slices.ContainsFunc(rows, func(r Row) bool { return r.Record.Ref() != rows[0].Record.Ref() }):
		return revoked{}, errMany
	default:
		return s.withLift(ctx, rows[0])
	}
}

func (s *Server) revocationAt(ctx context.Context, p *Principal, n named) (revoked, error) {
	tenant, err := p.tenant(n.tenant)
	if err != nil {
		return revoked{}, err
	}
	row, err := s.cfg.Events.Event(ctx, tenant, s.shard(tenant), *n.position)
	if err != nil {
		return revoked{}, err
	}
	if !n.is(row.Index, &row.Record) {
		return revoked{}, ErrNotFound
	}
	return s.withLift(ctx, row)
}

// searchAround is how far an event's time may be from that in its id.
const searchAround = 2 * time.Second

// madeAround is when an event with that id was made: one that was proposed has the
// id from then.
func (s *Server) madeAround(p *Principal, id string, u uuid.UUID) time.Time {
	if made, err := s.proposals.Get(id, p.Reaches); err == nil && !made.Made.IsZero() {
		return made.Made
	}
	return time.Unix(u.Time().UnixTime())
}

func revokingTypes() (out []events.Type) {
	for _, t := range events.Types() {
		if t.RevokedScope() != "" {
			out = append(out, t)
		}
	}
	return out
}

func (s *Server) withLift(ctx context.Context, row Row) (revoked, error) {
	v := revoked{Index: row.Index, Record: &row.Record}
	lifts := Search{Tenant: row.Record.Tenant, Shard: row.Shard, Types: []events.Type{events.RevocationLifted}, Lifts: row.Record.Ref(), Issuer: row.Record.Issuer, After: &row.Index}
	lift, err := s.firstRow(ctx, lifts)
	switch {
	case err == nil:
		v.LiftedAt = &lift.Index
	case !errors.Is(err, ErrNotFound):
		return revoked{}, err
	}
	return v, nil
}

// firstRow is the first row of a search that revokes or lifts. The search itself
// says which it is: of a bulk job a million have one time.
func (s *Server) firstRow(ctx context.Context, search Search) (Row, error) {
	search.Limit = MaxLimit
	rows, err := s.cfg.Events.Search(ctx, search)
	if err != nil {
		return Row{}, err
	}
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Record.Revocation != nil })
	if i < 0 {
		return Row{}, ErrNotFound
	}
	return rows[i], nil
}
