package guard

import (
	"context"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// TestCloseWaitsNoLongerThanItsContext: not for a publisher that is full either.
func TestCloseWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	nc := natsdtest.Connect(t, natsdtest.Start(t), natsd.Verifier)
	asked := make(chan struct{}, 1)
	publisher, err := stream.NewPublisher(stream.PublisherConfig{
		Conn: nc, Tenant: "acme", Environment: "test", Source: "https://orders.example", MaxPendingEvents: 1,
		Keys: func(ctx context.Context) (envelope.Set, error) { // nobody answers
			asked <- struct{}{}
			<-ctx.Done()
			return envelope.Set{}, ctx.Err()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	v := &Verifier{conn: nc, publisher: publisher, reports: NewAsync(publisher, 10, nil), Feed: feed.New(feed.Config{Conn: nc, PublicKey: feedtest.Public()})}
	v.start()
	for range 3 {
		v.reports.Report(events.Event{Type: events.TokenRejected, Data: events.Data{Outcome: "failure"}})
	}
	<-asked // the first is pending, and there is no place for the next
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	closed := make(chan error, 1)
	go func() { closed <- v.Close(ended) }()
	select {
	case err := <-closed:
		if err == nil || v.Dropped() != 3 {
			t.Errorf("dropped %d of 3: %v", v.Dropped(), err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for a place, although its context has ended")
	}
}
