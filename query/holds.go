package query

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/hold"
)

// PlaceHold keeps something although its erasure is asked for.
func (s *Server) PlaceHold(c echo.Context) error {
	var in HoldInput
	if err := readJSON(c, &in); err != nil {
		return err
	}
	p := caller(c)
	tenant, err := p.tenant(in.Tenant)
	if err != nil {
		return err
	}
	for i, name := range in.Types {
		in.Types[i] = string(typeNamed(name))
	}
	h, err := s.cfg.Requests.PlaceHold(c.Request().Context(), erasure.HoldInput{
		Tenant: tenant, Issuer: in.Iss, Subject: in.Subject, Session: in.Session, Client: in.ClientID, Types: in.Types, From: in.From, To: in.To,
		Article: in.Article, Owner: in.Owner, Review: in.Review, Reason: in.Reason, Ticket: in.Ticket, Note: in.Note, Actor: p.Subject,
	})
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, "/v1/holds/"+h.ID)
	return c.JSON(http.StatusCreated, s.holdView(&h))
}

// ListHolds lists the holds of the caller's tenants.
func (s *Server) ListHolds(c echo.Context, params ListHoldsParams) error {
	sees, err := reaches(caller(c), params.Tenant)
	if err != nil {
		return err
	}
	found := s.cfg.Requests.ListHolds(sees, params.Active)
	out := Holds{Holds: make([]Hold, min(len(found), MaxLimit))}
	for i := range out.Holds {
		out.Holds[i] = s.holdView(&found[i])
	}
	return c.JSON(http.StatusOK, out)
}

// GetHold shows one hold.
func (s *Server) GetHold(c echo.Context, id ID) error {
	h, err := s.cfg.Requests.GetHold(id, caller(c).Reaches)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.holdView(&h))
}

// ReleaseHold ends a hold.
func (s *Server) ReleaseHold(c echo.Context, id ID) error {
	var in RequestAct
	if err := readJSON(c, &in); err != nil {
		return err
	}
	p := caller(c)
	h, err := s.cfg.Requests.ReleaseHold(c.Request().Context(), erasure.HoldRelease{
		ID: id, Actor: p.Subject, Reason: in.Reason, Ticket: in.Ticket, Note: in.Note, Reaches: p.Reaches,
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.holdView(&h))
}

func (s *Server) holdView(h *hold.Hold) Hold {
	out := Hold{
		ID: h.ID, Tenant: h.Tenant, By: h.By, SubjectRef: h.Subject.String(), SessionRef: h.Session.String(), ClientID: h.Client, From: h.From, To: h.To,
		Article: h.Article, Owner: h.Owner, Review: h.Review.Format(time.DateOnly), Reason: h.Reason, Ticket: h.Ticket, Placed: h.Placed, PlacedBy: h.PlacedBy,
		Active: h.Active(), ReviewOverdue: h.Active() && s.cfg.Now().After(h.Review),
		Released: h.Released, ReleasedBy: h.ReleasedBy, ReleaseReason: h.ReleaseReason, Position: h.Position,
	}
	for _, t := range h.Types {
		out.Types = append(out.Types, t.Name())
	}
	return out
}

// RenewWait is how long a renewal may take: every process drops what it had in memory,
// and one that does not answer is waited for.
const RenewWait = 2 * seal.MaxCacheTTL

const renewRoute = "/v1/subjects/renew"

// RenewSubject lets somebody who was forgotten be known again. A request has less time
// than that may take, and so has a connection, on which has to be said too that it was
// not enough.
func (s *Server) RenewSubject(c echo.Context) error {
	var in Renewal
	if err := readJSON(c, &in); err != nil {
		return err
	}
	p := caller(c)
	tenant, err := p.tenant(in.Tenant)
	if err != nil {
		return err
	}
	var k check
	oneOf(&k, "basis", in.Basis, erasure.Bases())
	k.that(in.Subject.Iss != "", "subject.iss", "name the issuer of the subject")
	k.that(in.Subject.Sub != "", "subject.sub", "name the subject")
	k.that(len(in.Reason) >= minPurpose, "reason", "say why they may be known again")
	if k.err != nil {
		return k.err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), RenewWait)
	defer cancel()
	until, control := time.Now().Add(RenewWait+5*time.Second), http.NewResponseController(c.Response())
	if err := errors.Join(control.SetReadDeadline(until), control.SetWriteDeadline(until)); err != nil {
		return err
	}
	got, err := s.cfg.Requests.Renew(ctx, erasure.Renewal{
		Tenant: tenant, Issuer: in.Subject.Iss, Subject: in.Subject.Sub, Basis: in.Basis, Reason: in.Reason, Ticket: in.Ticket, Actor: p.Subject,
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, Renewed{Generation: got.Generation, Position: got.Position, KnownBy: got.KnownBy})
}
