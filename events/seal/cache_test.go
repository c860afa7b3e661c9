package seal

import (
	"fmt"
	"runtime"
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

// perSubject is the bytes that doc.go and Config.CacheSubjects state.
const perSubject = 280

// TestCacheOfSubjectsIsAsSmallAsStated fills a cache to its bound several times
// over and weighs it on the way, just before and just after a generation too.
func TestCacheOfSubjectsIsAsSmallAsStated(t *testing.T) { // not parallel: it weighs the heap
	for _, bound := range []int{10_000, 100_000} {
		before := heap()
		c := newCache[handle, known](bound, time.Minute, time.Now)
		worst := 0.0
		for i := range 3 * bound {
			c.put(handle{byte(i), byte(i >> 8), byte(i >> 16), 4: 1}, known{}, c.mark())
			if i%(bound/16) < 1 && i > bound/2 || i == bound-1 || i == 3*bound-1 {
				worst = max(worst, float64(heap()-before)/float64(bound))
			}
		}
		t.Logf("%d subjects: at most %.0f bytes for each", bound, worst)
		if worst > perSubject {
			t.Errorf("%d subjects: %.0f bytes for each, want at most %d", bound, worst, perSubject)
		}
		runtime.KeepAlive(c)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkCacheMemory is what the heap grows by for each subject of a full
// cache, and how long it takes to fill it.
func BenchmarkCacheMemory(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			grown := 0.0
			for b.Loop() {
				before := heap()
				c := newCache[handle, known](n, time.Minute, time.Now)
				for i := range n {
					c.put(handle{byte(i), byte(i >> 8), byte(i >> 16), 4: 1}, known{}, c.mark())
				}
				grown = float64(heap() - before)
				runtime.KeepAlive(c)
			}
			b.ReportMetric(grown/float64(n), "bytes/subject")
		})
	}
}
