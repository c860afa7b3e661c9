package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
)

// ErrShards says that the streams were made for another number of shards, or
// that it cannot be read from them.
var ErrShards = errors.New("the number of shards cannot be changed")

// shardsKey is the metadata of the first log that says how many there are. A
// log without it is the only one.
const shardsKey = "rescind-shards"

func (t Topology) shardsMetadata() map[string]string {
	if t.Shards == 1 {
		return nil
	}
	return map[string]string{shardsKey: strconv.Itoa(t.Shards)}
}

// ensureFirstLog makes the first log where there is none: with it the number of
// shards is decided, before anything else is made for it. Of two that make it
// at once for different numbers, one is refused.
func (t Topology) ensureFirstLog(ctx context.Context, js jetstream.JetStream) error {
	err := settle(ctx, func() error { _, err := js.CreateStream(ctx, t.log(0)); return err })
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return err
	}
	return CheckShards(ctx, js, t.Shards)
}

// Shards is how many logs tenants are split over, as Ensure has made them.
func Shards(ctx context.Context, js jetstream.JetStream) (int, error) {
	s, err := js.Stream(ctx, LogStream)
	if err != nil {
		return 0, fmt.Errorf("read shards from stream %s: %w", LogStream, err)
	}
	said, ok := s.CachedInfo().Config.Metadata[shardsKey]
	if !ok {
		return 1, nil
	}
	n, err := strconv.Atoi(said)
	if err != nil || n < 1 || n > events.MaxShards {
		return 0, fmt.Errorf("%w: metadata %s of stream %s is %.20q, want 1 to %d", ErrShards, shardsKey, LogStream, said, events.MaxShards)
	}
	return n, nil
}

// CheckShards returns an error that wraps ErrShards and says why where the
// streams were made for another number than n.
func CheckShards(ctx context.Context, js jetstream.JetStream, n int) error {
	made, err := Shards(ctx, js)
	if err != nil || made == n {
		return err
	}
	return fmt.Errorf("%w: the streams were made for shards: %d and the configuration says shards: %d. "+
		"A tenant's name and the number of shards say which log it is in: with another number tenants would go on in a log "+
		"without their past, and the indices, positions and proofs that were given out would name other records. "+
		"Set shards: %d; another number needs a deployment of its own, with its own NATS streams and ClickHouse database", ErrShards, made, n, made)
}
