package stream_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// TestAnchor finds the same log the same, also where many look first at once,
// and another one another, until somebody says that it is meant to be.
func TestAnchor(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	js, operator := natsdtest.JetStream(t, s, natsd.Projector), natsdtest.JetStream(t, s, natsd.Operator)
	anchor := func() error { return stream.Anchor(t.Context(), js, stream.LogStream) }
	var first sync.WaitGroup
	for range 8 {
		first.Go(func() {
			if err := anchor(); err != nil {
				t.Errorf("of a new log: %v", err)
			}
		})
	}
	first.Wait()
	if err := operator.DeleteStream(t.Context(), stream.LogStream); err != nil {
		t.Fatal(err)
	}
	if err := stream.Ensure(t.Context(), operator, stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := anchor(); !errors.Is(err, stream.ErrLogReplaced) {
			t.Errorf("of a log that was made anew: %v", err)
		}
	}
	locks, err := operator.Stream(t.Context(), stream.LocksStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := locks.Purge(t.Context(), jetstream.WithPurgeSubject("rescind.lock."+stream.LogStream)); err != nil {
		t.Fatal(err)
	}
	if err := anchor(); err != nil {
		t.Errorf("of a log that is meant to be another: %v", err)
	}
}
