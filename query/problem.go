package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/dsr"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/export"
	"github.com/rescindhq/rescind/query/feedhttp"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/proposal"
)

// Kind is the stable name of a kind of problem: the last part of its type.
type Kind string

// The kinds, each with the one status that it has.
const (
	KindBody         Kind = "body"              // 400 cannot be read as what it says it is
	KindCursor       Kind = "cursor"            // 400 not one of ours, or of another query
	KindParameter    Kind = "parameter"         // 400 of path or query
	KindToken        Kind = "token"             // 401
	KindScope        Kind = "scope"             // 403 the token lacks a scope
	KindTenant       Kind = "tenant"            // 403 the token does not reach that tenant
	KindFourEyes     Kind = "four-eyes"         // 403 somebody else has to
	KindNotFound     Kind = "not-found"         // 404
	KindMethod       Kind = "method"            // 405
	KindState        Kind = "state"             // 409
	KindTaken        Kind = "taken"             // 409 another request was sent under this id
	KindApproval     Kind = "approval-required" // 409 a second person has to approve it
	KindAmbiguous    Kind = "ambiguous"         // 409 an id names things of several tenants
	KindTooLarge     Kind = "too-large"         // 413
	KindContentType  Kind = "content-type"      // 415
	KindInvalid      Kind = "invalid"           // 422 a member is not acceptable
	KindRefused      Kind = "refused"           // 422 the event that it would make is not acceptable
	KindShare        Kind = "share"             // 429 one caller does as much of it as it may
	KindInternal     Kind = "internal"          // 500
	KindPending      Kind = "pending"           // 503 durable, outcome not seen yet
	KindUnavailable  Kind = "unavailable"       // 503
	KindAuditMissing Kind = "audit-missing"     // 503 could not be recorded, so it was not done
)

// kindPrefix makes a Kind a URI.
const kindPrefix = "urn:rescind:problem:"

// problemError is a fault that its caller may know all of.
type problemError struct {
	kind   Kind
	status int
	title  string
	detail string
	member string
}

func (e *problemError) Error() string { return e.title + ": " + e.detail }

func invalid(member, format string, args ...any) error {
	return &problemError{KindInvalid, http.StatusUnprocessableEntity, "a member is not acceptable", fmt.Sprintf(format, args...), member}
}

func badBody(format string, args ...any) error {
	return &problemError{KindBody, http.StatusBadRequest, "the body cannot be read", fmt.Sprintf(format, args...), ""}
}

var (
	errTenant   = &problemError{KindTenant, http.StatusForbidden, "the token does not reach this tenant", "its claim tenants does not name it", "tenant"}
	errTooLarge = &problemError{KindTooLarge, http.StatusRequestEntityTooLarge, "the body is too large", fmt.Sprintf("the limit is %d bytes", events.MaxMessageBytes), ""}
	errCursor   = &problemError{KindCursor, http.StatusBadRequest, "the cursor cannot be used", "send the next of an answer to the same query, unchanged", "cursor"}
	errAudit    = &problemError{KindAuditMissing, http.StatusServiceUnavailable, "the access could not be recorded", "nothing was opened; try again", ""}
	errPending  = &problemError{KindPending, http.StatusServiceUnavailable, "recorded, outcome not seen yet", "read it again in a moment before doing it again", ""}
	errMany     = &problemError{KindAmbiguous, http.StatusConflict, "the id names revocations of several tenants", "name the tenant", "tenant"}
)

// tokenError is a missing or unacceptable access token. Reason is empty where
// there was none (RFC 6750 section 3.1).
type tokenError struct{ reason string }

func (e *tokenError) Error() string { return "access token: " + e.reason }

// scopeError is a token without any of the scopes that would do.
type scopeError struct{ want []string }

func (e *scopeError) Error() string {
	return "access token lacks scope " + strings.Join(e.want, " or ")
}

