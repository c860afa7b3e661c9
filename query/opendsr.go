package query

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/query/dsr"
	"github.com/rescindhq/rescind/query/erasure"
)

// protocolError is an error on a route of OpenDSR, which has a shape of its own for
// them, and one status for whatever is wrong with a request.
type protocolError struct{ error }

func (e *protocolError) Unwrap() error { return e.error }

// asProtocol has p say what err came to in the way of its route, too.
func asProtocol(err error, p *Problem) {
	var told *protocolError
	if !errors.As(err, &told) {
		return
	}
	if p.Status == http.StatusUnprocessableEntity || p.Status == http.StatusUnsupportedMediaType {
		p.Status = http.StatusBadRequest
	}
	message := cmp.Or(p.Detail, p.Title)
	if p.Member != "" {
		message = p.Member + ": " + message
	}
	p.Error = &OpenDSRError{Code: p.Status, Message: message}
}

// inOpenDSR answers with what do says, signed.
func (s *Server) inOpenDSR(c echo.Context, status int, do func() (any, error)) error {
	if s.cfg.OpenDSR == nil {
		return &protocolError{&problemError{KindNotFound, http.StatusNotFound, "not found", "OpenDSR is not spoken here: it needs a certificate", ""}}
	}
	body, err := do()
	if err == nil {
		err = s.signed(c, status, body)
	}
	if err != nil {
		return &protocolError{err}
	}
	return nil
}

// signed answers with body, under a signature over its very bytes.
func (s *Server) signed(c echo.Context, status int, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	fields, err := s.cfg.OpenDSR.Sign(b)
	if err != nil {
		return err
	}
	for name, values := range fields {
		c.Response().Header()[name] = values
	}
	return c.Blob(status, echo.MIMEApplicationJSON, b)
}

// DiscoverOpenDSR says what is taken.
func (s *Server) DiscoverOpenDSR(c echo.Context) error {
	return s.inOpenDSR(c, http.StatusOK, func() (any, error) { return s.cfg.OpenDSR.Discover(), nil })
}

// GetOpenDSRCertificate shows the certificate that signs.
func (s *Server) GetOpenDSRCertificate(c echo.Context) error {
	if s.cfg.OpenDSR == nil {
		return s.inOpenDSR(c, 0, nil)
	}
	return c.Blob(http.StatusOK, "application/x-pem-file", s.cfg.OpenDSR.Certificate())
}

// CreateOpenDSRRequest records what a data subject asked a controller for.
func (s *Server) CreateOpenDSRRequest(c echo.Context, params CreateOpenDSRRequestParams) error {
	return s.submit(c, params.Tenant, "")
}

// CreateOpenGDPRRequest is the same in version 1, which knows one regulation.
func (s *Server) CreateOpenGDPRRequest(c echo.Context, params CreateOpenGDPRRequestParams) error {
	return s.submit(c, params.Tenant, erasure.GDPR)
}

func (s *Server) submit(c echo.Context, named, regulation string) error {
	return s.inOpenDSR(c, http.StatusCreated, func() (any, error) {
		tenant, err := caller(c).tenant(named)
		if err != nil {
			return nil, err
		}
		in, err := s.readOpenDSR(c, regulation)
		if err != nil {
			return nil, err
		}
		r, a, err := s.askFor(c.Request().Context(), tenant, caller(c).Subject, in)
		if err != nil {
			return nil, err
		}
		c.Response().Header().Set(echo.HeaderLocation, "/v1/opendsr/requests/"+in.ID)
		return s.cfg.OpenDSR.ReceiptOf(in, &r, &a), nil
	})
}

func (s *Server) readOpenDSR(c echo.Context, regulation string) (*dsr.Request, error) {
	media, _, err := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType))
	if err != nil || media != echo.MIMEApplicationJSON {
		return nil, &problemError{KindContentType, http.StatusUnsupportedMediaType, "content type", "want " + echo.MIMEApplicationJSON, ""}
	}
	b, err := readBody(c)
	if err != nil {
		return nil, err
	}
	in, err := dsr.Parse(b, s.cfg.OpenDSR.Domain(), regulation)
	return &in, err
}

