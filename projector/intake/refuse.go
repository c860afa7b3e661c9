package intake

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

// inFlight is how many requests of one kind are under way at once.
const inFlight = 16

// refuse puts refused events into quarantine. A message with one that cannot
// be put there is held: the event is not lost, and nothing else waits for it.
func (w *writer) refuse(ctx context.Context, candidates []*candidate, now time.Time) {
	failed := make([]error, len(candidates))
	var g errgroup.Group
	g.SetLimit(inFlight)
	for i, c := range candidates {
		if c.refusal != nil {
			g.Go(func() error {
				failed[i] = w.quarantine(ctx, c, now)
				return nil
			})
		}
	}
	_ = g.Wait() // errors are in failed
	for i, c := range candidates {
		switch {
		case c.refusal == nil:
		case failed[i] != nil:
			c.hold()
			w.cfg.Logger.Error("cannot quarantine, holding the message", "stream", stream.IntakeStream, "seq", c.from.Seq, "err", failed[i])
		default:
			c.from.waiting--
			w.in.stats.refused(c.refusal.Reason)
			w.cfg.Logger.Warn("event refused", "stream", stream.IntakeStream, "seq", c.from.Seq, "reason", string(c.refusal.Reason))
		}
	}
}

// quarantine keeps what was refused as a fact, and its payload sealed under the
// tenant's key unless the payload must not be kept.
func (w *writer) quarantine(ctx context.Context, c *candidate, now time.Time) error {
	q := stream.Quarantined{
		Time: now, Source: c.refusal.Source, ID: c.refusal.ID, Type: clean(string(c.event.Type)),
		Reason: c.refusal.Reason, Detail: c.refusal.Detail, SHA256: sha256.Sum256(c.raw), Subject: clean(c.from.Subject),
	}
	if !events.ValidTenant(c.from.Message.Tenant) {
		return w.cfg.Quarantine.Put(ctx, q) // nobody's: there is no key to seal under
	}
	q.Tenant = c.from.Message.Tenant
	if !offends(c) {
		key, err := w.cfg.Keyring.TenantKey(ctx, q.Tenant)
		if err != nil {
			return err
		}
		if q.Sealed, err = key.Seal(q.Tenant, q.Source, q.ID, c.raw); err != nil {
			return err
		}
	}
	return w.cfg.Quarantine.Put(ctx, q)
}

// offends reports whether the payload of c must not be kept, whatever it was
// refused for.
func offends(c *candidate) bool {
	return c.refusal.Reason.Offence() || events.Offends(c.raw) != nil
}

// clean is a type or subject as it may be shown: what a publisher made up
// could hold anything, an identifier or a token.
func clean(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	odd := strings.ContainsFunc(s, func(r rune) bool { return !plain(r) })
	if odd || len(s) > 160 || events.Offends([]byte(s)) != nil {
		return "[withheld]"
	}
	return s
}
