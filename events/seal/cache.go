package seal

import (
	"sync"
	"time"
)

// cache is a bounded map whose entries live for ttl. It keeps two generations:
// when the young one holds half of the bound it becomes the old one, and what
// was old is gone. That costs no bookkeeping on a hit.
type cache[K comparable, V any] struct {
	max   int
	ttl   time.Duration
	now   func() time.Time
	start time.Time

	mu         sync.Mutex
	young, old map[K]cached[V]
	removals   uint64 // grows with each remove
}

// cached is a value and until when it may be used, by clock.
type cached[V any] struct {
	value V
	until int64
}

func newCache[K comparable, V any](max int, ttl time.Duration, now func() time.Time) *cache[K, V] {
	return &cache[K, V]{max: max, ttl: ttl, now: now, start: now(), young: map[K]cached[V]{}}
}

// clock is the ns since start, and does not jump when the wall clock does. A
// Time for each entry would be three times as long, and have a pointer for the
// garbage collector to follow.
func (c *cache[K, V]) clock() int64 { return int64(c.now().Sub(c.start)) }

func (c *cache[K, V]) get(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, fresh, _ := c.look(k, c.clock())
	if !fresh {
		var none V
		return none, false
	}
	return v, true
}

// getAll gives to found the value of each key that is there, by the key's place
// in keys, and whether its time is not over.
func (c *cache[K, V]) getAll(keys []K, found func(i int, v V, fresh bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock()
	for i, k := range keys {
		if v, fresh, there := c.look(k, now); there {
			found(i, v, fresh)
		}
	}
}

func (c *cache[K, V]) look(k K, now int64) (v V, fresh, there bool) {
	e, ok := c.young[k]
	if !ok {
		if e, ok = c.old[k]; ok {
			c.insert(k, e) // it is in use: it moves to the young
		}
	}
	return e.value, ok && now < e.until, ok
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
		c.insert(k, cached[V]{v, c.clock() + int64(c.ttl)})
	}
}

func (c *cache[K, V]) insert(k K, e cached[V]) {
	if _, there := c.young[k]; !there && len(c.young) >= (c.max+1)/2 {
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

func (c *cache[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old = map[K]cached[V]{}, nil
	c.removals++
}

func (c *cache[K, V]) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.young) + len(c.old)
}
