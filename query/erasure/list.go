package erasure

import (
	"slices"
	"time"
)

// Get is one request.
func (w *Workflow) Get(id string, reaches func(tenant string) bool) (Request, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	r := w.book.find(id, reaches)
	if r == nil {
		return Request{}, ErrNotFound
	}
	return r.clone(), nil
}

// Filter says which requests are wanted. A member at its zero value restricts
// nothing, but for Reaches, which is required.
type Filter struct {
	Reaches func(tenant string) bool
	State   State
	Urgency Urgency
	Shard   uint16  // of the requests
	Before  *uint64 // continue below this Request.Position
	Limit   int     // 0 means all
}

// List is the requests of a shard that f names, the newest first.
func (w *Workflow) List(f Filter) []Request {
	w.mu.RLock()
	defer w.mu.RUnlock()
	var out []Request
	now := w.cfg.Now()
	for _, r := range slices.Backward(w.book.order) {
		if f.matches(r, now) {
			out = append(out, r.clone())
		}
		if f.Limit > 0 && len(out) == f.Limit {
			break
		}
	}
	return out
}

func (f *Filter) matches(r *Request, now time.Time) bool {
	return r.Shard == f.Shard && f.Reaches(r.Tenant) && (f.State == "" || r.State == f.State) &&
		(f.Urgency == "" || r.Urgency(now) == f.Urgency) && (f.Before == nil || r.Position < *f.Before)
}
