package query

import (
	"cmp"
	"net/http"
	"slices"
	"time"

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
	v, err := s.revocation(c, named{id, params.Tenant, params.Source, params.Position})
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
		ID: r.ID, Source: r.Source, Tenant: r.Tenant, Scope: r.Revocation.Scope, State: v.state(now), Position: v.Index, LiftedAt: v.LiftedAt,
		Time: time.UnixMicro(r.Time).UTC(), Received: time.UnixMicro(r.Received).UTC(),
		Expires: expiry(r.Revocation.Expires), IssuedBefore: r.Revocation.IssuedBefore, Starts: r.Revocation.Starts, NotAfter: r.Revocation.NotAfter,
		Iss: r.Issuer, ClientID: r.Client, Kid: r.KeyID, Actor: r.Actor, Reason: r.Reason, Ticket: r.Ticket,
	}
}
