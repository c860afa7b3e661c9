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
	"strings"

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
		return s.approved(ctx, p, tenant, in.Approval, in.terms(), in.Note)
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
	return ev.Refuse(events.ReasonReserved, detail)
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

// approved is permit for what names an approval.
func (s *Server) approved(ctx context.Context, p *Principal, tenant, approval string, terms proposal.Terms, note string) (map[string]string, error) {
	at := func(t string) bool { return t == tenant && p.Reaches(t) }
	proposed, err := s.proposals.Get(approval, at)
	if err != nil {
		return nil, invalid("approval", "there is no such proposal of this tenant")
	}
	body, err := s.termsDigest(ctx, tenant, terms, note)
	if err != nil {
		return nil, err
	}
	err = proposed.Permits(body, s.cfg.Now())
	if errors.Is(err, proposal.ErrBody) {
		return nil, otherBody(proposed.Differ(terms))
	}
	if err != nil {
		return nil, err
	}
	return map[string]string{proposal.AttrProposal: proposed.ID, "approved_by": proposed.DecidedBy, "proposed_by": proposed.ProposedBy}, nil
}

// otherBody is that what is to be done is not what was approved.
func otherBody(members []string) error {
	if len(members) == 0 {
		members = []string{"note"} // the one that is not among the terms
	}
	return &problemError{KindState, http.StatusConflict, "not what was approved",
		"what was approved has another " + strings.Join(members, ", ") + ": send exactly what was proposed", "approval"}
}

// terms is what in would do, as somebody who approves it sees it. Its note is
// beside them; identifiers of single tokens, sessions and people have no place
// in a wide revocation.
func (in *RevocationRequest) terms() proposal.Terms {
	return proposal.Terms{
		Scope: in.Scope, Issuer: in.Iss, Client: in.ClientID, KeyID: in.Kid, Expires: in.Exp, Cutoff: in.IssuedBefore,
		Starts: in.Starts, NotAfter: in.NotAfter, Reason: in.Reason, Ticket: in.Ticket,
	}
}

// termsDigest is what an approval is bound to: all that is to be done and said,
// under the tenant's digest key, as the note may be personal.
func (s *Server) termsDigest(ctx context.Context, tenant string, terms proposal.Terms, note string) (string, error) {
	t, err := s.cfg.Keyring.LookupTenant(ctx, tenant)
	if errors.Is(err, seal.ErrNotFound) {
		return "", invalid("tenant", "nothing was ever said of it: there is nothing to propose")
	}
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(struct {
		Tenant string         `json:"tenant"`
		Terms  proposal.Terms `json:"terms"`
		Note   string         `json:"note"`
	}{tenant, terms, note})
	if err != nil {
		return "", fmt.Errorf("digest of a proposal: %w", err)
	}
	first, second := t.Digest(append([]byte("proposal 1 "), b...)), t.Digest(append([]byte("proposal 2 "), b...))
	return hex.EncodeToString(first[:]) + hex.EncodeToString(second[:]), nil
}
