package query

import (
	"context"
	"maps"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/proposal"
)

// LiftRevocation takes one revocation back, or proposes to.
func (s *Server) LiftRevocation(c echo.Context, id ID, params LiftRevocationParams) error {
	var in LiftRequest
	if err := readJSON(c, &in); err != nil {
		return err
	}
	if in.Reason == "" {
		return invalid("reason", "want the reason")
	}
	v, err := s.liftable(c, named{id, params.Tenant, params.Source, params.Position})
	if err != nil {
		return err
	}
	if in.Propose {
		return s.proposeLift(c, &v, &in)
	}
	permission, err := s.permitLift(c.Request().Context(), caller(c), &v, &in)
	if err != nil {
		return err
	}
	d := v.lift(&in, caller(c))
	maps.Copy(d.Attributes, permission)
	return s.acceptAndWait(c, events.RevocationLifted, v.Record.Tenant, d)
}

// liftable is a revocation that can be lifted.
func (s *Server) liftable(c echo.Context, n named) (revoked, error) {
	v, err := s.revocation(c, n)
	if err != nil {
		return v, err
	}
	if erasure.Made(v.Record) {
		return v, &problemError{KindState, http.StatusConflict, "cannot be lifted", "an erasure made this revocation: the tokens of who was forgotten stay refused", ""}
	}
	if state := v.state(s.cfg.Now()); state != revocationActive && state != revocationScheduled {
		return v, &problemError{KindState, http.StatusConflict, "not in this state", "the revocation is " + state, ""}
	}
	return v, nil
}

// lift is what is said of the lift of v. It names v, and what that hashed to, so
// that verifiers can apply it without it.
func (v *revoked) lift(in *LiftRequest, p *Principal) events.Data {
	revoked := v.Record.Revocation
	return events.Data{
		Issuer: v.Record.Issuer, Actor: p.Subject, Reason: in.Reason, Ticket: in.Ticket, Note: in.Note,
		Expires: expiry(revoked.Expires),
		Attributes: map[string]string{
			"revocation": v.Record.Ref().String(),
			"position":   strconv.FormatUint(v.Index, 10),
			"hash":       revoked.Hash.String(),
			"scope":      string(revoked.Scope),
			"feed_key":   strconv.FormatUint(uint64(revoked.FeedKey), 10),
		},
	}
}

// decidedByTwo reports whether v needed a second person, so that its lift does:
// one of the two could undo what both decided.
func (s *Server) decidedByTwo(v *revoked) bool {
	return s.cfg.ApprovalAbove > 0 && v.Record.Attributes[proposal.AttrProposal] != ""
}

var errLiftNeedsTwo = &problemError{KindApproval, http.StatusConflict, "a second person has to approve it",
	"two people decided about this revocation: send this with propose: true, have somebody else approve that, then send this again with its id in approval", "approval"}

// permitLift is permit for the lift of v.
func (s *Server) permitLift(ctx context.Context, p *Principal, v *revoked, in *LiftRequest) (map[string]string, error) {
	switch {
	case in.Approval != "":
		return s.approved(ctx, p, v.Record.Tenant, in.Approval, in.terms(v), in.Note)
	case s.decidedByTwo(v):
		return nil, errLiftNeedsTwo
	default:
		return nil, nil
	}
}

func (s *Server) proposeLift(c echo.Context, v *revoked, in *LiftRequest) error {
	if !s.decidedByTwo(v) || in.Approval != "" {
		return invalid("propose", "only what two people revoked is proposed, without approval: other revocations are lifted at once")
	}
	body, err := s.termsDigest(c.Request().Context(), v.Record.Tenant, in.terms(v), in.Note)
	if err != nil {
		return err
	}
	return s.propose(c, v.Record.Tenant, in.terms(v), in.Note, map[string]string{proposal.AttrBody: body})
}

// terms is what a lift of v would do, as somebody who approves it sees it.
func (in *LiftRequest) terms(v *revoked) proposal.Terms {
	r := v.Record
	return proposal.Terms{Scope: r.Revocation.Scope, Issuer: r.Issuer, Client: r.Client, KeyID: r.KeyID, Reason: in.Reason, Ticket: in.Ticket, Lifts: r.ID}
}
