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
	"github.com/rescindhq/rescind/internal/sidebyside"
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
		made.set.Apply(made.of.Others(1000)...) // every scope has to be looked for
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

// The machine may have other things to do: set and map take turns, and what is
// reported is the run that was disturbed least.
const rounds, calls = 60, 10_000

func BenchmarkCheck(b *testing.B) {
	for _, n := range sizes {
		for name, hit := range map[string]bool{"hit": true, "miss": false} {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				set, plain, probe := setOf(n), mapOf(n), hashes(n, hit)
				look := func(i int) {
					if set.Holds(probe[i%probes], made.of.Now) != hit {
						b.Fatal("wrong")
					}
				}
				if allocs := testing.AllocsPerRun(1000, func() { look(1) }); allocs != 0 {
					b.Fatalf("%.0f allocations", allocs)
				}
				for b.Loop() {
					t := sidebyside.Time(rounds, calls, look, func(i int) {
						if _, ok := plain[probe[i%probes]]; ok != hit {
							b.Fatal("wrong")
						}
					})
					b.ReportMetric(t[0].Least, "set-ns")
					b.ReportMetric(t[1].Least, "map-ns")
					b.ReportMetric(t[0].Least/t[1].Least, "ratio")
				}
			})
		}
	}
}

// BenchmarkCheckParallel is lookups on every processor: ns/op is for all of
// them together.
func BenchmarkCheckParallel(b *testing.B) {
	set, probe := setOf(sizes[0]), hashes(sizes[0], false)
	for _, p := range []int{1, runtime.NumCPU()} {
		b.Run(fmt.Sprint(p), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(p))
			var from atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for i := int(from.Add(7919)); pb.Next(); i++ {
					set.Holds(probe[i%probes], made.of.Now)
				}
			})
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range sizes {
		for want, from := range map[revocation.State]int{revocation.Revoked: 0, revocation.Active: n} {
			b.Run(fmt.Sprintf("%d/%s", n, want), func(b *testing.B) {
				set, claims := setOf(n), make([]revocation.Claims, 1<<14)
				for i := range claims {
					claims[i] = made.of.Claims(from + rand.IntN(n))
				}
				decide := func(i int) {
					if d := set.Decide(&claims[i%len(claims)], made.of.Now); d.State != want {
						b.Fatal(d)
					}
				}
				if allocs := testing.AllocsPerRun(1000, func() { decide(1) }); allocs != 0 {
					b.Fatalf("%.0f allocations", allocs)
				}
				for b.Loop() {
					b.ReportMetric(sidebyside.Time(rounds, calls/5, decide)[0].Least, "least-ns")
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
			set, next, took := growing(n), n, time.Duration(0)
			for b.Loop() {
				entries := made.of.Entries(next, next+10_000)
				next += len(entries)
				took += sidebyside.CPU(func() { set.Apply(entries...) })
			}
			b.ReportMetric(float64(took)/float64(next-n), "cpu-ns/entry")
		})
	}
}

// growing is a set of n that is for the caller alone.
func growing(n int) *revocation.Set {
	set := setOf(n)
	made.Lock()
	defer made.Unlock()
	made.set = nil
	return set
}

func BenchmarkSnapshot(b *testing.B) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			set := setOf(n)
			for b.Loop() {
				var message []byte
				var err error
				pack := sidebyside.CPU(func() { message, err = set.Snapshot(revocation.Head{}, events.Ref{}, key) })
				if err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				load := sidebyside.CPU(func() {
					var s *revocation.Snapshot
					if s, err = revocation.OpenSnapshot(public, message); err != nil || s.Set(made.of.Now).Len() < n {
						b.Fatal("not all of it", err)
					}
				})
				b.ReportMetric(float64(len(message))/float64(n), "B/entry")
				b.ReportMetric(pack.Seconds(), "pack-cpu-s")
				b.ReportMetric(load.Seconds(), "load-cpu-s")
				b.ReportMetric(time.Since(began).Seconds(), "load-s")
			}
		})
	}
}

// BenchmarkOneTarget is many revocations of one subject, as a feed has them.
func BenchmarkOneTarget(b *testing.B) {
	for _, n := range []int{80_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			claims := made.of.Claims(0)
			entries := made.of.Entries(0, n)
			for i := range entries {
				entries[i].Scope, entries[i].Hash = events.ScopeSubject, made.of.Key.Hash(events.ScopeSubject, claims.Issuer, claims.Subject)
				entries[i].IssuedBefore = entries[i].At
			}
			for b.Loop() {
				set := revocation.NewSet(1)
				set.SetKeys([]events.FeedKey{made.of.Key})
				took := sidebyside.CPU(func() {
					for part := range slices.Chunk(entries, 1000) {
						set.Apply(part...)
					}
				})
				alone := sidebyside.CPU(func() {
					for i := range 10_000 {
						e := entries[n-1]
						e.Index += uint64(i + 1)
						set.Apply(e)
					}
				})
				decide := sidebyside.Time(rounds, calls/10, func(int) { set.Decide(&claims, made.of.Now) })
				b.ReportMetric(float64(took)/float64(n), "cpu-ns/entry")
				b.ReportMetric(float64(alone)/10_000, "cpu-ns/alone")
				b.ReportMetric(decide[0].Least, "decide-ns")
			}
		})
	}
}

// BenchmarkReaders times single lookups while nothing is written, and while
// 50,000 revocations a second are applied.
func BenchmarkReaders(b *testing.B) {
	const n, seconds = 1_000_000, 3
	set := growing(n)
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
