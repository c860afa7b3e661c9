package query

import (
	"slices"
	"sync"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/lane"
)

// revoked is one revocation with its place in the log.
type revoked struct {
	Index    uint64
	Record   *events.Record // not changed by anybody
	LiftedAt *uint64        // index of the first event that lifted it
}

// revocations holds the last revocations on the log, so that what was just
// made can be shown and lifted without the audit store. Those of bulk jobs are
// not among them: one job would push out all others.
type revocations struct {
	limit int

	mu    sync.RWMutex // for the rest
	byRef map[events.Ref]*revoked
	byID  map[string][]*revoked // an id is unique only within tenant and source
	ring  []*revoked            // in the order of the log, the oldest at turn
	turn  int
}

func newRevocations(limit int) *revocations {
	return &revocations{limit: limit, byRef: make(map[events.Ref]*revoked), byID: make(map[string][]*revoked)}
}

// apply folds one control record.
func (r *revocations) apply(e lane.Entry) {
	switch v := e.Record.Revocation; {
	case v == nil, e.Record.Source == BulkSource:
	case e.Record.Type.RevokedScope() != "":
		r.add(&revoked{Index: e.Index, Record: e.Record})
	case e.Record.Type == events.RevocationLifted:
		r.lift(v.Lifts, e.Index)
	}
}

func (r *revocations) add(v *revoked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < r.limit {
		r.ring = append(r.ring, v)
	} else {
		r.drop(r.ring[r.turn])
		r.ring[r.turn] = v
		r.turn = (r.turn + 1) % len(r.ring)
	}
	r.byRef[v.Record.Ref()] = v
	r.byID[v.Record.ID] = append(r.byID[v.Record.ID], v)
}

func (r *revocations) drop(v *revoked) {
	delete(r.byRef, v.Record.Ref())
	id := v.Record.ID
	left := slices.DeleteFunc(r.byID[id], func(o *revoked) bool { return o == v })
	if len(left) == 0 {
		delete(r.byID, id)
		return
	}
	r.byID[id] = left
}

func (r *revocations) lift(ref events.Ref, at uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v := r.byRef[ref]; v != nil && v.LiftedAt == nil {
		v.LiftedAt = &at
	}
}

// find is the revocations with that id in the tenants that sees lets through.
func (r *revocations) find(id string, sees func(tenant string) bool) []revoked {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []revoked
	for _, v := range r.byID[id] {
		if sees(v.Record.Tenant) {
			out = append(out, *v)
		}
	}
	return out
}
