package crash_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/crash"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/workload"
)

// TestBacklogOverASlowWire: who takes over finds more waiting than the wire
// brings within a term, and has to renew the lock and to fetch keys behind it.
func TestBacklogOverASlowWire(t *testing.T) {
	t.Parallel()
	const many = 40_000
	s := crash.NewSite(t, crash.Options{Latency: 10 * time.Millisecond, Copies: 2})
	pub, err := stream.NewPublisher(stream.PublisherConfig{Conn: s.Beside(natsd.API), Environment: "crash"})
	if err != nil {
		t.Fatal(err)
	}
	gen := workload.New(workload.Config{Seed: 1, Subjects: 500, Environment: "crash"})
	for range many {
		if err := pub.Queue(t.Context(), gen.Next()); err != nil {
			t.Fatal(err)
		}
	}
	s.Role("intake-1").Kill()
	if err := pub.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Role("intake-2").Kill()
	s.Await("every event in its place", func() error {
		var n uint64
		if err := s.Database().QueryRow(t.Context(), "SELECT count() FROM events WHERE NOT startsWith(source, 'rescind:')").Scan(&n); err != nil || n < many {
			return fmt.Errorf("%d events of %d: %v", n, many, err)
		}
		return nil
	})
}
