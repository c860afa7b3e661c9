package query

import (
	"context"
	"errors"
	"mime"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/stream"
)

// intakeKeysKept is how long an answer may be kept by whoever is between: a
// fraction of how long a key opens messages after its end.
const intakeKeysKept = "public, max-age=300"

var errNoIntakeKeys = &problemError{KindUnavailable, http.StatusServiceUnavailable, "no key takes messages", "no intake has made one yet; try again", ""}

// GetIntakeKeys shows the keys that messages are encrypted to.
func (s *Server) GetIntakeKeys(c echo.Context) error {
	set, err := s.cfg.IntakeKeys.Published(c.Request().Context())
	if err != nil {
		return err
	}
	if len(set.Keys) == 0 {
		return errNoIntakeKeys
	}
	c.Response().Header().Set(echo.HeaderCacheControl, intakeKeysKept)
	return c.JSON(http.StatusOK, set)
}

// opened is a message as it was before it was encrypted; m itself where it was
// not.
func (s *Server) opened(ctx context.Context, m events.Message) (events.Message, error) {
	media, _, err := mime.ParseMediaType(m.ContentType)
	if err != nil || media != envelope.ContentType {
		return m, nil
	}
	e, err := envelope.Parse(m.Body)
	if err != nil {
		return m, badBody("%s", err)
	}
	keys, err := s.cfg.IntakeKeys.FindIntakeKeys(ctx, e.KeyID)
	key, there := keys[e.KeyID]
	switch {
	case !there && err != nil:
		return m, err
	case !there:
		return m, &problemError{KindInvalid, http.StatusUnprocessableEntity, "encrypted to another key", "there is no intake key of this id: take one that is published now and send again", "kid"}
	}
	m.ContentType = e.ContentType
	if m.Body, err = e.Open(key); err != nil {
		return m, badBody("%s", err)
	}
	return m, nil
}

// sealed is m as it may wait in the intake.
func (s *Server) sealed(ctx context.Context, m events.Message) (stream.Payload, error) {
	set, err := s.cfg.IntakeKeys.Published(ctx)
	if err != nil {
		return stream.Payload{}, err
	}
	body, err := envelope.Seal(set.Current(set.Now), m.ContentType, m.Body)
	return stream.Payload{ContentType: envelope.ContentType, Body: body}, err
}

// reopened is the message of an entry that was kept as it came: encrypted to a
// key that the intake did not have then, and may have now.
func (s *Server) reopened(ctx context.Context, m events.Message) (events.Message, error) {
	if !envelope.Is(m.Body) {
		m.ContentType = events.ContentTypeOf(m.Body)
		return m, nil
	}
	m.ContentType = envelope.ContentType
	opened, err := s.opened(ctx, m)
	var told *problemError
	if errors.As(err, &told) {
		return m, notReplayed("its payload is encrypted: " + told.detail)
	}
	return opened, err
}
