package query

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/verifiers"
)

// errNoReceipts says that nobody here knows who enforces revocations.
var errNoReceipts = &problemError{KindUnavailable, http.StatusServiceUnavailable, "not available", "this server does not hear verifiers, or not yet", ""}

// What one answer lists at most.
const (
	maxMissing   = 100
	maxStandings = 1000
)

// acceptAndWait is accept for a caller who would have the answer wait until
// verifiers have applied the event. It is durable before anything is waited for,
// and goes its way whoever hangs up.
func (s *Server) acceptAndWait(c echo.Context, t events.Type, tenant string, d events.Data) error {
	wait, preferred := preferredWait(c.Request().Header)
	if !preferred || s.cfg.Receipts == nil {
		return s.accept(c, t, tenant, d)
	}
	ev, err := s.once(t, tenant, d)
	if err != nil {
		return err
	}
	ctx, began := c.Request().Context(), s.cfg.Now()
	if err := s.publish(ctx, ev); err != nil {
		return err
	}
	applied(c.Response().Header(), wait)
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	out, status := Accepted{ID: ev.ID}, http.StatusAccepted
	if out.Position = s.positionWithin(ctx, ev, max(wait, s.cfg.WaitFor)); out.Position != nil {
		of := verifiers.Revoked{Shard: s.shard(tenant), Position: *out.Position, Received: s.received(ev, began)}
		e, done := s.cfg.Receipts.Wait(waiting, of)
		out.Enforced = enforcement(&e)
		if done {
			status = http.StatusOK
		}
	}
	return c.JSON(status, out)
}

// received is when the intake received an event that is on the log, or else
// otherwise.
func (s *Server) received(ev events.Event, otherwise time.Time) time.Time {
	for _, v := range s.recent.find(ev.ID, func(tenant string) bool { return tenant == ev.Tenant }) {
		if v.Record.Source == ev.Source {
			return time.UnixMicro(v.Record.Received)
		}
	}
	return otherwise
}

// enforced is where a revocation is enforced; nil where nobody knows.
func (s *Server) enforced(v *revoked) *Enforcement {
	if s.cfg.Receipts == nil {
		return nil
	}
	e, known := s.cfg.Receipts.Enforced(verifiers.Revoked{Shard: s.shard(v.Record.Tenant), Position: v.Index, Received: time.UnixMicro(v.Record.Received)})
	if !known {
		return nil
	}
	out := enforcement(&e)
	out.Verifiers = make([]VerifierStanding, min(len(e.Verifiers), maxStandings))
	for i := range out.Verifiers {
		out.Verifiers[i] = standing(&e.Verifiers[i])
	}
	return out
}

func enforcement(e *verifiers.Enforcement) *Enforcement {
	missing := e.Missing()
	out := &Enforcement{Of: e.Of, Fresh: e.Fresh, At: e.At, Missing: make([]string, min(len(missing), maxMissing))}
	for i := range out.Missing {
		out.Missing[i] = missing[i].Name
	}
	if e.Slowest != nil {
		ms := e.Slowest.Lag.Milliseconds()
		out.SlowestMs = &ms
	}
	return out
}

func standing(v *verifiers.Standing) VerifierStanding {
	out := VerifierStanding{ID: v.ID, Name: v.Name, State: string(v.State), Applied: v.Applied, Position: v.Position}
	if !v.AppliedAt.IsZero() {
		at, ms := v.AppliedAt.UTC(), v.Lag.Milliseconds()
		out.AppliedAt, out.LagMs = &at, &ms
	}
	return out
}

// ListVerifiers shows who follows the feed.
func (s *Server) ListVerifiers(c echo.Context) error {
	if s.cfg.Receipts == nil {
		return errNoReceipts
	}
	now := s.cfg.Now()
	all, known := s.cfg.Receipts.List()
	if !known {
		return errNoReceipts
	}
	out := Verifiers{Of: len(all), Verifiers: make([]Verifier, len(all))}
	for i, v := range all {
		out.Verifiers[i] = Verifier{
			ID: v.ID, Name: v.Name, State: string(v.State), Positions: make([]uint64, len(v.Places)), Seq: v.Seq, AgeMs: v.Age.Milliseconds(),
			Heard: v.Heard.UTC(), HeardMs: now.Sub(v.Heard).Milliseconds(), Started: v.Started.UTC(), ClockMs: v.ClockOffset.Milliseconds(),
		}
		for k, p := range v.Places {
			out.Verifiers[i].Positions[k] = p.Position
		}
		if v.State != verifiers.Silent {
			out.Fresh++
		}
	}
	return c.JSON(http.StatusOK, out)
}
