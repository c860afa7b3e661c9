package stream

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// resume has a consumer deliver again what was delivered and not acknowledged.
//
// A consumer can be ahead of its stream: where that was restored from an older
// copy, or has lost its end. What is published next has sequences that such a
// consumer has behind it, and would be skipped, and purged, in silence. So it is
// set back to the start of the stream, and delivers all that is there: whoever
// reads knows what was dealt with.
func (i *Intake) resume(ctx context.Context, c jetstream.Consumer, d *dealt) error {
	was := c.CachedInfo()
	now, err := i.stream.Info(ctx) // after the other: a consumer that is right is never ahead of it
	if err != nil {
		return err
	}
	start := uint64(0) // where it was
	if at := max(was.Delivered.Stream, was.AckFloor.Stream); at > now.State.LastSeq {
		i.log.Error("a consumer was ahead of its stream: reading the stream from its start",
			"stream", IntakeStream, "consumer", was.Name, "seq", at, "last", now.State.LastSeq)
		start = 1
	}
	is, err := i.stream.ResetConsumerToSequence(ctx, was.Name, start)
	if err != nil {
		return err
	}
	d.delivered(is.AckFloor.Stream)
	return nil
}
