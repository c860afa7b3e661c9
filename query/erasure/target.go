package erasure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
)

// Target is where the changes of a request are told, and the id that it has
// there. It can hold anything that whoever asked put into it: it is sealed under a
// key of its own, which goes when there is no more to tell.
type Target struct {
	ID   string   `json:"id"`
	URLs []string `json:"urls"`
}

// place is where the target of an ask is kept.
func (a *Asked) place(r *Request) stream.HeldPart {
	return stream.HeldPart{Tenant: r.Tenant, Hold: a.Ref, Subject: a.Ref, Shard: r.Shard}
}

// tellable refuses to be told where nobody would be.
func (w *Workflow) tellable(ctx context.Context, in Input, a Ask) error {
	const member = "status_callback_urls"
	switch {
	case len(a.Callbacks) == 0:
		return nil
	case w.cfg.Telling == nil || w.cfg.Held == nil:
		return &MemberError{member, "nobody is told here: ask for the status"}
	case len(a.Callbacks) > MaxCallbacks:
		return &MemberError{member, fmt.Sprintf("want at most %d", MaxCallbacks)}
	}
	for _, url := range a.Callbacks {
		if err := w.cfg.Telling.Posts.Check(url); err != nil {
			return &MemberError{member, err.Error()}
		}
	}
	return w.crowded(ctx, in)
}

// crowded refuses one ask more of a request that many have asked for.
func (w *Workflow) crowded(ctx context.Context, in Input) error {
	key, err := w.cfg.Keyring.Lookup(ctx, seal.Person{Tenant: in.Tenant, Issuer: in.Issuer, Subject: in.Subject})
	if errors.Is(err, seal.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("receive request: %w", err)
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	first := w.book.open[asked{person{in.Tenant, key.Ref}, in.Type, in.Regulation}]
	if !key.Ref.IsZero() && first != nil && len(first.Asks) >= MaxAsks {
		return ErrManyAsks
	}
	return nil
}

// keepTarget seals where a is told. It can be done again: an ask that was recorded
// by somebody who was stopped before this is sent again.
func (w *Workflow) keepTarget(ctx context.Context, r *Request, a *Asked, said Ask) error {
	if a.Callbacks == 0 || r.finished(a) {
		return nil
	}
	key, err := w.cfg.Keyring.HoldKey(ctx, r.Tenant, a.Ref)
	if errors.Is(err, seal.ErrDestroyed) {
		return nil // there is nothing to tell any more
	}
	if err != nil {
		return fmt.Errorf("keep callbacks: %w", err)
	}
	plain, err := json.Marshal(Target{said.ID, said.Callbacks})
	if err != nil {
		return fmt.Errorf("keep callbacks: %w", err)
	}
	sealed, err := key.Seal(r.Tenant, Source, a.Ref.String(), plain)
	if err != nil {
		return fmt.Errorf("keep callbacks: %w", err)
	}
	if err := w.cfg.Held.Put(ctx, a.place(r), sealed); err != nil {
		return fmt.Errorf("keep callbacks: %w", err)
	}
	signal(w.news)
	return nil
}

// errGone says that whoever asked is told no more.
var errGone = errors.New("where it is told is not known any more")

// target opens where a is told.
func (w *Workflow) target(ctx context.Context, r *Request, a *Asked) (Target, error) {
	var t Target
	sealed, err := w.cfg.Held.Get(ctx, a.place(r))
	if errors.Is(err, stream.ErrNotFound) {
		return t, errGone
	}
	if err != nil {
		return t, err
	}
	plain, err := w.cfg.Keyring.OpenHeld(ctx, a.Ref, seal.OpenRequest{
		Tenant: r.Tenant, Source: Source, ID: a.Ref.String(), Generation: 1, Sealed: sealed,
	})
	if errors.Is(err, seal.ErrDestroyed) {
		return t, errGone
	}
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(plain, &t)
}

// dropTarget destroys where a is told.
func (w *Workflow) dropTarget(ctx context.Context, r *Request, a *Asked) error {
	if err := w.destroyBeside(ctx, r, a.Ref); err != nil {
		return fmt.Errorf("drop callbacks: %w", err)
	}
	if err := w.cfg.Held.Purge(ctx, a.place(r)); err != nil {
		return fmt.Errorf("drop callbacks: %w", err)
	}
	return nil
}

// dropTargets destroys what others said of where they are told of r's subject: but
// of r itself and of what is about to be answered, of which they are told yet.
func (w *Workflow) dropTargets(ctx context.Context, r *Request) error {
	for _, other := range w.calledOf(person{r.Tenant, r.subject}) {
		if other.ID == r.ID || other.toDo() {
			continue
		}
		for i := range other.Asks {
			if a := &other.Asks[i]; a.Callbacks > 0 {
				if err := w.dropTarget(ctx, &other, a); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// calledOf is the requests of a person whose changes are told.
func (w *Workflow) calledOf(p person) (out []Request) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for r := range w.book.called {
		if (person{r.Tenant, r.subject}) == p {
			out = append(out, r.clone())
		}
	}
	return out
}