// problemOf is the one place where an error becomes an answer. What is not
// known here shows nothing.
func problemOf(err error) Problem {
	var (
		told     *problemError
		token    *tokenError
		scope    *scopeError
		refusal  *events.Refusal
		state    *erasure.StateError
		member   *erasure.MemberError
		held     *hold.MemberError
		proposed *proposal.StateError
		web      *echo.HTTPError
		tooBig   *http.MaxBytesError
		share    *shareError
		early    *erasure.EarlyError
		sent     *dsr.Fault
	)
	switch {
	case errors.As(err, &told):
		return Problem{Type: string(told.kind), Status: told.status, Title: told.title, Detail: told.detail, Member: told.member}
	case errors.As(err, &token):
		return problem(KindToken, http.StatusUnauthorized, "no valid access token", firstOf(token.reason, "send Authorization: Bearer with an access token"))
	case errors.As(err, &scope):
		return problem(KindScope, http.StatusForbidden, "the token lacks a scope", "want "+strings.Join(scope.want, " or "))
	case errors.As(err, &refusal):
		p := problem(KindRefused, http.StatusUnprocessableEntity, "the event would be refused", refusal.Detail)
		p.Reason = string(refusal.Reason)
		return p
	case errors.As(err, &share):
		return problem(KindShare, http.StatusTooManyRequests, "too many at once", share.Error())
	case errors.As(err, &state):
		return problem(KindState, http.StatusConflict, "not in this state", state.Error())
	case errors.As(err, &early):
		return problem(KindState, http.StatusConflict, "no receipt yet", early.Error()+": there is one once it was approved and carried out")
	case errors.Is(err, erasure.ErrNoReceipt):
		return problem(KindNotFound, http.StatusNotFound, "no receipt", "a receipt is made of erasures that are carried out, and of nothing else")
	case errors.As(err, &member):
		return Problem{Type: string(KindInvalid), Status: http.StatusUnprocessableEntity, Title: "a member is not acceptable", Detail: member.Detail, Member: member.Member}
	case errors.As(err, &held):
		return Problem{Type: string(KindInvalid), Status: http.StatusUnprocessableEntity, Title: "a member is not acceptable", Detail: held.Detail, Member: held.Member}
	case errors.Is(err, hold.ErrFourEyes):
		return problem(KindFourEyes, http.StatusForbidden, "somebody else has to", hold.ErrFourEyes.Error())
	case errors.Is(err, hold.ErrReleased):
		return problem(KindState, http.StatusConflict, "not in this state", hold.ErrReleased.Error())
	case errors.Is(err, seal.ErrLiving), errors.Is(err, seal.ErrErasing):
		return problem(KindState, http.StatusConflict, "nobody to let be known again", "want somebody who was forgotten, whose erasure is finished")
	case errors.As(err, &sent):
		return Problem{Type: string(KindInvalid), Status: http.StatusUnprocessableEntity, Title: "a member is not acceptable", Detail: sent.Detail, Member: sent.Member}
	case errors.Is(err, erasure.ErrTaken):
		return Problem{Type: string(KindTaken), Status: http.StatusConflict, Title: "the id is taken", Detail: erasure.ErrTaken.Error(), Member: "subject_request_id"}
	case errors.Is(err, erasure.ErrManyAsks):
		return problem(KindState, http.StatusConflict, "too many are told of it", "send it without status_callback_urls, and ask for its status")
	case errors.Is(err, erasure.ErrTooLate):
		return problem(KindState, http.StatusConflict, "too late", err.Error())
	case errors.As(err, &proposed):
		return problem(KindState, http.StatusConflict, "not in this state", proposed.Error())
	case errors.Is(err, proposal.ErrFourEyes):
		return problem(KindFourEyes, http.StatusForbidden, "somebody else has to", proposal.ErrFourEyes.Error())
	case errors.Is(err, erasure.ErrFourEyes):
		return problem(KindFourEyes, http.StatusForbidden, "somebody else has to", erasure.ErrFourEyes.Error())
	case errors.Is(err, erasure.ErrPending):
		return problem(KindPending, http.StatusServiceUnavailable, "recorded, outcome not seen yet", "read it again in a moment before doing it again")
	case errors.Is(err, export.ErrGone):
		return problem(KindNotFound, http.StatusNotFound, "no export", "there is none, or no more: its time is over, a newer link has replaced this one, or the person was erased; ask whoever sent the link")
	case errors.Is(err, erasure.ErrNotFound), errors.Is(err, hold.ErrNotFound), errors.Is(err, proposal.ErrNotFound), errors.Is(err, ErrNotFound):
		return problem(KindNotFound, http.StatusNotFound, "not found", "there is none that your token reaches")
	case errors.As(err, &tooBig):
		return Problem{Type: string(KindTooLarge), Status: errTooLarge.status, Title: errTooLarge.title, Detail: errTooLarge.detail}
	case errors.As(err, &web):
		return webProblem(web)
	case errors.Is(err, feedhttp.ErrPosition):
		return Problem{Type: string(KindParameter), Status: http.StatusBadRequest, Title: "a parameter is not acceptable",
			Detail: "want the id of an event, or a snapshot's feed and seq, as 123-45", Member: "Last-Event-ID"}
	case errors.Is(err, errDefect):
		return problem(KindInternal, http.StatusInternalServerError, "a fault of ours", "")
	default:
		return problem(KindUnavailable, http.StatusServiceUnavailable, "cannot be done now", "try again")
	}
}

