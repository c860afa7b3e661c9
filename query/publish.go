package query

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
)

// PublishEvents takes CloudEvents in any of their modes. It judges each for
// itself: what is refused takes nothing valid with it, unless the message as a whole
// cannot be read or has more events than its bytes can hold.
func (s *Server) PublishEvents(c echo.Context) error {
	body, err := readBody(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	decoded, err := s.decodeEvents(ctx, c.Request(), body)
	if err != nil {
		return err
	}
	accepted, refused := s.judge(ctx, caller(c), decoded)
	if err := s.keepRefused(ctx, caller(c), refused); err != nil {
		return err
	}
	more, err := s.publishAccepted(ctx, accepted)
	if err != nil {
		return err
	}
	out := EventsAccepted{Accepted: len(accepted) - len(more), Refused: []events.Refusal{}}
	for _, d := range refused {
		out.Refused = append(out.Refused, *d.Refusal)
	}
	out.Refused = append(out.Refused, more...)
	return c.JSON(http.StatusAccepted, out)
}

// decodeEvents reads the message. What is wrong with the message as a whole is
// a problem of its own kind.
func (s *Server) decodeEvents(ctx context.Context, r *http.Request, body []byte) ([]events.Decoded, error) {
	contentType := r.Header.Get(echo.HeaderContentType)
	if contentType == "" {
		return nil, &problemError{KindContentType, http.StatusUnsupportedMediaType, "content type",
			"name one: " + events.ContentTypeEvent + ", " + events.ContentTypeBatch + " or " + events.ContentTypeJSON, ""}
	}
	if len(body) == 0 {
		return nil, badBody("it is empty: want a CloudEvent")
	}
	m, err := s.opened(ctx, events.Message{ContentType: contentType, Header: r.Header, Body: body})
	if err != nil {
		return nil, err
	}
	decoded, err := events.Decode(m)
	var refusal *events.Refusal
	switch {
	case err == nil && len(decoded) == 1 && unreadable(decoded[0]):
		return nil, badBody("%s; a batch is sent as %s", decoded[0].Refusal.Detail, events.ContentTypeBatch)
	case err == nil:
		return decoded, nil
	case !errors.As(err, &refusal):
		return nil, err
	case refusal.Reason == events.ReasonContentType:
		return nil, &problemError{KindContentType, http.StatusUnsupportedMediaType, "content type", refusal.Detail, ""}
	case refusal.Reason == events.ReasonTooLarge:
		return nil, &problemError{errTooLarge.kind, errTooLarge.status, errTooLarge.title, refusal.Detail, ""}
	default:
		return nil, badBody("%s", refusal.Detail)
	}
}

// unreadable reports whether there is no event at all that could be judged.
func unreadable(d events.Decoded) bool {
	return d.Refusal != nil && (d.Refusal.Reason == events.ReasonNotJSON || d.Refusal.Reason == events.ReasonNotProtobuf) && d.Refusal.ID == ""
}

// judge tells the events that can be published from those that cannot.
func (s *Server) judge(ctx context.Context, p *Principal, decoded []events.Decoded) (accepted []events.Event, refused []events.Decoded) {
	now, counted := s.cfg.Now(), 0
	for _, d := range decoded {
		if d.Event.Tenant == "" {
			d.Event.Tenant = p.only()
		}
		if d.Refusal == nil {
			d.Refusal = s.cfg.Policy.Validate(&d.Event, now)
		}
		if d.Refusal == nil {
			d.Refusal = mayPublish(p, &d.Event)
		}
		if d.Refusal == nil && s.watches(d.Event.Type.RevokedScope()) {
			counted++
			d.Refusal = s.mayRevoke(ctx, p, &d.Event, counted)
		}
		if d.Refusal != nil {
			refused = append(refused, d)
			continue
		}
		if d.Event.Environment == "" {
			d.Event.Environment = s.cfg.Policy.Environment
		}
		accepted = append(accepted, d.Event)
	}
	return accepted, refused
}

// mayPublish says why the caller may not publish ev, which is valid, or nil.
func mayPublish(p *Principal, ev *events.Event) *events.Refusal {
	refuse := func(r events.Reason, detail string) *events.Refusal {
		return ev.Refuse(r, detail)
	}
	switch {
	case !p.Reaches(ev.Tenant):
		return refuse(events.ReasonMismatch, "the access token does not reach the event's tenant")
	case events.OwnSource(ev.Source):
		return refuse(events.ReasonReserved, events.DetailOwnSource)
	case ev.Type.Reserved():
		return refuse(events.ReasonReserved, ev.Type.Name()+" is published by Rescind alone")
	case !p.Has(ScopeEventsWrite) && ev.Type != events.TokenVerified && ev.Type != events.TokenRejected:
		return refuse(events.ReasonReserved, "with the scope "+ScopeEventsReport+" only token.verified and token.rejected can be published")
	default:
		return nil
	}
}

// publishAccepted returns the events that the publisher itself refused.
func (s *Server) publishAccepted(ctx context.Context, accepted []events.Event) ([]events.Refusal, error) {
	if len(accepted) == 0 {
		return nil, nil
	}
	err := s.cfg.Publisher.Publish(ctx, accepted...)
	var not *stream.NotAccepted
	if err == nil || !errors.As(err, &not) {
		return nil, err
	}
	var refused []events.Refusal
	for _, f := range not.Events {
		var r *events.Refusal
		if !errors.As(f.Err, &r) {
			return nil, notTaken{f.Err}
		}
		refused = append(refused, events.Refusal{ID: f.Event.ID, Source: f.Event.Source, Reason: r.Reason, Detail: r.Detail})
	}
	return refused, nil
}

// notTaken hides what is inside err, so that it counts as a fault of ours.
type notTaken struct{ err error }

func (e notTaken) Error() string { return "publish events: " + e.err.Error() }

const (
	maxRefused  = 1000 // in one message: each is kept
	keepAtATime = 16
)

// keepRefused puts refused events into the quarantine.
func (s *Server) keepRefused(ctx context.Context, p *Principal, refused []events.Decoded) error {
	if len(refused) > maxRefused {
		return invalid("", "%d events of the batch are refused, the first because: %s. At most %d are judged one by one", len(refused), refused[0].Refusal.Detail, maxRefused)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(keepAtATime)
	for _, d := range refused {
		g.Go(func() error { return s.keep(ctx, p, d) })
	}
	return g.Wait()
}

// keep puts one refused event into the quarantine. What names a tenant beyond
// the caller's reach is kept as nobody's.
func (s *Server) keep(ctx context.Context, p *Principal, d events.Decoded) error {
	q := stream.Quarantined{
		Time: s.cfg.Now().UTC(), ID: d.Refusal.ID, Source: d.Refusal.Source,
		Reason: d.Refusal.Reason, Detail: d.Refusal.Detail, SHA256: sha256.Sum256(d.Raw),
	}
	if d.Event.Type.Known() {
		q.Type = string(d.Event.Type)
	}
	if events.ValidTenant(d.Event.Tenant) && p.Reaches(d.Event.Tenant) {
		q.Tenant = d.Event.Tenant
		sealed, err := s.sealRefused(ctx, q, d)
		if err != nil {
			return err
		}
		q.Sealed = sealed
	}
	return s.cfg.Quarantine.Put(ctx, q)
}

// sealRefused seals the event under its tenant's key; nil where the event is
// itself the offence, or its tenant was never seen: a refused event does not
// make one.
func (s *Server) sealRefused(ctx context.Context, q stream.Quarantined, d events.Decoded) ([]byte, error) {
	if q.Reason.Offence() || events.Offends(d.Raw) != nil {
		return nil, nil
	}
	_, err := s.cfg.Keyring.LookupTenant(ctx, q.Tenant)
	if errors.Is(err, seal.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	key, err := s.cfg.Keyring.TenantKey(ctx, q.Tenant)
	if err != nil {
		return nil, err
	}
	return key.Seal(q.Tenant, q.Source, q.ID, d.Raw)
}
