package erasure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/export"
	"github.com/rescindhq/rescind/query/hold"
)

// Exports makes what access and portability ask for: *export.Office.
type Exports interface {
	// End is the index behind the last record that is on the log of the shard now.
	End(ctx context.Context, shard uint16) (uint64, error)
	// Make stores an export whole, another one each time. The error wraps
	// export.ErrGone where the person was forgotten.
	Make(ctx context.Context, order export.Order) (export.Made, error)
	// Drop removes one export.
	Drop(ctx context.Context, p stream.ExportPlace) error
	// Forget removes every export of a person.
	Forget(ctx context.Context, tenant string, person events.Ref) error
}

// Exported is what an access or portability was answered with.
const Exported Outcome = "exported"

// The attributes of request.completed with an export.
const (
	attrExport   = "export"   // which, as 32 hex digits
	attrUntil    = "until"    // when it can be fetched no longer
	attrEvents   = "events"   // how many it has
	attrPosition = "position" // index below which it has everything
)

// exports reports whether r, once approved, is answered with an export.
func (r *Request) exports() bool { return r.Type == Access || r.Type == Portability }

// exported folds the completion of r.
func (r *Request) exported(record *events.Record) {
	ref, err := events.ParseRef(record.Attributes[attrExport])
	if err != nil || !r.exports() {
		return
	}
	r.export, r.ExportUntil = ref, instant(record, attrUntil)
}

// Export is where the export is that a completed request was answered with. The
// error wraps ErrNotFound or is a *StateError.
func (w *Workflow) Export(id string, reaches func(tenant string) bool) (stream.ExportPlace, error) {
	r, err := w.Get(id, reaches)
	switch {
	case err != nil:
		return stream.ExportPlace{}, err
	case !r.exports():
		return stream.ExportPlace{}, ErrNotFound
	case r.export.IsZero():
		return stream.ExportPlace{}, &StateError{State: r.State, To: State(Exported)}
	}
	return stream.ExportPlace{Tenant: r.Tenant, Subject: r.subject, Export: r.export}, nil
}

// runExports makes what was approved, until ctx ends: beside the erasures, which
// must not wait for a long export.
func (w *Workflow) runExports(ctx context.Context) {
	if w.cfg.Exports == nil {
		return
	}
	pause := w.cfg.Retry
	signal(w.asked)
	for w.idleOn(ctx, w.asked, pause) {
		err := w.exportAll(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			pause = w.cfg.Retry
		default:
			w.cfg.Logger.WarnContext(ctx, "export delayed", slog.Any("err", err))
			pause = min(2*pause, 60*w.cfg.Retry)
		}
	}
}

// exportsDue lists the requests that wait for their export, the oldest first.
func (w *Workflow) exportsDue() (out []Request) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, r := range w.book.order {
		if r.State == Approved && r.exports() {
			out = append(out, r.clone())
		}
	}
	return out
}

func (w *Workflow) exportAll(ctx context.Context) error {
	if len(w.exportsDue()) == 0 && len(w.answers) == 0 {
		return nil
	}
	release, err := w.cfg.ExportLock(ctx)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer release()
	if err := w.cfg.Lane.Sync(ctx); err != nil {
		return err
	}
	due := w.exportsDue()
	faults, behind := []error{w.dropOthers(ctx, due), w.askEnds(ctx, due)}, map[uint16]bool{} // shards
	// The nearest end first: whoever has all waits for nobody who has not.
	slices.SortStableFunc(due, func(a, b Request) int { return cmp.Compare(w.exportEnd[a.name()], w.exportEnd[b.name()]) })
	for _, r := range due {
		if _, asked := w.exportEnd[r.name()]; !asked || behind[r.Shard] {
			continue // it was waited for: the others are tried in the next round
		}
		if err := w.answer(ctx, &r); err != nil {
			faults = append(faults, fmt.Errorf("export for request index=%d: %w", r.Position, err))
			behind[r.Shard] = errors.Is(err, export.ErrBehind)
		}
	}
	return errors.Join(faults...)
}

// askEnds asks, once for each request that is due, where the log of its shard ends:
// its export has as much, and is made although the archive may always be behind.
func (w *Workflow) askEnds(ctx context.Context, due []Request) (err error) {
	ends, now := map[named]uint64{}, map[uint16]uint64{} // by shard
	for _, r := range due {
		end, asked := w.exportEnd[r.name()]
		if !asked {
			end, asked = now[r.Shard]
		}
		if !asked {
			var fault error
			if end, fault = w.cfg.Exports.End(ctx, r.Shard); fault != nil {
				err = errors.Join(err, fault)
				continue
			}
			now[r.Shard] = end
		}
		ends[r.name()] = end
	}
	w.exportEnd = ends
	return err
}

