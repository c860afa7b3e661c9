package query

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/erasure"
)

// CreateRequest records what a data subject asks for.
func (s *Server) CreateRequest(c echo.Context) error {
	var in SubjectRequestInput
	if err := readJSON(c, &in); err != nil {
		return err
	}
	p := caller(c)
	tenant, err := p.tenant(in.Tenant)
	if err != nil {
		return err
	}
	var k check
	oneOf(&k, "type", in.Type, erasure.Types())
	oneOf(&k, "regulation", in.Regulation, erasure.Regulations())
	k.that(in.Subject.Iss != "", "subject.iss", "name the issuer of the subject")
	k.that(in.Subject.Sub != "", "subject.sub", "name the subject")
	if k.err != nil {
		return k.err
	}
	r, joined, err := s.cfg.Requests.Receive(c.Request().Context(), erasure.Input{
		Tenant: tenant, Type: in.Type, Regulation: in.Regulation, Issuer: in.Subject.Iss, Subject: in.Subject.Sub,
		Actor: p.Subject, Ticket: in.Ticket, Note: in.Note, Received: in.ReceivedAt, Confirmed: in.Confirmed,
	})
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, "/v1/requests/"+r.ID)
	view := s.requestView(r)
	view.Salt = r.Salt
	if joined {
		return c.JSON(http.StatusOK, view)
	}
	return c.JSON(http.StatusCreated, view)
}

// ListRequests lists the requests of the caller's tenants, the newest first.
func (s *Server) ListRequests(c echo.Context, params ListRequestsParams) error {
	limit, err := limitOf(params.Limit)
	if err != nil {
		return err
	}
	var k check
	if params.State != "" {
		oneOf(&k, "state", params.State, erasure.States())
	}
	if params.Urgency != "" {
		oneOf(&k, "urgency", params.Urgency, []erasure.Urgency{erasure.Soon, erasure.Overdue})
	}
	if k.err != nil {
		return k.err
	}
	sees, err := reaches(caller(c), params.Tenant)
	if err != nil {
		return err
	}
	query := params
	query.Cursor, query.Limit = "", nil
	from, err := s.places(query, params.Cursor)
	if err != nil {
		return err
	}
	lists := make([][]erasure.Request, s.cfg.Shards)
	for k := range lists {
		lists[k] = s.cfg.Requests.List(erasure.Filter{Reaches: sees, State: params.State, Urgency: params.Urgency, Shard: uint16(k), Before: from.before(uint16(k)), Limit: limit})
	}
	found := newest(lists, limit, func(r erasure.Request) time.Time { return r.History[0].At })
	out := SubjectRequests{Requests: make([]SubjectRequest, len(found))}
	for i, r := range found {
		out.Requests[i] = s.requestView(r)
		from.passed(r.Shard, r.Position)
	}
	if len(found) == limit {
		if out.Next, err = newCursor(query, from...); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, out)
}

// GetRequest shows one request.
func (s *Server) GetRequest(c echo.Context, id ID) error {
	r, err := s.cfg.Requests.Get(id, caller(c).Reaches)
	if err != nil {
		return err
	}
	out := s.requestView(r)
	s.tried(c.Request().Context(), &r, &out)
	return c.JSON(http.StatusOK, out)
}

// VerifyRequest states that the requester is who they say they are.
func (s *Server) VerifyRequest(c echo.Context, id ID) error { return s.act(c, id, erasure.Verified) }

// ApproveRequest has the request carried out.
func (s *Server) ApproveRequest(c echo.Context, id ID) error { return s.act(c, id, erasure.Approved) }

// DenyRequest refuses the request.
func (s *Server) DenyRequest(c echo.Context, id ID) error { return s.act(c, id, erasure.Denied) }

// CancelRequest takes the request back.
func (s *Server) CancelRequest(c echo.Context, id ID) error {
	return s.act(c, id, erasure.Cancelled)
}

// ExtendRequest takes longer to answer the request.
func (s *Server) ExtendRequest(c echo.Context, id ID) error { return s.act(c, id, erasure.Extended) }

// LiftRequest ends what the request has restricted.
func (s *Server) LiftRequest(c echo.Context, id ID) error {
	return s.decideRequest(c, erasure.Act{ID: id}, s.cfg.Requests.Lift)
}

func (s *Server) act(c echo.Context, id string, to erasure.State) error {
	return s.decideRequest(c, erasure.Act{ID: id, To: to}, s.cfg.Requests.Act)
}

// decideRequest has do carry out a, with what the caller says.
func (s *Server) decideRequest(c echo.Context, a erasure.Act, do func(context.Context, erasure.Act) (erasure.Request, error)) error {
	var in RequestAct
	if c.Request().ContentLength != 0 {
		if err := readJSON(c, &in); err != nil {
			return err
		}
	}
	p := caller(c)
	a.Actor, a.Reaches = p.Subject, p.Reaches
	a.Reason, a.Ticket, a.Note, a.Told = in.Reason, in.Ticket, in.Note, in.Told
	r, err := do(c.Request().Context(), a)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.requestView(r))
}

// requestView is a request as it stands. It is all the requester's data that
// it leaves out: the identifiers are in the sealed part of its event.
func (s *Server) requestView(r erasure.Request) SubjectRequest {
	now := s.cfg.Now()
	out := SubjectRequest{
		ID: r.ID, Tenant: r.Tenant, Type: r.Type, Regulation: r.Regulation, State: r.State,
		Received: r.Received, Due: r.Due, ConfirmBy: r.ConfirmBy, Answered: r.Answered, Urgency: r.Urgency(now),
		Extended: r.Extended, Outcome: string(r.Outcome), Reason: r.Reason, Missing: r.Missing, Position: r.Last().Position, ExportUntil: r.ExportUntil,
		Recipients: recipientViews(&r),
	}
	if r.AwaitsAnswer() {
		left := r.DaysLeft(now)
		out.DaysLeft = &left
	}
	for _, h := range r.History {
		step := RequestStep{State: h.State, What: h.What, At: h.At, Actor: h.Actor, Reason: h.Reason, Ticket: h.Ticket, Told: h.Told, Position: h.Position, Recipient: h.Recipient, Delivery: string(h.Delivery)}
		if h.Actor == events.ActorSubject {
			step.Actor = ""
		}
		out.History = append(out.History, step)
	}
	return out
}
