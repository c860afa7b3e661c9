package revocation_test

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation"
)

var sizes = []int{1_000_000, 10_000_000}

// made keeps what several benchmarks look at: a set of so many, and a map of
// the same hashes.
var made = struct {
	sync.Mutex
	of   *workload.Revocations
	n    int
	set  *revocation.Set
	heap int64
	maps map[events.Ref]uint32
}{of: workload.NewRevocations(time.Now())}

// setOf is a set of n, made once.
func setOf(n int) *revocation.Set {
	made.Lock()
	defer made.Unlock()
	if made.n != n || made.set == nil {
		made.set, made.maps, made.n = nil, nil, n
		before := heap()
		made.set = made.of.Set(n)
		made.heap = heap() - before
	}
	return made.set
}

func mapOf(n int) map[events.Ref]uint32 {
	setOf(n)
	made.Lock()
	defer made.Unlock()
	if made.maps == nil {
		made.maps = make(map[events.Ref]uint32, n)
		for i := range n {
			made.maps[made.of.Hash(i)] = uint32(i)
		}
	}
	return made.maps
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

const probes = 1 << 16

// hashes are of tokens all over the set, or of as many that are not in it.
func hashes(n int, hit bool) []events.Ref {
	out := make([]events.Ref, probes)
	for i := range out {
		at := rand.IntN(n)
		if !hit {
			at += n
		}
		out[i] = made.of.Hash(at)
	}
	return out
}

func BenchmarkCheck(b *testing.B) {
	now := made.of.Now
	for _, n := range sizes {
		set := setOf(n)
		plain := mapOf(n)
		for _, hit := range []bool{true, false} {
			probe := hashes(n, hit)
			name := map[bool]string{true: "hit", false: "miss"}[hit]
			b.Run(fmt.Sprintf("%d/%s/set", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if set.Holds(probe[i%probes], now) != hit {
						b.Fatal("wrong")
					}
				}
			})
			b.Run(fmt.Sprintf("%d/%s/map", n, name), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					if _, ok := plain[probe[i%probes]]; ok != hit {
						b.Fatal("wrong")
					}
				}
			})
			b.Run(fmt.Sprintf("%d/%s/parallel", n, name), func(b *testing.B) {
				var from atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					for i := int(from.Add(7919)); pb.Next(); i++ {
						set.Holds(probe[i%probes], now)
					}
				})
			})
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range sizes {
		set := setOf(n)
		for _, hit := range []bool{true, false} {
			claims := make([]revocation.Claims, 1<<14)
			for i := range claims {
				at := rand.IntN(n)
				if !hit {
					at += n
				}
				claims[i] = made.of.Claims(at)
			}
			want := map[bool]revocation.State{true: revocation.Revoked, false: revocation.Active}[hit]
			b.Run(fmt.Sprintf("%d/%s", n, want), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if d := set.Decide(&claims[i%len(claims)], made.of.Now); d.State != want {
						b.Fatal(d)
					}
				}
			})
		}
	}
}

func BenchmarkMemory(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			set := setOf(n)
			for b.Loop() {
			}
			b.ReportMetric(float64(made.heap)/float64(n), "B/entry")
			b.ReportMetric(0, "ns/op")
			runtime.KeepAlive(set)
		})
	}
}

func BenchmarkApply(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			set := setOf(n)
			made.Lock()
			made.set = nil // it grows
			made.Unlock()
			next := n
			for b.Loop() {
				b.StopTimer()
				entries := made.of.Entries(next, next+1000)
				next += 1000
				b.StartTimer()
				set.Apply(entries...)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/entry")
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for _, n := range sizes {
		set := setOf(n)
		var message []byte
		b.Run(fmt.Sprintf("%d/pack", n), func(b *testing.B) {
			for b.Loop() {
				var err error
				if message, err = set.Snapshot(revocation.Head{}, events.Ref{}, key); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(message))/float64(n), "B/entry")
		})
		b.Run(fmt.Sprintf("%d/load", n), func(b *testing.B) {
			for b.Loop() {
				s, err := revocation.OpenSnapshot(key.Public().(ed25519.PublicKey), message)
				if err != nil {
					b.Fatal(err)
				}
				if got := s.Set(made.of.Now).Len(); got != n {
					b.Fatal(got)
				}
			}
		})
	}
}

// BenchmarkReaders times single lookups while nothing is written, and while
// 50,000 revocations a second are applied.
func BenchmarkReaders(b *testing.B) {
	const n, seconds = 1_000_000, 3
	set := setOf(n)
	probe := hashes(n, true)
	look := func() (p50, p999 float64) {
		var took []time.Duration
		end := time.Now().Add(seconds * time.Second)
		for i := 0; ; i++ {
			began := time.Now()
			set.Holds(probe[i%probes], made.of.Now)
			now := time.Now()
			took = append(took, now.Sub(began))
			if now.After(end) {
				break
			}
		}
		slices.Sort(took)
		return float64(took[len(took)/2]), float64(took[len(took)*999/1000])
	}
	made.Lock()
	made.set = nil // it grows
	made.Unlock()
	for b.Loop() {
		quiet50, quiet := look()
		stop, done := make(chan struct{}), make(chan int)
		go func() { done <- write(set, n, stop) }()
		busy50, busy := look()
		close(stop)
		written := <-done
		b.ReportMetric(quiet50, "quiet-p50-ns")
		b.ReportMetric(busy50, "busy-p50-ns")
		b.ReportMetric(quiet, "quiet-p99.9-ns")
		b.ReportMetric(busy, "busy-p99.9-ns")
		b.ReportMetric(busy/quiet, "ratio")
		b.ReportMetric(float64(written)/seconds, "written/s")
	}
}

// write applies 50,000 revocations a second, in batches as a delta has them.
func write(set *revocation.Set, from int, stop <-chan struct{}) (written int) {
	entries := made.of.Entries(from, from+400_000)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		select {
		case <-stop:
			return written
		case <-tick.C:
		}
		due := min(int(time.Since(began).Seconds()*50_000), len(entries))
		set.Apply(entries[written:due]...)
		written = due
	}
}
