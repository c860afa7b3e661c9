package stream_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope/envelopetest"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/workload"
)

// Events that are durable in the intake, every write synced.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{1, 100, 500} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := benchPublisher(b)
			evs := manyIssued(size)
			perEvent(b, size, func() error { return p.Publish(b.Context(), evs...) })
		})
	}
}

// The same through Queue, with a Flush now and then: what an application that
// never waits for one event costs.
func BenchmarkQueue(b *testing.B) {
	const size = 20_000
	p := benchPublisher(b)
	evs := manyIssued(size)
	perEvent(b, size, func() error {
		for _, ev := range evs {
			if err := p.Queue(b.Context(), ev); err != nil {
				return err
			}
		}
		return p.Flush(b.Context())
	})
}

// manyIssued is n events that an issuer may publish, without an id: they are
// given one each time.
func manyIssued(n int) []events.Event {
	evs := workload.New(workload.Config{}).Batch(n)
	for i := range evs {
		evs[i].ID, evs[i].Type = "", events.TokenIssued
	}
	return evs
}

func benchPublisher(b *testing.B) *stream.Publisher {
	s := natsdtest.Start(b)
	p, err := stream.NewPublisher(stream.PublisherConfig{
		Conn: natsdtest.Connect(b, s, natsd.Issuer), Tenant: "acme", Environment: "dev", Source: "https://id.example", Keys: envelopetest.New(b).Set,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close(b.Context()) })
	return p
}

// perEvent reports what one of size events costs: processor time is that of
// the whole process, the server's among it.
func perEvent(b *testing.B, size int, do func() error) {
	b.Helper()
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		if err := do(); err != nil {
			b.Fatal(err)
		}
	}
	n := float64(size * b.N)
	b.ReportMetric(n/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/n, "cpu-ns/event")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
