package query

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/proposal"
)

// Revoke publishes the revocation of the body's scope.
func (s *Server) Revoke(c echo.Context) error {
	in, tenant, err := s.revocationRequest(c)
	if err != nil {
		return err
	}
	p := caller(c)
	permission, err := s.permit(c.Request().Context(), p, tenant, in)
	if err != nil {
		return err
	}
	d := in.data(p, s.cfg.Now())
	d.Attributes = permission
	return s.acceptAndWait(c, in.Scope.RevokedType(), tenant, d)
}

// data is what the body says, by p, now.
func (in *RevocationRequest) data(p *Principal, now time.Time) events.Data {
	return events.Data{
		Issuer: in.Iss, TokenID: in.Jti, SessionID: in.Sid, Subject: in.Sub, ClientID: in.ClientID, KeyID: in.Kid,
		GrantID: in.GrantID, Expires: in.Exp, IssuedBefore: in.cutoff(now), Starts: in.Starts, NotAfter: in.NotAfter,
		Actor: p.Subject, Reason: in.Reason, Ticket: in.Ticket, Note: in.Note,
	}
}

// once is an event of ours. One that an approval permits has the id of the
// proposal: of two that use one approval the log takes one.
func (s *Server) once(t events.Type, tenant string, d events.Data) (events.Event, error) {
	ev, err := s.event(t, tenant, d)
	ev.ID = cmp.Or(d.Attributes[proposal.AttrProposal], ev.ID)
	return ev, err
}

// accept publishes one event and answers with its id and, where it is on the
// log in time, its position.
func (s *Server) accept(c echo.Context, t events.Type, tenant string, d events.Data) error {
	ev, err := s.once(t, tenant, d)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	if err := s.publish(ctx, ev); err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, Accepted{ID: ev.ID, Position: s.position(ctx, ev)})
}

// scopeMembers lists the identifiers that a body of each scope may carry, the
// one it is about first. Others are refused: the caller would believe that
// they narrow what is revoked.
func scopeMembers() map[events.Scope][]string {
	return map[events.Scope][]string{
		events.ScopeToken:   {"jti", "sid", "sub", "client_id"},
		events.ScopeSession: {"sid", "sub", "client_id"},
		events.ScopeSubject: {"sub"},
		events.ScopeClient:  {"client_id"},
		events.ScopeKey:     {"kid"},
		events.ScopeGrant:   {"grant_id"},
		events.ScopeIssuer:  {},
		events.ScopeTenant:  {},
	}
}

func (in *RevocationRequest) validate() error {
	var k check
	members, known := scopeMembers()[in.Scope]
	k.that(known, "scope", "want token, session, subject, client, key, issuer, tenant or grant")
	k.that(in.Scope == events.ScopeTenant || in.Iss != "", "iss", "scope %s needs it", in.Scope)
	k.that(in.Scope != events.ScopeTenant || in.Iss == "", "iss", "scope tenant is about every issuer")
	ids := []struct{ name, value string }{
		{"jti", in.Jti}, {"sid", in.Sid}, {"sub", in.Sub}, {"client_id", in.ClientID}, {"kid", in.Kid}, {"grant_id", in.GrantID},
	}
	for _, id := range ids {
		k.that(id.value != "" || len(members) == 0 || members[0] != id.name, id.name, "scope %s needs it", in.Scope)
		k.that(id.value == "" || slices.Contains(members, id.name), id.name, "scope %s does not look at it: it would revoke more than this says", in.Scope)
	}
	k.that(in.IssuedBefore == 0 || in.Scope.HasCutoff(), "issued_before", "scope %s does not look at it: it would revoke more than this says", in.Scope)
	k.that(in.Reason != "", "reason", "want the reason")
	k.that(in.NotAfter == 0 || in.NotAfter > in.Starts, "not_after", "it would end before it starts")
	return k.err
}

// effective refuses what revokes nothing any more: what has expired at every
// verifier, however far its clock is behind.
func (s *Server) effective(in *RevocationRequest) error {
	now := s.cfg.Now()
	if in.NotAfter != 0 && in.NotAfter <= events.TimestampOf(now) {
		return invalid("not_after", "it is over: there is nothing left to revoke")
	}
	if in.Starts > events.TimestampOf(now.Add(events.MaxStartAhead)) {
		return invalid("starts", "want at most %d days ahead", events.MaxStartAhead/(24*time.Hour))
	}
	switch {
	case in.IssuedBefore != 0:
		return s.outlives("issued_before", in.IssuedBefore+events.Timestamp(s.cfg.MaxLifetime.Milliseconds()), in.Starts)
	case in.Exp != 0 && (in.Scope == events.ScopeToken || in.Scope == events.ScopeSession || in.Scope == events.ScopeGrant):
		return s.outlives("exp", in.Exp, in.Starts)
	default:
		return nil
	}
}

