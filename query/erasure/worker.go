package erasure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
)

// Worker is the actor of what the worker does.
const Worker = "rescind:erasure"

// Run carries out approved erasures until ctx ends, then returns nil. What
// fails is logged and tried again.
func (w *Workflow) Run(ctx context.Context) error {
	pause := w.cfg.Retry
	w.wake()
	for w.idle(ctx, pause) {
		err := w.carryOutAll(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			pause = w.cfg.Retry
		default:
			w.cfg.Logger.WarnContext(ctx, "erasure delayed", slog.Any("err", err))
			pause = min(2*pause, 60*w.cfg.Retry)
		}
	}
	return nil
}

// idle waits until there may be something to do, and looks from time to time
// all the same: after a failure nothing else would.
func (w *Workflow) idle(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-w.work:
	case <-t.C:
	}
	return ctx.Err() == nil
}

func (w *Workflow) pending() []Request {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.book.pending()
}

// carryOutAll carries out what is approved. It first reads what is on the log,
// as another worker may have been here.
func (w *Workflow) carryOutAll(ctx context.Context) error {
	if len(w.pending()) == 0 {
		return nil
	}
	release, err := w.cfg.Lock(ctx)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer release()
	if err := w.cfg.Lane.Sync(ctx); err != nil {
		return err
	}
	var faults []error
	for _, r := range w.pending() {
		if err := w.carryOut(ctx, r); err != nil {
			faults = append(faults, fmt.Errorf("erase for request index=%d: %w", r.Position, err))
		}
	}
	return errors.Join(faults...)
}

// carryOut does, in this order and each only once what is before it is
// durable: revoke, destroy, complete. Each can be done again.
func (w *Workflow) carryOut(ctx context.Context, r Request) error {
	if !r.subject.IsZero() {
		if err := w.revoke(ctx, &r); err != nil {
			return err
		}
		if _, err := w.cfg.Keyring.Destroy(ctx, r.Tenant, r.subject); err != nil {
			return err
		}
	}
	return w.complete(ctx, &r)
}

// revoke refuses every token that the subject was issued until now.
func (w *Workflow) revoke(ctx context.Context, r *Request) error {
	if r.State == Executing {
		return nil // it is on the log
	}
	p, err := w.open(ctx, r)
	if errors.Is(err, seal.ErrDestroyed) {
		return nil // another request did this, and revoked before it did
	}
	if err != nil {
		return err
	}
	cutoff := max(events.TimestampOf(w.cfg.Now()), events.TimestampOf(r.Last().At))
	ev := w.event(events.SubjectRevoked, r.ID+".revoked", r.Tenant, events.Data{
		Issuer: r.origin.Record.Issuer, Subject: p.Subject, IssuedBefore: cutoff,
		Actor: Worker, Reason: Erasure, Attributes: map[string]string{attrRequest: r.ID},
	})
	return w.record(ctx, ev)
}

func (w *Workflow) complete(ctx context.Context, r *Request) error {
	w.mu.RLock()
	outcome := w.book.outcome(r)
	w.mu.RUnlock()
	return w.record(ctx, w.event(events.RequestCompleted, r.ID+".completed", r.Tenant, events.Data{
		Actor: Worker, Attributes: map[string]string{attrRequest: r.ID, attrOutcome: string(outcome)},
	}))
}

// record publishes ev and waits until it is on the log. The id is made from
// the request's, so that two workers, or one that was stopped here before,
// leave one event; tried again here, it is the same to the byte.
func (w *Workflow) record(ctx context.Context, ev events.Event) error {
	if before, tried := w.tried[ev.ID]; tried {
		ev = before
	}
	w.tried[ev.ID] = ev
	if err := w.publish(ctx, ev); err != nil {
		return fmt.Errorf("publish %s: %w", ev.Type.Name(), err)
	}
	if _, err := w.logged(ctx, ev); err != nil {
		return fmt.Errorf("record %s: %w", ev.Type.Name(), err)
	}
	delete(w.tried, ev.ID)
	return nil
}
