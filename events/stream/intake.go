package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
)

// What the intake holds in memory, for each lane: pulled from the server and
// not yet looked at, and looked at and not yet taken by Next.
const (
	pullMessages = 2000
	pullBytes    = 8 << 20
	nextBytes    = 8 << 20 // one Next
)

// IntakeMessage is one message as it arrived. Its events are not decoded.
type IntakeMessage struct {
	Seq         uint64 // in the intake stream: unique beside Intake.Created
	Subject     string
	Message     events.Message // tenant and type as the subject says
	Redelivered bool           // it was delivered before, to us or to another
	Received    time.Time      // when the stream stored it

	ack func() error
}

// Ack says that the message is dealt with. It is not awaited: an
// acknowledgement that gets lost is a redelivery.
func (m *IntakeMessage) Ack() error {
	if err := m.ack(); err != nil {
		return fmt.Errorf("acknowledge stream=%s seq=%d: %w", IntakeStream, m.Seq, err)
	}
	return nil
}

func (m *IntakeMessage) size() int { return len(m.Message.Body) + len(m.Subject) }

// Intake reads what was published, control before access.
type Intake struct {
	created time.Time
	control *buffer[IntakeMessage]
	access  *buffer[IntakeMessage]
	added   chan struct{} // either buffer has something
	stop    context.CancelFunc
	pumps   sync.WaitGroup
}

// OpenIntake starts to read. What an earlier reader had taken and not
// acknowledged is delivered again at once. Close it; it outlives ctx, which
// bounds only the start.
func OpenIntake(ctx context.Context, js jetstream.JetStream) (*Intake, error) {
	s, err := js.Stream(ctx, IntakeStream)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", IntakeStream, err)
	}
	i := &Intake{created: s.CachedInfo().Created, added: make(chan struct{}, 1)}
	i.control = newBuffer(pullMessages, pullBytes, (*IntakeMessage).size, i.added)
	i.access = newBuffer(pullMessages, pullBytes, (*IntakeMessage).size, i.added)
	run, stop := context.WithCancel(context.Background())
	i.stop = stop
	for _, lane := range []struct {
		consumer string
		to       *buffer[IntakeMessage]
		skip     func(events.Type) bool
	}{
		{ControlConsumer, i.control, func(events.Type) bool { return false }},
		{AccessConsumer, i.access, isControl},
	} {
		if _, err := s.Consumer(ctx, lane.consumer); err != nil {
			i.Close()
			return nil, fmt.Errorf("open consumer %s of %s: %w", lane.consumer, IntakeStream, err)
		}
		p := pump{open: reopen(s, lane.consumer), receive: receiveInto(lane.to, lane.skip)}
		i.pumps.Go(func() { lane.to.fail(p.run(run)) })
	}
	return i, nil
}

// isControl reports whether the control consumer delivers events of type t.
func isControl(t events.Type) bool { return t.Known() && t.Lane() == events.Control }

// reopen opens a consumer and has delivered again, now, what was delivered and
// not acknowledged: to a reader that is gone, or over a connection that broke.
// Without it that would wait for the consumer's AckWait. Where the consumer is
// gone, so may messages be: that is for Ensure to mend and report.
func reopen(s jetstream.Stream, name string) func(context.Context) (jetstream.Consumer, error) {
	return func(ctx context.Context) (jetstream.Consumer, error) {
		_, err := s.ResetConsumer(ctx, name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, fatal{fmt.Errorf("consumer %s of %s: %w", name, IntakeStream, err)}
		}
		if err != nil {
			return nil, err
		}
		return s.Consumer(ctx, name)
	}
}

// receiveInto puts messages into b. Those that skip picks are delivered by the
// other consumer as well: they are acknowledged unread.
func receiveInto(b *buffer[IntakeMessage], skip func(events.Type) bool) func(context.Context, jetstream.Msg) error {
	return func(ctx context.Context, msg jetstream.Msg) error {
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		m := newIntakeMessage(msg, meta)
		if _, t, err := ParseEventSubject(m.Subject); err == nil && skip(t) {
			return m.ack()
		}
		return b.put(ctx, m)
	}
}

func newIntakeMessage(msg jetstream.Msg, meta *jetstream.MsgMetadata) IntakeMessage {
	tenant, t, _ := ParseEventSubject(msg.Subject()) // where it is malformed, the event disagrees and is refused
	header := msg.Headers()
	return IntakeMessage{
		Seq: meta.Sequence.Stream, Subject: msg.Subject(), Redelivered: meta.NumDelivered > 1, Received: meta.Timestamp,
		Message: events.Message{
			ContentType: contentType(header), Header: header, Body: msg.Data(), Tenant: tenant, Type: t,
		},
		ack: msg.Ack,
	}
}

// contentType is the header of that name in any case: the CloudEvents binding
// writes it small.
func contentType(h nats.Header) string {
	for name, values := range h {
		if len(values) > 0 && strings.EqualFold(name, "Content-Type") {
			return values[0]
		}
	}
	return ""
}

// Created is when the intake stream was created: a sequence means something
// only beside it.
func (i *Intake) Created() time.Time { return i.created }

// Next waits for a message and returns all that has arrived, at most max and
// about 8 MiB of them: first every control message, then access messages if
// there is room. Only one goroutine may call it.
func (i *Intake) Next(ctx context.Context, max int) ([]IntakeMessage, error) {
	for {
		out, err := i.control.take(nil, max, nextBytes)
		if err == nil && len(out) < max {
			out, err = i.access.take(out, max, nextBytes-sizeOf(out))
		}
		if len(out) > 0 || err != nil {
			return out, err
		}
		select {
		case <-i.added:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func sizeOf(ms []IntakeMessage) (n int) {
	for i := range ms {
		n += ms[i].size()
	}
	return n
}

// Close stops reading. Messages that were not acknowledged are delivered to
// whoever reads next.
func (i *Intake) Close() {
	i.stop()
	i.pumps.Wait()
}

// ErrClosed says that a reader was closed.
var ErrClosed = errors.New("closed")
