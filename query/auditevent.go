package query

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// GetAuditEvent shows one event without its personal part.
func (s *Server) GetAuditEvent(c echo.Context, index uint64, params GetAuditEventParams) error {
	p := caller(c)
	ctx := c.Request().Context()
	of, err := tenants(p, "")
	if err != nil {
		return err
	}
	for _, t := range of {
		row, err := s.cfg.Events.Event(ctx, t, params.Shard, index)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, auditEvent(row))
	}
	return ErrNotFound
}

func auditEvent(row Row) AuditEvent {
	r := &row.Record
	out := AuditEvent{
		Shard: row.Shard, Index: row.Index, ID: r.ID, Source: r.Source, Type: string(r.Type), Tenant: r.Tenant, Environment: r.Environment,
		Time: time.UnixMicro(r.Time).UTC(), Received: time.UnixMicro(r.Received).UTC(),
		Iss: r.Issuer, SubjectRef: r.SubjectRef.String(), TokenRef: r.TokenRef.String(), SessionRef: r.SessionRef.String(),
		GrantRef: r.GrantRef.String(), ClientID: r.Client, Kid: r.KeyID, Alg: r.Algorithm, Aud: r.Audience, Scope: r.Scope,
		Iat: r.IssuedAt, Exp: r.Expires, Nbf: r.NotBefore, Actor: r.Actor, Outcome: r.Outcome, Reason: r.Reason,
		Ticket: r.Ticket, Attributes: r.Attributes, View: r.View, Claims: r.Claims, Consent: r.Consent, Purposes: r.Purposes,
	}
	if !r.PayloadHash.IsZero() {
		out.PayloadHash = r.PayloadHash.String()
	}
	if d := row.Duplicate; d != nil {
		out.DuplicateOf, out.DuplicateContent = &d.Of, d.Content
	}
	if v := r.Revocation; v != nil {
		out.Revocation = &RevocationEntry{Scope: v.Scope, IssuedBefore: v.IssuedBefore, Starts: v.Starts, NotAfter: v.NotAfter, Expires: expiry(v.Expires), Lifts: v.Lifts.String(), LiftsPosition: v.LiftsIndex}
	}
	return out
}
