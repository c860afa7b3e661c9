package query

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
)

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
