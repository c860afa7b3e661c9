package query

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/query/erasure"
)

// SettleRecipient records what a person says of a recipient.
func (s *Server) SettleRecipient(c echo.Context, id ID, recipient string) error {
	var in RecipientSettlement
	if err := readJSON(c, &in); err != nil {
		return err
	}
	p := caller(c)
	r, err := s.cfg.Requests.Settle(c.Request().Context(), erasure.Settlement{
		ID: id, Recipient: recipient, Delivery: in.Delivery, Reason: in.Reason, Told: in.Told, Ticket: in.Ticket, Note: in.Note,
		Actor: p.Subject, Reaches: p.Reaches,
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.requestView(r))
}

// GetCallbackKeys shows the keys that callbacks are signed with.
func (s *Server) GetCallbackKeys(c echo.Context) error {
	var keys []Key
	if s.cfg.CallbackKeys != nil {
		var err error
		if keys, err = s.cfg.CallbackKeys(c.Request().Context()); err != nil {
			return err
		}
	}
	set, err := MarshalJWKS(keys)
	if err != nil {
		return err
	}
	return c.JSONBlob(http.StatusOK, set)
}

// recipientViews is who has to be told of an erasure, as it stands.
func recipientViews(r *erasure.Request) (out []RequestRecipient) {
	for _, p := range r.Recipients {
		out = append(out, RequestRecipient{
			ID: p.ID, Delivery: p.Delivery, Prepared: p.Prepared, Settled: p.Settled, Actor: p.Actor, Reason: p.Reason, Told: p.Told,
		})
	}
	return out
}

// attemptsWait bounds asking how it was tried: a request is shown without, too.
const attemptsWait = 2 * time.Second

// tried adds to out how r's recipients were tried.
func (s *Server) tried(ctx context.Context, r *erasure.Request, out *SubjectRequest) {
	ctx, cancel := context.WithTimeout(ctx, attemptsWait)
	defer cancel()
	attempts, err := s.cfg.Requests.Attempts(ctx, r)
	if err != nil {
		s.log.WarnContext(ctx, "request shown without attempts", slog.Any("err", err))
		return
	}
	for i := range out.Recipients {
		p := &out.Recipients[i]
		if t, there := attempts[p.ID]; there {
			p.Contact, p.Attempts, p.LastAttempt, p.NextAttempt, p.Failure = t.Contact, t.Attempts, t.Last, t.Next, t.Failure
		}
	}
}
