package erasure

import (
	"context"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/erasure/ledger"
)

// Ledger is the erasure ledger: *ledger.Ledger. What is entered twice does no
// harm.
type Ledger interface {
	// Append is durable on return.
	Append(ctx context.Context, entries ...ledger.Entry) error
}

// enter writes what was destroyed for r into the ledger, before anybody is told
// that it was. It comes after: who finds a key that the ledger says is gone
// takes it for one that a backup has brought back.
func (w *Workflow) enter(ctx context.Context, r *Request, gone seal.Destroyed, k kept) error {
	if w.cfg.Ledger == nil {
		return nil
	}
	now, err := w.Get(r.ID, r.isOf) // it was revoked since
	if err != nil {
		return err
	}
	return w.cfg.Ledger.Append(ctx, ledger.Person{
		Tenant: r.Tenant, Ref: r.subject, Key: gone.KeyFingerprint, Request: ledger.DigestOf(r.ID), Shard: r.Shard, Index: now.Last().Position,
		At: w.cfg.Now().UTC(), Held: k.parts > 0, Refused: now.refused,
	})
}

// destroyBeside destroys a key that something about r is sealed under beside the person's
// own, and enters that into the ledger as enter does.
func (w *Workflow) destroyBeside(ctx context.Context, r *Request, key events.Ref) error {
	if err := w.cfg.Keyring.DestroyHold(ctx, r.Tenant, key); err != nil || w.cfg.Ledger == nil {
		return err
	}
	return w.cfg.Ledger.Append(ctx, ledger.Hold{Tenant: r.Tenant, Key: key, Request: ledger.DigestOf(r.ID), At: w.cfg.Now().UTC()})
}