func problem(k Kind, status int, title, detail string) Problem {
	return Problem{Type: string(k), Status: status, Title: title, Detail: detail}
}

// webProblem is an error of the router or of the binding of parameters. Its
// message may repeat input, so only the name of a parameter is taken.
func webProblem(e *echo.HTTPError) Problem {
	switch e.Code {
	case http.StatusNotFound:
		return problem(KindNotFound, e.Code, "not found", "there is no such route")
	case http.StatusMethodNotAllowed:
		return problem(KindMethod, e.Code, "method not allowed", "see Allow")
	case http.StatusBadRequest:
		p := problem(KindParameter, e.Code, "a parameter is not acceptable", "it has the wrong shape")
		msg, _, _ := strings.Cut(fmt.Sprint(e.Message), ":")
		if name, ok := strings.CutPrefix(msg, "Invalid format for parameter "); ok {
			p.Member = name
		}
		return p
	default:
		return problem(KindInternal, http.StatusInternalServerError, "a fault of ours", "")
	}
}

// errDefect marks what can only be a fault of ours: a panic.
var errDefect = errors.New("defect")

// fail answers with a problem and logs what the caller is not told.
func (s *Server) fail(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	if errors.Is(err, io.ErrUnexpectedEOF) && c.Request().Context().Err() != nil {
		return // the caller is gone
	}
	p := problemOf(err)
	asProtocol(err, &p)
	s.logFailure(c.Request().Context(), c, p, err)
	p.Type = kindPrefix + p.Type
	p.Instance = c.Response().Header().Get(echo.HeaderXRequestID)
	h := c.Response().Header()
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set(echo.HeaderWWWAuthenticate, challenge(err))
	case http.StatusForbidden:
		if strings.HasSuffix(p.Type, string(KindScope)) {
			h.Set(echo.HeaderWWWAuthenticate, challenge(err))
		}
	case http.StatusServiceUnavailable:
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(1))
	case http.StatusTooManyRequests:
		h.Set(echo.HeaderRetryAfter, retryAfter(err))
	}
	h.Set(echo.HeaderContentType, "application/problem+json")
	c.Response().WriteHeader(p.Status)
	if err := json.NewEncoder(c.Response()).Encode(p); err != nil {
		s.log.DebugContext(c.Request().Context(), "answer not sent", slog.Any("err", withoutPeer(err)))
	}
}

// retryAfter is the seconds after which a caller may have its share again.
func retryAfter(err error) string {
	var share *shareError
	if !errors.As(err, &share) {
		return "1"
	}
	return strconv.Itoa(int(share.retry.Seconds()))
}

// challenge is the WWW-Authenticate of RFC 6750 section 3.
func challenge(err error) string {
	var token *tokenError
	var scope *scopeError
	switch {
	case errors.As(err, &scope):
		return `Bearer error="insufficient_scope", scope="` + strings.Join(scope.want, " ") + `"`
	case errors.As(err, &token) && token.reason != "":
		return `Bearer error="invalid_token", error_description="` + token.reason + `"`
	default:
		return "Bearer"
	}
}

// logFailure logs faults of ours with their cause; those of callers are
// counted, not logged.
func (s *Server) logFailure(ctx context.Context, c echo.Context, p Problem, err error) {
	if p.Status < http.StatusInternalServerError {
		return
	}
	s.log.WarnContext(ctx, "request failed", slog.String("route", c.Path()), slog.Int("status", p.Status),
		slog.String("request", c.Response().Header().Get(echo.HeaderXRequestID)), slog.Any("err", err))
}

func firstOf(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
