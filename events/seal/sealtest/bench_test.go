package sealtest_test

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

// BenchmarkSubjects is one batch of the intake on a real server: 1000 people
// who are all new, all in the store and not in the cache, all in the cache for
// longer than their time, or all in the cache.
func BenchmarkSubjects(b *testing.B) {
	server := natsdtest.Start(b)
	store, err := stream.OpenKeyStore(b.Context(), natsdtest.JetStream(b, server, natsd.Projector))
	if err != nil {
		b.Fatal(err)
	}
	kek, now := seal.GenerateKEK(), time.Now()
	open := func() *seal.Keyring {
		k, err := seal.NewKeyring(seal.Config{Store: store, Root: kek, Now: func() time.Time { return now }})
		if err != nil {
			b.Fatal(err)
		}
		return k
	}
	people, round := make([]seal.Person, 1000), 0
	subjects := func(k *seal.Keyring) {
		if _, err := k.Subjects(b.Context(), people); err != nil {
			b.Fatal(err)
		}
	}
	strangers := func() {
		round++
		for i := range people {
			people[i] = seal.Person{Tenant: "acme", Issuer: "https://issuer.example", Subject: fmt.Sprint(round, i)}
		}
	}
	strangers()
	subjects(open())
	warm := open()
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"new", func() { strangers(); subjects(warm) }},
		{"known", func() { subjects(open()) }},
		{"expired", func() { now = now.Add(30 * time.Second); subjects(warm) }},
		{"cached", func() { subjects(warm) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			subjects(warm)
			b.ReportAllocs()
			from := spent(b)
			for b.Loop() {
				c.do()
			}
			b.ReportMetric(float64((spent(b)-from).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// spent is the processor time of this process so far, client and server: other
// work on the machine leaves it alone.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
