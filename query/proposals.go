package query

import (
	"context"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/proposal"
)

// ProposeRevocation records what somebody else is to approve.
func (s *Server) ProposeRevocation(c echo.Context) error {
	in, tenant, err := s.revocationRequest(c)
	if err != nil {
		return err
	}
	if !wide(in.Scope) || in.Approval != "" {
		return invalid("scope", "only client, key, issuer and tenant are proposed, without approval: others are revoked at once")
	}
	attributes, err := s.proposed(c.Request().Context(), tenant, in)
	if err != nil {
		return err
	}
	return s.propose(c, tenant, in.terms(), in.Note, attributes)
}

// propose publishes a proposal of terms.
func (s *Server) propose(c echo.Context, tenant string, terms proposal.Terms, note string, attributes map[string]string) error {
	d := events.Data{Actor: caller(c).Subject, Note: note, Attributes: attributes}
	terms.Describe(&d)
	ev, err := s.event(events.RevocationProposed, tenant, d)
	if err != nil {
		return err
	}
	attributes[proposal.AttrProposal] = ev.ID
	out, err := s.decide(c.Request().Context(), ev, ev.ID)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, s.proposalView(&out))
}

// proposed is the attributes of a proposal beside its terms. What it would hit
// is left out where that cannot be known now.
func (s *Server) proposed(ctx context.Context, tenant string, in *RevocationRequest) (map[string]string, error) {
	body, err := s.termsDigest(ctx, tenant, in.terms(), in.Note)
	if err != nil {
		return nil, err
	}
	attributes := map[string]string{proposal.AttrBody: body}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CountFor)
	defer cancel()
	if hits, _, err := s.hits(ctx, tenant, in); err == nil {
		attributes[proposal.AttrTokens] = strconv.FormatUint(hits.Tokens, 10)
		attributes[proposal.AttrReach] = strconv.FormatUint(hits.Reach, 10)
	}
	return attributes, nil
}

// decide publishes an event of a proposal, and is the proposal with that event
// folded into it.
func (s *Server) decide(ctx context.Context, ev events.Event, id string) (proposal.Proposal, error) {
	ev.Source = proposal.Source
	if err := s.publish(ctx, ev); err != nil {
		return proposal.Proposal{}, err
	}
	if s.position(ctx, ev) == nil {
		return proposal.Proposal{}, errPending
	}
	return s.proposals.Get(id, func(tenant string) bool { return tenant == ev.Tenant })
}

// ApproveProposal has a proposal's revocation permitted.
func (s *Server) ApproveProposal(c echo.Context, id ID) error {
	return s.actOnProposal(c, id, proposal.Approved, events.RevocationApproved)
}

// DenyProposal refuses a proposal, or takes its approval back.
func (s *Server) DenyProposal(c echo.Context, id ID) error {
	return s.actOnProposal(c, id, proposal.Denied, events.RevocationDenied)
}

func (s *Server) actOnProposal(c echo.Context, id string, to proposal.State, t events.Type) error {
	var in ProposalAct
	if c.Request().ContentLength != 0 {
		if err := readJSON(c, &in); err != nil {
			return err
		}
	}
	if to == proposal.Denied && in.Reason == "" {
		return invalid("reason", "say why it is denied")
	}
	p := caller(c)
	found, err := s.proposals.Get(id, p.Reaches)
	if err != nil {
		return err
	}
	if err := found.May(to, p.Subject, s.cfg.Now()); err != nil {
		return err
	}
	if in.Body != "" && in.Body != found.Body {
		return &problemError{KindState, http.StatusConflict, "not what was proposed", "the proposal has another body than the one that was read: read it again", "body"}
	}
	if to == proposal.Approved {
		if err := s.whole(c.Request().Context(), &found); err != nil {
			return err
		}
	}
	ev, err := s.event(t, found.Tenant, events.Data{
		Actor: p.Subject, Reason: in.Reason, Ticket: in.Ticket, Note: in.Note,
		Attributes: map[string]string{proposal.AttrProposal: found.ID, proposal.AttrBody: found.Body},
	})
	if err != nil {
		return err
	}
	now, err := s.decide(c.Request().Context(), ev, found.ID)
	if err != nil {
		return err
	}
	if state := now.State(s.cfg.Now()); state != to && state != proposal.Used || now.DecidedBy != p.Subject {
		return &proposal.StateError{State: state, To: to} // somebody else was first
	}
	return c.JSON(http.StatusOK, s.proposalView(&now))
}

