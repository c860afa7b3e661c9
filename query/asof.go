package query

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/query/history"
	"github.com/rescindhq/rescind/revocation"
)

// History decides as of the past, from the log: *history.History.
type History interface {
	// Decide answers for c as of a moment of the log of the tenant's shard, and
	// says which it was. It wraps history.ErrFuture where the log has not come
	// that far.
	Decide(ctx context.Context, c revocation.Claims, at history.Moment) (revocation.Decision, history.Moment, error)
}

// checkAsOf is Check for the past.
func (s *Server) checkAsOf(c echo.Context, tenant string, in *CheckRequest) error {
	at := history.Moment{Time: in.AsOf, Position: in.AsOfPosition}
	switch {
	case at.Position != nil && !at.Time.IsZero():
		return invalid("as_of", "want one of as_of and as_of_position")
	case at.Time.After(s.cfg.Now()):
		return invalid("as_of", "it is in the future")
	case !at.Time.IsZero() && at.Time.Before(time.Unix(0, 0)):
		return invalid("as_of", "it is before 1970")
	}
	release, err := s.shares.past.take(caller(c).Subject)
	if err != nil {
		return err
	}
	defer release()
	d, was, err := s.cfg.History.Decide(c.Request().Context(), in.Claims.claims(tenant), at)
	if errors.Is(err, history.ErrFuture) {
		return invalid("as_of_position", "the log has not come that far")
	}
	if err != nil {
		return err
	}
	out := decisionView(d)
	out.AsOf = was.Time.UTC()
	return c.JSON(http.StatusOK, out)
}
