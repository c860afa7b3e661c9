package query

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/proposal"
)

// wide reports whether a scope may reach many people at once.
func wide(s events.Scope) bool {
	return s == events.ScopeClient || s == events.ScopeKey || s == events.ScopeIssuer || s == events.ScopeTenant
}

// watches reports whether a revocation of that scope may need a second person.
func (s *Server) watches(scope events.Scope) bool { return s.cfg.ApprovalAbove > 0 && wide(scope) }

// attrReach is the attribute of a wide revocation that says what it hits.
const attrReach = "reach"

// permit says what the event of a revocation says of its permission, or why it
// is not permitted.
func (s *Server) permit(ctx context.Context, p *Principal, tenant string, in *RevocationRequest) (map[string]string, error) {
	if in.Approval != "" {
		return s.approved(ctx, p, tenant, in)
	}
	if !s.watches(in.Scope) {
		return nil, nil
	}
	reach, err := s.reach(ctx, tenant, in)
	switch {
	case ctx.Err() != nil:
		return nil, err
	case err != nil:
		s.log.WarnContext(ctx, "revoking without knowing what it hits", slog.Any("err", err))
		return map[string]string{attrReach: "unknown"}, nil
	case reach > s.cfg.ApprovalAbove:
		return nil, approvalRequired(s.cfg.ApprovalAbove)
	default:
		return map[string]string{attrReach: strconv.FormatUint(reach, 10)}, nil
	}
}

// countedAtOnce is how many wide revocations of one message are counted: each may
// take CountFor.
const countedAtOnce = 5

// mayRevoke says why an event that revokes widely may not be published, or nil:
// POST /v1/events is no way around the second person. It is the nth of its
// message.
func (s *Server) mayRevoke(ctx context.Context, p *Principal, ev *events.Event, nth int) *events.Refusal {
	detail := fmt.Sprintf("it hits more than %d subjects: a second person has to approve it, at POST /v1/revocations/proposals", s.cfg.ApprovalAbove)
	if nth > countedAtOnce {
		detail = fmt.Sprintf("more than %d revocations of scope client, key, issuer or tenant in one message: send the others in another", countedAtOnce)
	} else {
		d := &ev.Data
		_, err := s.permit(ctx, p, ev.Tenant, &RevocationRequest{Scope: ev.Type.RevokedScope(), Iss: d.Issuer, ClientID: d.ClientID, Kid: d.KeyID,
			IssuedBefore: d.IssuedBefore, Starts: d.Starts})
		if err == nil {
			return nil
		}
	}
	return &events.Refusal{ID: ev.ID, Source: ev.Source, Reason: events.ReasonReserved, Detail: detail}
}

// reach is how many in hits, counted to just above the limit, in the time that
// a revocation may wait for it.
func (s *Server) reach(ctx context.Context, tenant string, in *RevocationRequest) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CountFor)
	defer cancel()
	search, _, err := s.hitSearch(ctx, tenant, in)
	if err != nil {
		return 0, err
	}
	return s.cfg.Reach.Reach(ctx, search, s.cfg.ApprovalAbove+1)
}

func approvalRequired(limit uint64) error {
	return &problemError{KindApproval, http.StatusConflict, "a second person has to approve it", fmt.Sprintf(
		"it hits more than %d subjects: send this body to POST /v1/revocations/proposals, have somebody else approve that, "+
			"then send this again with its id in approval", limit), "approval"}
}

// approved is permit for a body that names an approval.
func (s *Server) approved(ctx context.Context, p *Principal, tenant string, in *RevocationRequest) (map[string]string, error) {
	at := func(t string) bool { return t == tenant && p.Reaches(t) }
	proposed, err := s.proposals.Get(in.Approval, at)
	if err != nil {
		return nil, invalid("approval", "there is no such proposal of this tenant")
	}
	body, err := s.bodyDigest(ctx, tenant, in)
	if err != nil {
		return nil, err
	}
	if err := proposed.Permits(body, s.cfg.Now()); err != nil {
		return nil, err
	}
	return map[string]string{proposal.AttrProposal: proposed.ID, "approved_by": proposed.DecidedBy, "proposed_by": proposed.ProposedBy}, nil
}

// bodyDigest is what an approval is bound to: every member of the body but the
// approval itself, under the tenant's digest key, as the note may be personal.
func (s *Server) bodyDigest(ctx context.Context, tenant string, in *RevocationRequest) (string, error) {
	t, err := s.cfg.Keyring.LookupTenant(ctx, tenant)
	if errors.Is(err, seal.ErrNotFound) {
		return "", invalid("tenant", "nothing was ever said of it: there is nothing to propose")
	}
	if err != nil {
		return "", err
	}
	body := *in
	body.Tenant, body.Approval = tenant, ""
	b, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("digest of a proposal: %w", err)
	}
	first, second := t.Digest(append([]byte("proposal 1 "), b...)), t.Digest(append([]byte("proposal 2 "), b...))
	return hex.EncodeToString(first[:]) + hex.EncodeToString(second[:]), nil
}

// ProposeRevocation records what somebody else is to approve.
func (s *Server) ProposeRevocation(c echo.Context) error {
	in, tenant, err := s.revocationRequest(c)
	if err != nil {
		return err
	}
	if !wide(in.Scope) || in.Approval != "" {
		return invalid("scope", "only client, key, issuer and tenant are proposed, without approval: others are revoked at once")
	}
	ctx := c.Request().Context()
	attributes, err := s.proposed(ctx, tenant, in)
	if err != nil {
		return err
	}
	ev, err := s.event(events.RevocationProposed, tenant, events.Data{
		Issuer: in.Iss, ClientID: in.ClientID, KeyID: in.Kid, Actor: caller(c).Subject, Reason: in.Reason, Ticket: in.Ticket, Note: in.Note,
		Attributes: attributes,
	})
	if err != nil {
		return err
	}
	attributes[proposal.AttrProposal] = ev.ID
	out, err := s.decide(ctx, ev, ev.ID)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, s.proposalView(&out))
}

// proposed is the attributes of a proposal. What it would hit is left out where
// that cannot be known now.
func (s *Server) proposed(ctx context.Context, tenant string, in *RevocationRequest) (map[string]string, error) {
	body, err := s.bodyDigest(ctx, tenant, in)
	if err != nil {
		return nil, err
	}
	attributes := map[string]string{proposal.AttrBody: body, proposal.AttrScope: string(in.Scope)}
	if in.IssuedBefore != 0 {
		attributes[proposal.AttrCutoff] = strconv.FormatInt(int64(in.IssuedBefore), 10)
	}
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
	var in RequestAct
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

// GetProposal shows one proposal.
func (s *Server) GetProposal(c echo.Context, id ID) error {
	p, err := s.proposals.Get(id, caller(c).Reaches)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.proposalView(&p))
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
	return ProposalView{
		ID: p.ID, Tenant: p.Tenant, State: string(p.State(s.cfg.Now())), Scope: p.Scope, Iss: p.Issuer, ClientID: p.Client, Kid: p.KeyID,
		IssuedBefore: p.Cutoff, Reason: p.Reason, Ticket: p.Ticket, Body: p.Body, Tokens: p.Tokens, Reach: p.Reach,
		ProposedBy: p.ProposedBy, Proposed: p.Proposed, DecidedBy: p.DecidedBy, Decided: p.Decided, DecisionReason: p.DecisionReason,
		Expires: p.Expires(), Position: p.Position,
	}
}
