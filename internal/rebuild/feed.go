package rebuild

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/sleep"
	"github.com/rescindhq/rescind/projector/revoke"
)

// FeedConfig is what Feed needs. All of it is required but Progress.
type FeedConfig struct {
	// Operator is a connection that may delete and create streams.
	Operator *nats.Conn
	// Topology is that of the deployment.
	Topology stream.Topology
	// Revoker is how a writer of the feed is run, here until it has stored a
	// snapshot: a deployment whose own writer is down is rebuilt all the same.
	Revoker revoke.Config
	// Progress is told each step before it is done. nil is not called.
	Progress func(step string)
}

// snapshotObjects is the stream behind the bucket of snapshots.
const snapshotObjects = "OBJ_" + stream.SnapshotBucket

// settle is how long a writer may take to notice that the deltas are gone, and
// to give up a snapshot that it is storing: a heartbeat, and one request.
const settle = 7 * time.Second

// Feed makes deltas and snapshot anew. The writer that is at work finds the
// stream of deltas gone, and then one that it does not know: it recovers, finds
// neither delta nor snapshot, and reads the log. So do verifiers.
func Feed(ctx context.Context, cfg FeedConfig) error {
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	js, err := jetstream.New(cfg.Operator)
	if err != nil {
		return fmt.Errorf("rebuild feed: %w", err)
	}
	for _, step := range []struct {
		name string
		do   func(context.Context, jetstream.JetStream) error
	}{
		{"read the control lanes", func(ctx context.Context, _ jetstream.JetStream) error { return revoke.Check(ctx, cfg.Revoker) }},
		{"take the deltas away", removeDeltas},
		{"let the writer notice", func(ctx context.Context, _ jetstream.JetStream) error { return sleep.For(ctx, settle) }},
		{"take the snapshot away", removeSnapshot},
		{"make the stream of deltas", func(ctx context.Context, js jetstream.JetStream) error { return stream.Ensure(ctx, js, cfg.Topology) }},
		{"store a snapshot", func(ctx context.Context, js jetstream.JetStream) error { return cfg.store(ctx, js) }},
	} {
		cfg.Progress(step.name)
		if err := step.do(ctx, js); err != nil {
			return fmt.Errorf("rebuild feed: %s: %w", step.name, err)
		}
	}
	return nil
}

func removeDeltas(ctx context.Context, js jetstream.JetStream) error {
	err := js.DeleteStream(ctx, stream.RevocationsStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) { // an earlier run did
		return nil
	}
	return err
}

func removeSnapshot(ctx context.Context, js jetstream.JetStream) error {
	s, err := js.Stream(ctx, snapshotObjects)
	if err != nil {
		return err
	}
	return s.Purge(ctx)
}

// store runs a writer until there is a snapshot, its own or that of the one at
// work, and a delta behind which no writer has told of an older history.
func (c FeedConfig) store(ctx context.Context, js jetstream.JetStream) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- revoke.New(c.Revoker).Run(running) }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		there, err := stored(ctx, js)
		if there || err != nil {
			stop()
			return errors.Join(err, <-done)
		}
		select {
		case err := <-done:
			return errors.Join(errors.New("the writer stopped"), err, ctx.Err())
		case <-tick.C:
		}
	}
}

func stored(ctx context.Context, js jetstream.JetStream) (bool, error) {
	for _, name := range []string{snapshotObjects, stream.RevocationsStream} {
		s, err := js.Stream(ctx, name)
		if err != nil {
			return false, err
		}
		if s.CachedInfo().State.Msgs == 0 {
			return false, nil
		}
	}
	return true, nil
}
