package revoke

import (
	"maps"
	"sync"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

// reasons counts revocations by events.ReasonLabel.
type reasons struct {
	mu sync.Mutex
	of map[string]uint64
}

func (r *reasons) add(entries []revocation.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = make(map[string]uint64)
	}
	for i := range entries {
		if e := &entries[i]; !e.Lift {
			r.of[events.ReasonLabel(e.Reason)]++
		}
	}
}

func (r *reasons) counts() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.of)
}