// whole refuses to have approved what could not be seen whole: what a proposal
// shows must be what its digest was taken of.
func (s *Server) whole(ctx context.Context, p *proposal.Proposal) error {
	note, missing, err := s.openNote(ctx, p)
	if err != nil {
		return err
	}
	body, err := s.termsDigest(ctx, p.Tenant, p.Terms, note)
	if err != nil {
		return err
	}
	if missing != "" || body != p.Body {
		return &problemError{KindState, http.StatusConflict, "not what was proposed",
			"what the proposal shows is not what its digest was taken of: deny it, and have it proposed again", ""}
	}
	return nil
}

// noteNotOpened is why a note is not there: nobody opened it.
const noteNotOpened = "not_opened"

// openNote is the note of p, or why it cannot be had.
func (s *Server) openNote(ctx context.Context, p *proposal.Proposal) (note, missing string, err error) {
	if p.Record.PayloadHash.IsZero() {
		return "", "", nil
	}
	personal, missing, err := s.openOne(ctx, p.Record, p.Sealed)
	if err != nil || missing != "" {
		return "", missing, err
	}
	return personal.Note, "", nil
}

// GetProposal shows one proposal. Who may decide about it is shown its note,
// which is personal data: that is recorded first.
func (s *Server) GetProposal(c echo.Context, id ID) error {
	caller, ctx := caller(c), c.Request().Context()
	p, err := s.proposals.Get(id, caller.Reaches)
	if err != nil {
		return err
	}
	out := s.proposalView(&p)
	if out.NoteMissing == "" || !caller.Has(ScopeRevocationsApprove) {
		return c.JSON(http.StatusOK, out)
	}
	err = s.recordFirst(ctx, p.Tenant, events.Data{Actor: caller.Subject, Attributes: map[string]string{
		"purpose": "decide about a proposal", "route": "revocations/proposals", "proposal": p.ID, "events": "1",
	}})
	if err != nil {
		return err
	}
	if out.Note, out.NoteMissing, err = s.openNote(ctx, &p); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, out)
}

// ListProposals lists the latest proposals of the caller's tenants.
func (s *Server) ListProposals(c echo.Context, params ListProposalsParams) error {
	limit, err := limitOf(params.Limit)
	if err != nil {
		return err
	}
	sees, err := reaches(caller(c), params.Tenant)
	if err != nil {
		return err
	}
	out := Proposals{Proposals: []ProposalView{}}
	for _, p := range s.proposals.List(sees, limit) {
		out.Proposals = append(out.Proposals, s.proposalView(&p))
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Server) proposalView(p *proposal.Proposal) ProposalView {
	out := ProposalView{
		ID: p.ID, Tenant: p.Tenant, State: string(p.State(s.cfg.Now())), Scope: p.Scope, Iss: p.Issuer, ClientID: p.Client, Kid: p.KeyID,
		Exp: p.Terms.Expires, IssuedBefore: p.Cutoff, Starts: p.Starts, NotAfter: p.NotAfter, Reason: p.Reason, Ticket: p.Ticket, Lifts: p.Lifts,
		Body: p.Body, Tokens: p.Tokens, Reach: p.Reach,
		ProposedBy: p.ProposedBy, Proposed: p.Proposed, DecidedBy: p.DecidedBy, Decided: p.Decided, DecisionReason: p.DecisionReason,
		Expires: p.Expires(), Position: p.Position,
	}
	if !p.Record.PayloadHash.IsZero() {
		out.NoteMissing = noteNotOpened
	}
	return out
}
