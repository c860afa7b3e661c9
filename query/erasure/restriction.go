package erasure

import (
	"context"
	"slices"

	"github.com/rescindhq/rescind/events"
)

// The exceptions under which restricted data may be opened (GDPR article
// 18(2)).
const (
	ByConsent         = "consent"
	ForLegalClaims    = "legal_claims"
	ForOthersRights   = "rights_of_others"
	ForPublicInterest = "public_interest"
)

// Exceptions lists them.
func Exceptions() []string {
	return []string{ByConsent, ForLegalClaims, ForOthersRights, ForPublicInterest}
}

// lift ends what r restricted.
func (b *book) lift(r *Request) {
	at := person{r.Tenant, r.subject}
	left := slices.DeleteFunc(b.restricted[at], func(o *Request) bool { return o == r })
	if len(left) == 0 {
		delete(b.restricted, at)
		return
	}
	b.restricted[at] = left
}

// Restrictions is which of people must not be opened, with the request that
// says so. It has seen all that was on the log when it was called.
func (w *Workflow) Restrictions(ctx context.Context, tenant string, people []events.Ref) (map[events.Ref]string, error) {
	if err := w.cfg.Lane.Sync(ctx); err != nil {
		return nil, err
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	out := make(map[events.Ref]string)
	for _, ref := range people {
		if by := w.book.restricted[person{tenant, ref}]; len(by) > 0 {
			out[ref] = by[0].ID
		}
	}
	return out, nil
}
