package feed

import (
	"sync"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

// listeners are those who want to know when decisions may have changed.
type listeners struct {
	mu   sync.RWMutex
	next int
	all  map[int]func([]revocation.Entry)
}

// Listen calls changed whenever decisions may have changed: with the entries
// that were applied, or with nil where it may be any decision. It is called from
// the goroutine of Run and must not block; the entries are its own only until
// it returns. stop ends that.
func (f *Feed) Listen(changed func([]revocation.Entry)) (stop func()) {
	l := &f.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = make(map[int]func([]revocation.Entry))
	}
	n := l.next
	l.next++
	l.all[n] = changed
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.all, n)
	}
}

func (l *listeners) tell(entries []revocation.Entry) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, changed := range l.all {
		changed(entries)
	}
}

// AppendHashes appends to dst the hashes that entries have which match c.
func (f *Feed) AppendHashes(dst []events.Ref, c revocation.Claims) []events.Ref {
	if v := f.view.Load(); v != nil {
		return v.set.AppendHashes(dst, &c)
	}
	return dst
}