// outlives refuses a revocation of what has expired at every verifier now, or
// before it starts, by what a member says of when that is.
func (s *Server) outlives(member string, expires, starts events.Timestamp) error {
	expires += events.Timestamp(s.cfg.Skew.Milliseconds())
	switch {
	case expires <= events.TimestampOf(s.cfg.Now()):
		return invalid(member, "what this reaches has expired: there is nothing left to revoke. Tokens live no longer than %s", s.cfg.MaxLifetime)
	case expires <= starts:
		return invalid("starts", "by then what this reaches has expired: there is nothing left to revoke. Tokens live no longer than %s", s.cfg.MaxLifetime)
	default:
		return nil
	}
}

// cutoff is the cut-off of the body. Scopes that reach tokens of the future
// get one: they revoke what was issued until now, or until they start.
func (in *RevocationRequest) cutoff(now time.Time) events.Timestamp {
	switch {
	case !in.Scope.HasCutoff():
		return 0
	case in.IssuedBefore != 0:
		return in.IssuedBefore
	default:
		return max(events.TimestampOf(now), in.Starts)
	}
}

// GetRevocation shows one revocation.
func (s *Server) GetRevocation(c echo.Context, id ID, params GetRevocationParams) error {
	v, err := s.revocation(c, id, params.Tenant)
	if err != nil {
		return err
	}
	out := v.view(s.cfg.Now())
	out.Enforced = s.enforced(&v)
	return c.JSON(http.StatusOK, out)
}

// The states of a revocation.
const (
	revocationScheduled = "scheduled"
	revocationActive    = "active"
	revocationLifted    = "lifted"
	revocationExpired   = "expired"
)

func (v *revoked) state(now time.Time) string {
	expires := v.Record.Revocation.Expires
	switch {
	case v.LiftedAt != nil:
		return revocationLifted
	case expires != 0 && expires <= events.TimestampOf(now):
		return revocationExpired
	case v.Record.Revocation.Starts > events.TimestampOf(now):
		return revocationScheduled
	default:
		return revocationActive
	}
}

// never is from when on an expiry stands for none: the last second that a
// NumericDate of ours can name.
const never events.Timestamp = 253402300799_000

// expiry is t, or 0 where t means never.
func expiry(t events.Timestamp) events.Timestamp {
	if t >= never {
		return 0
	}
	return t
}

func (v *revoked) view(now time.Time) Revocation {
	r := v.Record
	return Revocation{
		ID: r.ID, Tenant: r.Tenant, Scope: r.Revocation.Scope, State: v.state(now), Position: v.Index, LiftedAt: v.LiftedAt,
		Time: time.UnixMicro(r.Time).UTC(), Received: time.UnixMicro(r.Received).UTC(),
		Expires: expiry(r.Revocation.Expires), IssuedBefore: r.Revocation.IssuedBefore, Starts: r.Revocation.Starts, NotAfter: r.Revocation.NotAfter,
		Iss: r.Issuer, ClientID: r.Client, Kid: r.KeyID, Actor: r.Actor, Reason: r.Reason, Ticket: r.Ticket,
	}
}

// revocation finds one by its id: among the last ones, else in the audit
// store.
func (s *Server) revocation(c echo.Context, id, tenant string) (revoked, error) {
	p := caller(c)
	sees, err := reaches(p, tenant)
	if err != nil {
		return revoked{}, err
	}
	switch found := s.recent.find(id, sees); len(found) {
	case 0:
		return s.olderRevocation(c.Request().Context(), p, id, tenant)
	case 1:
		return found[0], nil
	default:
		return revoked{}, errMany
	}
}

// searchAround is how far an event's time may be from that in its id.
const searchAround = 2 * time.Second

// olderRevocation finds one in the audit store, by the time that a UUID of
// version 7 begins with: ids are not indexed.
func (s *Server) olderRevocation(ctx context.Context, p *Principal, id, tenant string) (revoked, error) {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return revoked{}, ErrNotFound
	}
	of, err := tenants(p, tenant)
	if err != nil {
		return revoked{}, err
	}
	at := time.Unix(u.Time().UnixTime())
	if made, err := s.proposals.Get(id, p.Reaches); err == nil && !made.Made.IsZero() {
		at = made.Made // the id is from when it was proposed
	}
	for _, w := range s.where(of) {
		search := Search{Tenant: w.tenant, AllTenants: w.tenant == allTenants, Shard: w.shard, ID: id, Types: revokingTypes(), From: at.Add(-searchAround), To: at.Add(searchAround)}
		row, err := s.firstRow(ctx, search)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return revoked{}, err
		}
		return s.withLift(ctx, row)
	}
	return revoked{}, ErrNotFound
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