// askFor records a request that by sent. Whose name for the subject it is is only
// looked for where it was not sent before: a tenant may have got a second issuer.
func (s *Server) askFor(ctx context.Context, tenant, by string, in *dsr.Request) (erasure.Request, erasure.Asked, error) {
	_, _, err := s.cfg.Requests.FindAsk(ctx, tenant, by, in.ID)
	issuer := in.Issuer
	if errors.Is(err, erasure.ErrNotFound) && issuer == "" {
		issuer, err = s.soleIssuer(ctx, tenant)
	}
	if err != nil && !errors.Is(err, erasure.ErrNotFound) {
		return erasure.Request{}, erasure.Asked{}, err
	}
	at, err := s.submitted(in.Submitted)
	if err != nil {
		return erasure.Request{}, erasure.Asked{}, err
	}
	r, a, err := s.cfg.Requests.AskFor(ctx, erasure.Input{
		Tenant: tenant, Type: in.Type, Regulation: in.Regulation, Issuer: issuer, Subject: in.Subject, Actor: by, Received: at, Confirmed: true,
	}, erasure.Ask{By: by, ID: in.ID, Said: in.Said(), Callbacks: in.Callbacks})
	if member := (*erasure.MemberError)(nil); errors.As(err, &member) && member.Member == "received_at" {
		err = &dsr.Fault{Member: "submitted_time", Detail: member.Detail}
	}
	return r, a, err
}

// clocksApart is how far the clock of a controller may be ahead of ours.
const clocksApart = 5 * time.Minute

// submitted is when a request reached the controller, from which its deadline runs.
func (s *Server) submitted(at time.Time) (time.Time, error) {
	now := s.cfg.Now()
	switch {
	case !at.After(now):
		return at, nil
	case at.Sub(now) <= clocksApart:
		return now, nil
	default:
		return at, &dsr.Fault{Member: "submitted_time", Detail: "it has not come yet"}
	}
}

// soleIssuer is the issuer of a tenant that has one.
func (s *Server) soleIssuer(ctx context.Context, tenant string) (string, error) {
	issuers, err := s.cfg.Events.Issuers(ctx, tenant, s.shard(tenant), 2)
	if err != nil {
		return "", err
	}
	if len(issuers) != 1 {
		return "", &dsr.Fault{Member: "extensions", Detail: "name the issuer of the subject: " + s.cfg.OpenDSR.Domain() + " with iss in it"}
	}
	return issuers[0], nil
}

// GetOpenDSRRequest says how it stands.
func (s *Server) GetOpenDSRRequest(c echo.Context, id SubjectRequestID, params GetOpenDSRRequestParams) error {
	return s.status(c, id, params.Tenant)
}

// GetOpenGDPRRequest is the same in version 1.
func (s *Server) GetOpenGDPRRequest(c echo.Context, id SubjectRequestID, params GetOpenGDPRRequestParams) error {
	return s.status(c, id, params.Tenant)
}

func (s *Server) status(c echo.Context, id, named string) error {
	return s.inOpenDSR(c, http.StatusOK, func() (any, error) {
		r, a, err := s.ofCaller(c, id, named, s.cfg.Requests.FindAsk)
		return s.cfg.OpenDSR.StatusOfAsk(&r, &a, id), err
	})
}

// CancelOpenDSRRequest takes a request back.
func (s *Server) CancelOpenDSRRequest(c echo.Context, id SubjectRequestID, params CancelOpenDSRRequestParams) error {
	return s.withdraw(c, id, params.Tenant)
}

// CancelOpenGDPRRequest is the same in version 1.
func (s *Server) CancelOpenGDPRRequest(c echo.Context, id SubjectRequestID, params CancelOpenGDPRRequestParams) error {
	return s.withdraw(c, id, params.Tenant)
}

func (s *Server) withdraw(c echo.Context, id, named string) error {
	return s.inOpenDSR(c, http.StatusAccepted, func() (any, error) {
		r, a, err := s.ofCaller(c, id, named, s.cfg.Requests.Withdraw)
		return dsr.WithdrawalOf(&r, &a, id), err
	})
}

// asks finds a request by the id that its sender gave it.
type asks func(ctx context.Context, tenant, by, id string) (erasure.Request, erasure.Asked, error)

// ofCaller is what the caller asked for under id.
func (s *Server) ofCaller(c echo.Context, id, named string, find asks) (erasure.Request, erasure.Asked, error) {
	tenant, err := caller(c).tenant(named)
	if err != nil {
		return erasure.Request{}, erasure.Asked{}, err
	}
	if !dsr.ValidID(id) {
		return erasure.Request{}, erasure.Asked{}, ErrNotFound
	}
	return find(c.Request().Context(), tenant, caller(c).Subject, id)
}

// GetDataRightsRequest shows one request in the words of the Data Rights Protocol.
func (s *Server) GetDataRightsRequest(c echo.Context, id ID) error {
	r, err := s.cfg.Requests.Get(id, caller(c).Reaches)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, dsr.ExerciseOf(&r))
}
