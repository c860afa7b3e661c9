package erasure

import (
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/erasure/ledger"
)

// attrErased is, of request.reapplied, when the key was destroyed first. It names
// its request by a ledger.Digest, as the ledger does, and the mark of the key.
const attrErased = "erased"

// repetition is that the restore gate found an erasure undone. The zero repetition
// is that it did not.
type repetition struct {
	first, found time.Time
	mark         string // of the key; empty where that is not known
}

// undone is an erasure as request.reapplied names it.
type undone struct{ tenant, digest string }

// reapplied folds a request.reapplied. What is found more than once, as by a gate
// that was stopped, counts as it was first.
func (b *book) reapplied(record *events.Record) {
	of := undone{record.Tenant, record.Attributes[attrRequest]}
	first := instant(record, attrErased)
	if _, there := b.undone[of]; there || first.IsZero() {
		return
	}
	b.undone[of] = repetition{first.UTC(), time.UnixMicro(record.Received).UTC(), record.Attributes[attrKeyMark]}
}

// repeats says of r, whose key has just been stated to be gone for the first time
// on this log, whether it was destroyed before. What is found later changes nothing: the log
// says when it was, and every worker has to sign the same.
func (b *book) repeats(r *Request) {
	if r.rounds == 1 {
		r.repeated = b.undone[undone{r.Tenant, ledger.DigestOf(r.ID).String()}]
	}
}
