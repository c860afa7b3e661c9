package stream_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// BenchmarkKeyStore is what the keyring asks of its store for a thousand people
// at once, on a server that syncs every write. Values are as long as wrapped
// keys.
func BenchmarkKeyStore(b *testing.B) {
	k, err := stream.OpenKeyStore(b.Context(), natsdtest.JetStream(b, natsdtest.Start(b), natsd.Projector))
	if err != nil {
		b.Fatal(err)
	}
	round, value := 0, make([]byte, 140)
	entries := func(n int) (keys []string, puts []seal.Put) {
		round++
		for i := range n {
			key := fmt.Sprintf("k.acme.%032x", round<<32+i*7919)
			keys, puts = append(keys, key), append(puts, seal.Put{Key: key, Value: value})
		}
		return keys, puts
	}
	// Other work on the machine makes the time longer and leaves this alone.
	processor := func(b *testing.B, from time.Duration) {
		b.ReportMetric(float64((spent(b)-from).Microseconds())/float64(b.N), "cpu-µs/op")
	}
	for _, n := range []int{1, 100, 1000, 2000} {
		b.Run(fmt.Sprintf("create %d", n), func(b *testing.B) {
			b.ReportAllocs()
			defer processor(b, spent(b))
			for b.Loop() {
				_, puts := entries(n)
				if err := k.Create(b.Context(), "", puts...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, n := range []int{1, 1000, 2000} {
		b.Run(fmt.Sprintf("get %d", n), func(b *testing.B) {
			keys, puts := entries(n)
			if err := k.Create(b.Context(), "", puts...); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			defer processor(b, spent(b))
			for b.Loop() {
				if got, err := k.Get(b.Context(), keys...); err != nil || len(got) != n {
					b.Fatal(len(got), err)
				}
			}
		})
		b.Run(fmt.Sprintf("get none of %d", n), func(b *testing.B) {
			keys, _ := entries(n)
			b.ReportAllocs()
			defer processor(b, spent(b))
			for b.Loop() {
				if got, err := k.Get(b.Context(), keys...); err != nil || len(got) != 0 {
					b.Fatal(len(got), err)
				}
			}
		})
	}
}

// spent is the processor time of this process so far, client and server.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
