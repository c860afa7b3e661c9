package stream

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// rewind has a consumer deliver all that is in the stream, from its start. What
// was delivered and not acknowledged, to a reader that is gone or over a
// connection that broke, need not wait for the AckWait then; and what was
// acknowledged is removed within a second, so that little of it is still there.
//
// The consumer's own state is not asked where to go on. It can be ahead of the
// stream: where that was restored from an older copy, or has lost its end, what
// is published next has sequences that the consumer has behind it, and would be
// skipped, or purged, in silence. Who reads knows what was dealt with.
func (i *Intake) rewind(ctx context.Context, c jetstream.Consumer) error {
	was := c.CachedInfo()
	now, err := i.stream.Info(ctx) // after the other: a consumer that is right is never ahead of it
	if err != nil {
		return err
	}
	if at := max(was.Delivered.Stream, was.AckFloor.Stream); at > now.State.LastSeq {
		i.log.Error("a consumer was ahead of its stream: reading the stream from its start",
			"stream", IntakeStream, "consumer", was.Name, "seq", at, "last", now.State.LastSeq)
	}
	_, err = i.stream.ResetConsumerToSequence(ctx, was.Name, 1)
	return err
}
