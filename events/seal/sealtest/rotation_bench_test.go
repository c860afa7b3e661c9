package sealtest_test

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

var crowd = flag.Int("crowd", 10_000, "people of BenchmarkRotation")

// BenchmarkRotation makes the keys of a crowd on a real server that syncs every
// write, and takes them to the next epoch, as fast as that goes and at the share
// of time that is the default. Per entry; each person has two.
func BenchmarkRotation(b *testing.B) {
	dir := b.TempDir()
	store := keyStore(b, natsdtest.StartIn(b, natsd.Config{Dir: dir}), natsd.Projector)
	now := time.Unix(1_800_000_000, 0)
	ring, err := seal.NewKeyring(seal.Config{Store: store, Root: new(sealtest.MemoryRoot), CacheSubjects: 2, Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	began, from := time.Now(), spent(b)
	for first := 0; first < *crowd; first += 1000 {
		people := make([]seal.Person, min(1000, *crowd-first))
		for i := range people {
			people[i] = seal.Person{Tenant: "acme", Issuer: "https://issuer.example", Subject: fmt.Sprint("user-", first+i)}
		}
		if _, err := ring.Subjects(b.Context(), people); err != nil {
			b.Fatal(err)
		}
	}
	made, entries := time.Since(began), float64(2**crowd)
	b.Logf("made %d people: %.0f entries/s, %.1f µs of processor an entry, %.0f bytes a person on disk",
		*crowd, entries/made.Seconds(), float64((spent(b)-from).Microseconds())/entries, float64(size(b, dir))/float64(*crowd))
	for _, share := range []int{100, 25} {
		b.Run(fmt.Sprintf("share %d %%", share), func(b *testing.B) {
			r, err := seal.NewRotation(seal.RotationConfig{
				Keyring: ring, Revisions: store, Share: share, Logger: slog.New(slog.DiscardHandler),
				Lock: func(ctx context.Context) (context.Context, func(), error) { return ctx, func() {}, nil },
			})
			if err != nil {
				b.Fatal(err)
			}
			from := spent(b)
			for b.Loop() {
				now = now.Add(8 * 24 * time.Hour)
				if err := r.Turn(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			n := entries * float64(b.N)
			b.ReportMetric(n/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(float64((spent(b)-from).Nanoseconds())/n/1e3, "cpu-µs/entry")
			b.ReportMetric(float64(size(b, dir))/float64(*crowd), "disk-B/person")
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapAlloc)/float64(*crowd), "heap-B/person")
		})
	}
}

// size is how many bytes the files under dir have.
func size(b *testing.B, dir string) (n int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return ignoreMissing(err)
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return ignoreMissing(err)
	})
	if err != nil && !os.IsNotExist(err) {
		b.Fatal(err)
	}
	return n
}
