package gate_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/erasure/gate"
	"github.com/rescindhq/rescind/query/erasure/ledger"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// BenchmarkPass is what a start pays where so many people were ever erased, of
// whom nobody is back.
func BenchmarkPass(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkPass(b, n) })
	}
}

func benchmarkPass(b *testing.B, n int) {
	kit := lanetest.Start(b)
	l, err := ledger.Open(b.TempDir(), ledger.Key{ID: "0123abcd"})
	if err != nil {
		b.Fatal(err)
	}
	for done := 0; done < n; done += 1000 {
		some := make([]ledger.Entry, 1000)
		for i := range some {
			p := ledger.Person{Tenant: "acme", Key: "00112233445566aa", Shard: 9, Index: uint64(done + i), At: time.Now(), Refused: events.Revocation{FeedKey: 1, IssuedBefore: 1, Expires: 2}}
			rand.Read(p.Ref[:])
			rand.Read(p.Refused.Hash[:])
			some[i] = p
		}
		if err := l.Append(b.Context(), some...); err != nil {
			b.Fatal(err)
		}
	}
	c := gate.Config{Ledger: l, Logs: []gate.Log{kit.Log}, Keyring: kit.Keys, Exports: stream.NewExports(kit.JS), Logger: slog.New(slog.DiscardHandler), TenantOf: func(uint16) string { return "rescind" },
		Publish: func(context.Context, events.Event) error { return nil }, Drop: func(context.Context) error { return nil }}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for b.Loop() {
		if _, err := gate.Pass(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/erasure")
	b.ReportMetric(float64(after.HeapAlloc)-float64(before.HeapAlloc), "B-kept")
}
