package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
)

// ErrLogReplaced says that the log is another one than it was when it was
// opened, or has lost messages that were read: positions in it mean nothing
// any more.
var ErrLogReplaced = errors.New("the log was replaced or rolled back")

// errGap says that the server left out a delivery: the reader asks again from
// the last message that it has.
var errGap = errors.New("a delivery is missing")

// Reader reads the log in order.
type Reader struct {
	log   *Log
	lanes []string // filter subjects; none for all
	buf   *buffer[LogMessage]
	stop  context.CancelFunc
	done  sync.WaitGroup

	// Of the pump's goroutine.
	next      uint64 // the sequence to ask from
	delivered uint64 // deliveries of the present consumer
}

// Read starts to read at sequence from (0 and 1: from the beginning), from the
// given lanes or from all. Close the reader. It outlives ctx, which bounds only
// the start.
func (l *Log) Read(ctx context.Context, from uint64, lanes ...events.Lane) (*Reader, error) {
	r := &Reader{log: l, next: max(from, 1)}
	for _, lane := range lanes {
		r.lanes = append(r.lanes, LogSubjectOf(l.shard, lane))
	}
	if err := r.check(ctx); err != nil {
		return nil, fmt.Errorf("read stream=%s from=%d: %w", l.stream, from, err)
	}
	r.buf = newBuffer(pullMessages, pullBytes, (*LogMessage).size, make(chan struct{}, 1))
	run, stop := context.WithCancel(context.Background())
	r.stop = stop
	p := pump{conn: l.js.Conn(), open: r.consumer, receive: r.receive}
	r.done.Go(func() { r.buf.fail(p.run(run)) })
	return r, nil
}

// check says whether the log is still the one that was opened. A consumer that
// starts beyond the end of a replaced log would wait and say nothing.
func (r *Reader) check(ctx context.Context) error {
	s, err := r.log.js.Stream(ctx, r.log.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fatal{fmt.Errorf("stream=%s is gone: %w", r.log.stream, ErrLogReplaced)}
	}
	if err != nil {
		return err
	}
	switch info := s.CachedInfo(); {
	case !info.Created.Equal(r.log.created):
		return fatal{fmt.Errorf("stream=%s was created again: %w", r.log.stream, ErrLogReplaced)}
	case info.State.LastSeq+1 < r.next:
		return fatal{fmt.Errorf("stream=%s last=%d want=%d: %w", r.log.stream, info.State.LastSeq, r.next-1, ErrLogReplaced)}
	case info.State.Msgs > 0 && r.next < info.State.FirstSeq:
		return fatal{fmt.Errorf("stream=%s first=%d want=%d: %w", r.log.stream, info.State.FirstSeq, r.next, ErrLogReplaced)}
	}
	return nil
}

// consumer makes a consumer that continues behind the last message received.
func (r *Reader) consumer(ctx context.Context) (jetstream.Consumer, error) {
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	r.delivered = 0
	return r.log.js.CreateConsumer(ctx, r.log.stream, jetstream.ConsumerConfig{
		FilterSubjects: r.lanes, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.next,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: 30 * time.Second,
	})
}

func (r *Reader) receive(ctx context.Context, msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	r.delivered++
	switch seq := meta.Sequence; {
	case seq.Consumer != r.delivered || seq.Stream < r.next:
		return errGap
	case len(r.lanes) == 0 && seq.Stream != r.next && r.delivered > 1:
		return errGap
	case len(r.lanes) == 0 && seq.Stream != r.next: // asked anew, and still not there
		return fatal{fmt.Errorf("stream=%s seq=%d: missing: %w", r.log.stream, r.next, ErrLogReplaced)}
	}
	m := LogMessage{Seq: meta.Sequence.Stream, Lane: parseLogSubject(msg.Subject()), Data: msg.Data(), Time: meta.Timestamp}
	if err := r.buf.put(ctx, m); err != nil {
		return err // there was no room before the connection broke: it is asked for again
	}
	r.next = m.Seq + 1
	return nil
}

// Next waits for a message and returns all that is there now, in order, at most
// maxBytes of data (one message always passes). After Close it returns what was
// received and then ErrClosed. Only one goroutine may call it.
func (r *Reader) Next(ctx context.Context, maxBytes int) ([]LogMessage, error) {
	for {
		out, err := r.buf.take(nil, pullMessages, maxBytes)
		if len(out) > 0 || err != nil {
			return out, err
		}
		select {
		case <-r.buf.added:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Close stops reading.
func (r *Reader) Close() {
	r.stop()
	r.done.Wait()
}
