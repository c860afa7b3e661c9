package query

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
)

// countQuarantined counts by reason what sees lets through.
func (s *Server) countQuarantined(ctx context.Context, sees func(string) bool) (map[string]uint64, error) {
	counts := map[string]uint64{}
	for after := uint64(0); ; {
		page, err := s.cfg.Quarantine.List(ctx, after, MaxLimit)
		if err != nil {
			return nil, err
		}
		for _, q := range page {
			after = q.Seq
			if sees(q.Tenant) {
				counts[string(q.Reason)]++
			}
		}
		if len(page) < MaxLimit {
			return counts, nil
		}
	}
}

// entry is an entry that the caller may see.
func (s *Server) entry(ctx context.Context, p *Principal, seq uint64) (stream.Quarantined, error) {
	q, err := s.cfg.Quarantine.Get(ctx, seq)
	if errors.Is(err, stream.ErrNotFound) || err == nil && !p.Reaches(q.Tenant) {
		return q, ErrNotFound
	}
	return q, err
}

// GetQuarantined shows one entry, and opens its payload where that is asked
// for, allowed, and recorded.
func (s *Server) GetQuarantined(c echo.Context, seq uint64, params GetQuarantinedParams) error {
	ctx, p := c.Request().Context(), caller(c)
	open := params.RescindPurpose != ""
	if open && !p.Has(ScopeAuditOpen) {
		return &scopeError{[]string{ScopeAuditOpen}}
	}
	if open && (len(params.RescindPurpose) < minPurpose || len(params.RescindPurpose) > events.MaxTextBytes) {
		return invalid("Rescind-Purpose", "say why the payload is read: %d to %d bytes", minPurpose, events.MaxTextBytes)
	}
	q, err := s.entry(ctx, p, seq)
	if err != nil {
		return err
	}
	out := QuarantinedDetail{Event: quarantinedEvent(q)}
	if out.Replay, err = s.replayed(ctx, q); err != nil {
		return err
	}
	if open && len(q.Sealed) == 0 {
		out.PayloadMissing = sealedDropped
	} else if open {
		if err := s.recordEntryAccess(ctx, p, q, "quarantine/show", params.RescindPurpose); err != nil {
			return err
		}
		payload, missing, err := s.openEntry(ctx, q)
		if err != nil {
			return err
		}
		if out.PayloadMissing = missing; missing == "" {
			if out.Payload, err = shownPayload(payload); err != nil {
				return err
			}
		}
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Server) replayed(ctx context.Context, q stream.Quarantined) (*QuarantineReplay, error) {
	r, err := s.cfg.Quarantine.Replayed(ctx, q)
	if err != nil || r.Count == 0 {
		return nil, err
	}
	return quarantineReplay(r), nil
}

func quarantineReplay(r stream.Replay) *QuarantineReplay {
	return &QuarantineReplay{Time: r.Time, Actor: r.Actor, Count: r.Count, EventRef: r.Event.String()}
}

// recordEntryAccess says on the log that the payload of q is used.
func (s *Server) recordEntryAccess(ctx context.Context, p *Principal, q stream.Quarantined, route, purpose string) error {
	return s.recordFirst(ctx, q.Tenant, events.Data{Actor: p.Subject, Attributes: map[string]string{
		"purpose": purpose, "route": route, "entry": strconv.FormatUint(q.Seq, 10), "events": "1",
	}})
}

// openEntry is the payload of q, or why it cannot be had.
func (s *Server) openEntry(ctx context.Context, q stream.Quarantined) (payload []byte, missing string, err error) {
	if len(q.Sealed) == 0 {
		return nil, sealedDropped, nil
	}
	payload, err = s.cfg.Keyring.Open(ctx, seal.OpenRequest{Tenant: q.Tenant, Source: q.Source, ID: q.ID, Generation: 1, Sealed: q.Sealed})
	if err != nil {
		missing, err := whyShut(err)
		return nil, missing, err
	}
	if sha256.Sum256(payload) != q.SHA256 {
		return nil, sealedUnreadable, nil
	}
	return payload, "", nil
}

// ReplayQuarantined publishes an entry again, once unless asked to do it again.
func (s *Server) ReplayQuarantined(c echo.Context, seq uint64, params ReplayQuarantinedParams) error {
	ctx, p := c.Request().Context(), caller(c)
	q, err := s.entry(ctx, p, seq)
	if err != nil {
		return err
	}
	before, err := s.replayed(ctx, q)
	if err != nil {
		return err
	}
	if before != nil && !params.Again {
		return c.JSON(http.StatusOK, before)
	}
	if len(q.Sealed) == 0 {
		return notReplayed("its payload was not kept: it was itself the offence, or its tenant was not known")
	}
	if err := s.recordEntryAccess(ctx, p, q, "quarantine/replay", "replay"); err != nil {
		return err
	}
	ev, m, err := s.judgeEntry(ctx, p, q)
	if err != nil {
		return err
	}
	payload, err := s.sealed(ctx, m)
	if err != nil {
		return notTaken{err}
	}
	// A type that was unknown then is known now, and was not shown in the subject.
	payload.Subject = cmp.Or(q.ReplaySubject(), q.SubjectOf(ev.Type))
	done, err := s.cfg.Quarantine.Replay(ctx, q, payload, p.Subject, s.cfg.Now())
	if err != nil {
		return notTaken{err}
	}
	out := quarantineReplay(done)
	if ev.Type.Lane() == events.Control {
		out.Index = s.position(ctx, ev)
	}
	return c.JSON(http.StatusOK, out)
}

func notReplayed(why string) error {
	return &problemError{KindState, http.StatusConflict, "cannot be replayed", why, ""}
}

// judgeEntry is the message of q and the first event in it, if the caller may
// publish each and none would be refused again: replaying is no way around what
// the doors refuse.
func (s *Server) judgeEntry(ctx context.Context, p *Principal, q stream.Quarantined) (ev events.Event, m events.Message, err error) {
	payload, missing, err := s.openEntry(ctx, q)
	if err != nil {
		return ev, m, err
	}
	if missing != "" {
		return ev, m, notReplayed("its payload is " + missing)
	}
	m = events.Message{Body: payload, Tenant: q.Tenant}
	subject := q.ReplaySubject()
	if subject != "" {
		if m.Tenant, m.Type, err = stream.ParseEventSubject(subject); err != nil || m.Tenant != q.Tenant {
			return ev, m, notReplayed("the subject that it was published on is not its tenant's")
		}
	}
	if m, err = s.reopened(ctx, m); err != nil {
		return ev, m, err
	}
	all, err := events.Decode(m)
	if err != nil || len(all) == 0 {
		return ev, m, notReplayed("it would be refused again: it cannot be decoded")
	}
	if subject == "" && len(all) > 1 {
		return ev, m, notReplayed("the subject that it was published on is not known")
	}
	for i := range all {
		if refusal := s.judgeAgain(ctx, p, q, &all[i], i+1); refusal != nil {
			return ev, m, notReplayed("it would be refused again: " + refusal.Detail)
		}
	}
	return all[0].Event, m, nil
}

// judgeAgain says why an event of an entry would be refused again. It is the
// nth of the entry that is judged.
func (s *Server) judgeAgain(ctx context.Context, p *Principal, q stream.Quarantined, d *events.Decoded, nth int) *events.Refusal {
	if q.Subject != "" && d.Event.StrayCutoff() { // the intake takes it as though it had none, and so it is counted
		d.Event.Data.IssuedBefore = 0
	}
	refusal := d.Refusal
	if refusal == nil {
		refusal = s.cfg.Policy.Validate(&d.Event, s.cfg.Now())
	}
	if refusal != nil || q.FromService() { // what a service of ours said it may say again
		return refusal
	}
	if refusal = mayPublish(p, &d.Event); refusal == nil && s.watches(d.Event.Type.RevokedScope()) {
		refusal = s.mayRevoke(ctx, p, &d.Event, nth)
	}
	return refusal
}
