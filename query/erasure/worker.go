package erasure

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
)

// Worker is the actor of what the worker does.
const Worker = "rescind:erasure"

// Run carries out approved requests, and opens and closes findings about those
// that are late, until ctx ends, then returns nil. What fails is logged and tried again.
func (w *Workflow) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	watching.Go(func() { w.watch(ctx) })
	watching.Go(func() { w.notify(ctx) })
	watching.Go(func() { w.runExports(ctx) })
	watching.Go(func() { w.tell(ctx) })
	defer watching.Wait()
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
			w.cfg.Logger.WarnContext(ctx, "request delayed", slog.Any("err", err))
			pause = min(2*pause, 60*w.cfg.Retry)
		}
	}
	return nil
}

// watch updates findings as time passes, and when there is something new.
func (w *Workflow) watch(ctx context.Context) {
	tick := time.NewTicker(w.cfg.Watch)
	defer tick.Stop()
	for {
		err := w.cfg.Lane.Sync(ctx) // or what was opened before would be opened again
		if err == nil {
			err = w.updateFindings(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.cfg.Logger.WarnContext(ctx, "findings about requests delayed", slog.Any("err", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-w.look:
		case <-tick.C:
		}
	}
}

// idle waits until there may be something to do, and looks from time to time
// all the same: after a failure nothing else would.
func (w *Workflow) idle(ctx context.Context, d time.Duration) bool {
	return w.idleOn(ctx, w.work, d)
}

func (w *Workflow) idleOn(ctx context.Context, work <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-work:
	case <-t.C:
	}
	return ctx.Err() == nil
}

func (w *Workflow) pending() []Request {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.book.pending(w.holds)
}

// carryOutAll carries out what is approved. It first reads what is on the log,
// as another worker may have been here.
func (w *Workflow) carryOutAll(ctx context.Context) error {
	pending := w.pending()
	w.rememberOnly(pending)
	if len(pending) == 0 {
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
	w.behind.Clear()
	return w.carryOutEach(ctx, byPerson(w.pending()))
}

// rememberOnly lets go what is remembered of other requests than these.
func (w *Workflow) rememberOnly(requests []Request) {
	still := map[named]bool{}
	for i := range requests {
		still[requests[i].name()] = true
	}
	for _, of := range []*sync.Map{&w.fenced, &w.ends} {
		of.Range(func(name, _ any) bool {
			if !still[name.(named)] {
				of.Delete(name)
			}
			return true
		})
	}
}

// atOnce is how many people's requests are carried out together: most of the time
// of one goes into waiting for the log.
const atOnce = 32

// byPerson puts the requests of one person behind each other, in their order: of
// two, the second finds what the first did.
func byPerson(requests []Request) (people [][]Request) {
	at := map[person]int{}
	for _, r := range requests {
		who := person{r.Tenant, r.subject}
		i, there := at[who]
		if !there {
			i = len(people)
			at[who] = i
			people = append(people, nil)
		}
		people[i] = append(people[i], r)
	}
	return people
}

func (w *Workflow) carryOutEach(ctx context.Context, people [][]Request) error {
	var carrying errgroup.Group
	carrying.SetLimit(atOnce)
	faults := make([]error, len(people)) // each of its own goroutine
	for i, requests := range people {
		if ctx.Err() != nil {
			break
		}
		carrying.Go(func() error {
			for _, r := range requests {
				if err := w.carryOut(ctx, r); err != nil {
					faults[i] = errors.Join(faults[i], fmt.Errorf("carry out request index=%d: %w", r.Position, err))
				}
			}
			return nil
		})
	}
	_ = carrying.Wait() // it says nothing that faults do not
	return summary(faults)
}

// faultsNamed is how many faults a line of the log names.
const faultsNamed = 5

// summary is what went wrong, and no longer for ten thousand requests.
func summary(faults []error) error {
	faults = slices.DeleteFunc(faults, func(err error) bool { return err == nil })
	if n := len(faults); n > faultsNamed {
		faults = append(faults[:faultsNamed], fmt.Errorf("and %d people more", n-faultsNamed))
	}
	return errors.Join(faults...)
}

// carryOut does, in this order and each only once what is before it is
// durable: revoke, keep what is held, prepare notices, destroy, enter that into
// the ledger, state it, complete. Each can be done again.
func (w *Workflow) carryOut(ctx context.Context, r Request) error {
	if r.Type != Erasure || r.subject.IsZero() {
		return w.complete(ctx, &r)
	}
	if err := w.revoke(ctx, &r); err != nil {
		return err
	}
	kept, err := w.secure(ctx, &r)
	if err != nil {
		return err
	}
	gone, err := w.cfg.Keyring.Destroy(ctx, r.Tenant, r.subject)
	if err != nil {
		return err
	}
	if err := w.forgetExports(ctx, &r); err != nil {
		return err
	}
	if err := w.letGo(ctx, &r); err != nil {
		return err
	}
	if err := w.dropTargets(ctx, &r); err != nil {
		return err
	}
	if err := w.enter(ctx, &r, gone, kept); err != nil {
		return err
	}
	if r, err = w.execute(ctx, r, kept); err != nil {
		return err
	}
	if kept.untold, err = w.closeNotices(ctx, &r); err != nil {
		return err
	}
	if kept.open() {
		return w.remain(ctx, &r, kept)
	}
	return w.complete(ctx, &r)
}

// secure keeps what is held and prepares notices, again where a hold came
// meanwhile: one that is on the log before the key goes is heeded.
func (w *Workflow) secure(ctx context.Context, r *Request) (kept, error) {
	for {
		got, err := w.keep(ctx, r)
		if err != nil || !w.notifies(r) {
			return got, err
		}
		if err := w.prepare(ctx, r); err != nil {
			return kept{}, err
		}
		if err := w.cfg.Lane.Sync(ctx); err != nil {
			return kept{}, err
		}
		if got.heeded == digestOf(w.holdsOf(r)) {
			return got, nil
		}
	}
}

// revoke refuses every token that the subject was issued until now.
func (w *Workflow) revoke(ctx context.Context, r *Request) error {
	if r.State == Executing || r.State == Partial {
		return nil // it is on the log
	}
	p, err := w.open(ctx, r)
	if errors.Is(err, seal.ErrDestroyed) {
		return nil // another request did this, and revoked before it did
	}
	if err != nil {
		return err
	}
	mark, err := w.markOf(ctx, r)
	if err != nil {
		return err
	}
	attributes := map[string]string{attrRequest: r.ID}
	if mark != "" {
		attributes[attrKeyMark] = mark
	}
	cutoff := max(events.TimestampOf(w.cfg.Now()), events.TimestampOf(r.approvedAt()))
	return w.record(ctx, r, events.SubjectRevoked, ".revoked", events.Data{
		Issuer: r.origin.Record.Issuer, Subject: p.Subject, IssuedBefore: cutoff,
		Actor: Worker, Reason: Erasure, Attributes: attributes,
	})
}

// complete ends r. What it publishes follows from the log alone.
func (w *Workflow) complete(ctx context.Context, r *Request) error {
	if r.ended() {
		return nil // by another worker, meanwhile
	}
	w.mu.RLock()
	outcome := w.book.outcome(r)
	w.mu.RUnlock()
	attributes := map[string]string{attrRequest: r.ID, attrOutcome: string(outcome)}
	if r.Type == Erasure {
		signed, err := w.receiptOf(ctx, r, outcome, nil)
		if err != nil {
			return err
		}
		writeReceipt(attributes, signed)
	}
	return w.recordAt(ctx, r, events.RequestCompleted, ".completed", r.settled(), events.Data{Actor: Worker, Attributes: attributes})
}

// errOther says that what is on the log under an id of ours is not ours.
var errOther = errors.New("another event is on the log under its id")

// record publishes an event of r and waits until it is on the log, and nothing
// else under its id. Two workers, or one that was stopped here before, leave
// one event; tried again here, it is the same to the byte.
func (w *Workflow) record(ctx context.Context, r *Request, t events.Type, step string, d events.Data) error {
	return w.recordAt(ctx, r, t, step, w.cfg.Now(), d)
}

// recordAt is record of what happened at a time.
func (w *Workflow) recordAt(ctx context.Context, r *Request, t events.Type, step string, at time.Time, d events.Data) error {
	id, err := w.idOf(ctx, r, step)
	if err != nil {
		return fmt.Errorf("id of %s: %w", t.Name(), err)
	}
	ev := w.try(id, t, r.Tenant, at, d)
	if err := w.publish(ctx, ev); err != nil {
		return fmt.Errorf("publish %s: %w", t.Name(), err)
	}
	if _, err := w.logged(ctx, ev); err != nil {
		return fmt.Errorf("record %s: %w", t.Name(), err)
	}
	if !w.isLogged(r, ev) {
		return fmt.Errorf("record %s: %w", t.Name(), errOther)
	}
	w.trying.Lock()
	defer w.trying.Unlock()
	delete(w.tried, id)
	return nil
}

// try is the event of an id: the same to the byte as when it was tried before.
func (w *Workflow) try(id string, t events.Type, tenant string, at time.Time, d events.Data) events.Event {
	w.trying.Lock()
	defer w.trying.Unlock()
	ev, tried := w.tried[id]
	if !tried {
		ev = w.event(t, id, tenant, d)
		ev.Time = at.UTC().Truncate(time.Microsecond)
		w.tried[id] = ev
	}
	return ev
}

// idOf is the id of the event that a step of carrying out r makes. Every worker
// makes the same one, and nobody without the tenant's key can: who knew it
// could publish another event under it first, and ours would not be taken. The
// letter in front is for one digest in fifty thousand, which has digits only that
// could be a payment card number: with such an id no event is accepted.
func (w *Workflow) idOf(ctx context.Context, r *Request, step string) (string, error) {
	t, err := w.cfg.Keyring.LookupTenant(ctx, r.Tenant)
	if err != nil {
		return "", err
	}
	sum := t.Digest([]byte(r.ID + step))
	return "e" + hex.EncodeToString(sum[:]), nil
}

// sighting is what is kept of an event on the log that says it is ours.
type sighting struct {
	kind    events.Type
	request string
	revoked bool // for this request, as it had to be
}

// isLogged reports whether the log holds ev, which is about r, under its id.
func (w *Workflow) isLogged(r *Request, ev events.Event) bool {
	w.mu.RLock()
	n := w.seen[events.EventRef(ev.Tenant, ev.Source, ev.ID)]
	w.mu.RUnlock()
	return n.kind == ev.Type && n.request == r.ID && (n.revoked || ev.Type != events.SubjectRevoked)
}
