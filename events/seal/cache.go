package seal

import (
	"sync"
	"time"
)

// cache is a bounded map whose entries live for ttl. It keeps two generations:
// when the young one holds half of the bound it becomes the old one, and what
// was old is gone. That costs no bookkeeping on a hit.
type cache[K comparable, V any] struct {
	max int
	ttl time.Duration
	now func() time.Time

	mu         sync.Mutex
	young, old map[K]cached[V]
	removals   uint64 // grows with each remove
}

type cached[V any] struct {
	value V
	until time.Time
}

func newCache[K comparable, V any](max int, ttl time.Duration, now func() time.Time) *cache[K, V] {
	return &cache[K, V]{max: max, ttl: ttl, now: now, young: map[K]cached[V]{}}
}

func (c *cache[K, V]) get(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.young[k]
	if !ok {
		if e, ok = c.old[k]; ok {
			c.insert(k, e) // it is in use: it moves to the young
		}
	}
	if !ok || !c.now().Before(e.until) {
		var none V
		return none, false
	}
	return e.value, true
}

// mark is taken before a value is read from the store, and given to put with
// that value.
func (c *cache[K, V]) mark() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.removals
}

// put keeps v, unless anything was removed since mark: then v may be what was
// removed, read just before.
func (c *cache[K, V]) put(k K, v V, mark uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if mark == c.removals {
		c.insert(k, cached[V]{v, c.now().Add(c.ttl)})
	}
}

func (c *cache[K, V]) insert(k K, e cached[V]) {
	if len(c.young) >= (c.max+1)/2 {
		c.old, c.young = c.young, make(map[K]cached[V], len(c.young))
	}
	c.young[k] = e
}

func (c *cache[K, V]) remove(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.young, k)
	delete(c.old, k)
	c.removals++
}

func (c *cache[K, V]) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.young) + len(c.old)
}
