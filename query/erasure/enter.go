package erasure

import (
	"context"

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
	now, err := w.Get(r.ID, func(tenant string) bool { return tenant == r.Tenant }) // it was revoked since
	if err != nil {
		return err
	}
	request, at := ledger.DigestOf(r.ID), w.cfg.Now().UTC()
	entries := []ledger.Entry{ledger.Person{
		Tenant: r.Tenant, Ref: r.subject, Key: gone.KeyFingerprint, Request: request, Shard: r.Shard, Index: now.Last().Position, At: at,
		Held: k.parts > 0, Refused: now.refused,
	}}
	for _, h := range w.released(r) {
		entries = append(entries, ledger.Hold{Tenant: r.Tenant, Key: h.KeyOf(r.subject), Request: request, At: at})
	}
	return w.cfg.Ledger.Append(ctx, entries...)
}
