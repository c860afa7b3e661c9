package intake

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

// inFlight is how many requests of one kind are under way at once.
const inFlight = 16

// refuse puts refused events into quarantine. A message with one that cannot
// be put there is held: the event is not lost, and nothing else waits for it.
func (in *Intake) refuse(ctx context.Context, refused []*candidate, now time.Time) {
	failed := make([]error, len(refused))
	var g errgroup.Group
	g.SetLimit(inFlight)
	for i, k := range refused {
		g.Go(func() error {
			failed[i] = in.quarantine(ctx, k, now)
			return nil
		})
	}
	_ = g.Wait() // errors are in failed
	for i, k := range refused {
		if failed[i] != nil {
			k.hold()
			in.cfg.Logger.Error("cannot quarantine, holding the message", "stream", stream.IntakeStream, "seq", k.from.Seq, "err", failed[i])
			continue
		}
		k.drop()
		in.stats.refused(k.refusal.Reason)
		in.cfg.Logger.Warn("event refused", "stream", stream.IntakeStream, "seq", k.from.Seq, "reason", string(k.refusal.Reason))
	}
}

// quarantine keeps what was refused as a fact. Where our code fails on it even
// here, the fact is all that is kept.
func (in *Intake) quarantine(ctx context.Context, k *candidate, now time.Time) error {
	var q stream.Quarantined
	err := in.guard("quarantine", func() (err error) {
		q, err = in.quarantined(ctx, k, now)
		return err
	})
	switch {
	case errors.Is(err, errDefect):
		q = stream.Quarantined{Time: now, Reason: events.ReasonDefect, Detail: "our code failed on this event", SHA256: sha256.Sum256(k.raw)}
	case err != nil:
		return err
	}
	return in.cfg.Quarantine.Put(ctx, q)
}

// quarantined is k as a fact, and its payload sealed under the tenant's key
// unless the payload must not be kept.
func (in *Intake) quarantined(ctx context.Context, k *candidate, now time.Time) (stream.Quarantined, error) {
	q := stream.Quarantined{
		Time: now, Source: k.refusal.Source, ID: k.refusal.ID, Type: shownType(k.event.Type),
		Reason: k.refusal.Reason, Detail: k.refusal.Detail, SHA256: sha256.Sum256(k.raw), Subject: stream.ShownSubject(k.from.Subject),
	}
	if !events.ValidTenant(k.from.Message.Tenant) {
		return q, nil // nobody's: there is no key to seal under
	}
	q.Tenant = k.from.Message.Tenant
	if in.cfg.exposed(k) || offends(k) {
		return q, nil
	}
	key, err := in.cfg.Keyring.TenantKey(ctx, q.Tenant)
	if err == nil {
		q.Sealed, err = key.Seal(q.Tenant, q.Source, q.ID, k.raw)
	}
	return q, err
}

// shownType is t as it may be shown: what somebody made up could hold anything, a
// person's name or a token.
func shownType(t events.Type) string {
	if t == "" || t.Known() {
		return string(t)
	}
	return events.Withheld
}

// offends reports whether the payload of c must not be kept, whatever it was
// refused for. What could not be opened is no token, although it looks like one.
func offends(c *candidate) bool {
	if c.refusal.Reason == events.ReasonIntakeKey {
		return false
	}
	return c.refusal.Reason.Offence() || events.Offends(c.raw) != nil
}
