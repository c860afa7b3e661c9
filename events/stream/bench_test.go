package stream_test

import (
	"fmt"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// Events that are durable in the intake, every write synced.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{1, 100, 500} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := natsdtest.Start(b)
			p, err := stream.NewPublisher(stream.PublisherConfig{
				Conn: natsdtest.Connect(b, s, natsd.Issuer), Tenant: "acme", Environment: "dev", Source: "https://id.example",
			})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = p.Close(b.Context()) })
			evs := make([]events.Event, size)
			for i := range evs {
				evs[i] = issued("") // given an id each time
			}
			for b.Loop() {
				if err := p.Publish(b.Context(), evs...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
