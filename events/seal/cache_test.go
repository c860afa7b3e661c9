package seal

import (
	"testing"
	"time"
)

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	const bound = 100
	c := newCache[int, int](bound, time.Minute, time.Now)
	for i := range 20 * bound {
		c.put(i, i, c.mark())
		c.get(i / 2)
		if n := c.len(); n > bound+1 {
			t.Fatalf("%d entries after %d puts", n, i+1)
		}
	}
	if v, ok := c.get(20*bound - 1); !ok || v != 20*bound-1 {
		t.Fatal("the newest entry is gone")
	}
}

func TestCacheDropsWhatWasReadBeforeARemoval(t *testing.T) {
	t.Parallel()
	c := newCache[int, int](10, time.Minute, time.Now)
	mark := c.mark()
	c.remove(1)
	c.put(1, 1, mark)
	if _, ok := c.get(1); ok {
		t.Fatal("a value read before the removal was kept")
	}
	c.put(1, 1, c.mark())
	if _, ok := c.get(1); !ok {
		t.Fatal("a value read after the removal was not kept")
	}
}

func TestCacheEntriesExpire(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	c := newCache[int, int](10, time.Second, func() time.Time { return now })
	c.put(1, 1, c.mark())
	now = now.Add(time.Second - 1)
	if _, ok := c.get(1); !ok {
		t.Fatal("gone too early")
	}
	now = now.Add(1)
	if _, ok := c.get(1); ok {
		t.Fatal("still there")
	}
}