// dropOthers drops what was made of requests that another worker answered before
// this one could say so.
func (w *Workflow) dropOthers(ctx context.Context, due []Request) error {
	for of, a := range w.answers {
		if slices.ContainsFunc(due, func(r Request) bool { return of == r.name() }) {
			continue
		}
		if !a.Place.Export.IsZero() {
			if err := w.cfg.Exports.Drop(ctx, a.Place); err != nil {
				return err
			}
		}
		delete(w.answers, of)
	}
	return nil
}

// named is a request of a tenant: ids are unique within one.
type named struct{ tenant, id string }

func (r *Request) name() named { return named{r.Tenant, r.ID} }

// answer is what a request comes to.
type answer struct {
	export.Made // zero where there is nobody any more
	outcome     Outcome
}

// answer makes the export that r asks for, and only then says that r is
// completed. What cannot be said yet is kept, so that trying again makes no other.
// Of two workers at once one is first on the log: the export of the other is
// dropped.
func (w *Workflow) answer(ctx context.Context, r *Request) (err error) {
	a, made := w.answers[r.name()]
	if !made {
		if a, err = w.makeExport(ctx, r); err != nil {
			return err
		}
		w.answers[r.name()] = a
	}
	if err := w.stateExport(ctx, r, a); err != nil {
		return err
	}
	delete(w.answers, r.name())
	there, err := w.Export(r.ID, r.isOf)
	if a.Place.Export.IsZero() || err == nil && there == a.Place {
		return nil
	}
	return w.cfg.Exports.Drop(ctx, a.Place)
}

// stateExport completes r, unless another worker did while the export was made:
// theirs says something else under the same id, which would be a conflict.
func (w *Workflow) stateExport(ctx context.Context, r *Request, made answer) error {
	if err := w.cfg.Lane.Sync(ctx); err != nil {
		return err
	}
	now, err := w.Get(r.ID, r.isOf)
	if err != nil || now.State != Approved {
		return err
	}
	attributes := map[string]string{attrRequest: r.ID, attrOutcome: string(made.outcome)}
	if !made.Place.Export.IsZero() {
		attributes[attrExport], attributes[attrUntil] = made.Place.Export.String(), made.Until.Format(time.RFC3339)
		attributes[attrEvents], attributes[attrPosition] = strconv.Itoa(made.Events), strconv.FormatUint(made.Position, 10)
	}
	return w.record(ctx, r, events.RequestCompleted, ".exported", events.Data{Actor: Worker, Attributes: attributes})
}

func (w *Workflow) makeExport(ctx context.Context, r *Request) (answer, error) {
	p, err := w.open(ctx, r)
	if r.subject.IsZero() || errors.Is(err, seal.ErrDestroyed) {
		return answer{outcome: AlreadyErased}, nil
	}
	if err != nil {
		return answer{}, err
	}
	made, err := w.cfg.Exports.Make(ctx, w.order(r, p.Subject))
	switch {
	case errors.Is(err, export.ErrGone):
		return answer{outcome: AlreadyErased}, nil
	case err != nil:
		return answer{}, err
	case !r.known:
		return answer{made, NoMatch}, nil
	default:
		return answer{made, Exported}, nil
	}
}

// order is what an export for r has to hold.
func (w *Workflow) order(r *Request, subject string) export.Order {
	w.mu.RLock()
	defer w.mu.RUnlock()
	out := export.Order{
		Request: r.ID, Kind: r.Type, Regulation: r.Regulation, Tenant: r.Tenant, Issuer: r.origin.Record.Issuer, Subject: subject,
		Ref: r.subject, Shard: r.Shard, End: w.exportEnd[r.name()], Received: r.Received,
	}
	for _, other := range w.book.order {
		if other.Tenant == r.Tenant && other.subject == r.subject {
			out.Requests = append(out.Requests, asking(other))
		}
	}
	active, released := w.holds.Of(r.Tenant, r.subject)
	for _, h := range append(active, released...) {
		out.Holds = append(out.Holds, holding(&h))
	}
	if by := w.book.restricted[person{r.Tenant, r.subject}]; len(by) > 0 {
		out.Restricted = by[0].ID
	}
	return out
}

func asking(r *Request) export.Asked {
	return export.Asked{
		ID: r.ID, Type: r.Type, Regulation: r.Regulation, State: string(r.State), Outcome: string(r.Outcome), Reason: r.Reason,
		Received: r.Received, Due: r.Due, Answered: r.Answered,
	}
}

func holding(h *hold.Hold) export.Hold {
	return export.Hold{Article: h.Article, Placed: h.Placed, Review: h.Review, Released: h.Released}
}

// forgetExports removes what was exported of somebody whose key is destroyed.
// It opens no more already.
func (w *Workflow) forgetExports(ctx context.Context, r *Request) error {
	if w.cfg.Exports == nil {
		return nil
	}
	return w.cfg.Exports.Forget(ctx, r.Tenant, r.subject)
}
