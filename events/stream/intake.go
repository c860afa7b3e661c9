package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
)

// IntakeMessage is one message as it arrived. Its events are not decoded.
type IntakeMessage struct {
	Seq         uint64         // in the intake stream: unique beside Intake.Created
	Subject     string         // that it was published on
	Message     events.Message // tenant and type as the subject says
	Service     bool           // one of our own services published it, in its own name
	Redelivered bool           // it was delivered before; false says nothing after the intake was opened anew
	Received    time.Time      // when the stream stored it
	After       uint64         // of access: the last control message stored before it is not beyond this; 0 for none
	Behind      uint64         // how many of its consumer were waiting behind it when it was delivered

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

// Intake reads what was published of one shard, each lane for itself, and
// empties the stream of what was dealt with.
type Intake struct {
	conn     *nats.Conn
	stream   jetstream.Stream
	shard    uint16
	subjects []string // that hold its messages
	created  time.Time
	last     uint64
	log      *slog.Logger
	left     left
	emptied  uint64 // the stream begins behind it; of the goroutine that empties
	dealt    dealtByLane
	stall    stall         // of the goroutine that empties
	patience time.Duration // how long a message that is held may keep others in the stream
	control  *buffer[IntakeMessage]
	access   *buffer[IntakeMessage]
	stop     context.CancelFunc
	pumps    sync.WaitGroup
}

// OpenIntake starts to read what is of the first shard. What an earlier reader
// had taken and not acknowledged is delivered again at once. Close it; it
// outlives ctx, which bounds only the start.
func OpenIntake(ctx context.Context, js jetstream.JetStream) (*Intake, error) {
	return OpenIntakeWith(ctx, js, IntakeConfig{})
}

// OpenIntakeWith is OpenIntake with a configuration.
func OpenIntakeWith(ctx context.Context, js jetstream.JetStream, cfg IntakeConfig) (*Intake, error) {
	cfg = cfg.withDefaults()
	s, err := js.Stream(ctx, IntakeStream)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", IntakeStream, err)
	}
	controlName, accessName := consumerOf(ControlConsumer, cfg.Shard), consumerOf(AccessConsumer, cfg.Shard)
	control, err := s.Consumer(ctx, controlName)
	if err != nil {
		return nil, fmt.Errorf("open consumer %s of %s: %w", controlName, IntakeStream, err)
	}
	access, err := s.Consumer(ctx, accessName)
	if err != nil {
		return nil, fmt.Errorf("open consumer %s of %s: %w", accessName, IntakeStream, err)
	}
	i := &Intake{conn: js.Conn(), stream: s, shard: cfg.Shard, subjects: access.CachedInfo().Config.FilterSubjects, created: s.CachedInfo().Created, last: s.CachedInfo().State.LastSeq, patience: cfg.HeldFor, log: cfg.Log}
	i.control = newBuffer(pullMessages, pullBytes, (*IntakeMessage).size, make(chan struct{}, 1))
	i.access = newBuffer(pullMessages, pullBytes, (*IntakeMessage).size, make(chan struct{}, 1))
	run, stop := context.WithCancel(context.Background())
	i.stop = stop
	i.follow(run, controlName, i.control, func(string) bool { return false })
	i.follow(run, accessName, i.access, deliveredBy(control.CachedInfo().Config.FilterSubjects))
	i.pumps.Go(func() { i.empty(run) })
	return i, nil
}

// follow puts what a consumer delivers into b until run ends. What skip picks
// is delivered by the other consumer as well, and left to it.
func (i *Intake) follow(run context.Context, consumer string, b *buffer[IntakeMessage], skip func(subject string) bool) {
	p := pump{conn: i.conn, open: i.reopen(consumer, b), receive: func(ctx context.Context, msg jetstream.Msg) error {
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		i.dealtOf(b).delivered(meta.Sequence.Stream)
		if skip(msg.Subject()) {
			i.left.add(meta.Sequence.Stream, msg)
			return nil
		}
		m := newIntakeMessage(msg, meta)
		m.ack = i.dealtOf(b).acknowledges(m.Seq, m.ack)
		if b == i.access {
			m.After = i.left.before(m.Seq)
		}
		return b.put(ctx, m)
	}}
	i.pumps.Go(func() { b.fail(p.run(run)) })
}

// deliveredBy reports whether one of filters, each an EventSubject of any
// tenant, matches a subject. The filters are the server's, not those that this
// version would set: what they do not match must not be skipped.
func deliveredBy(filters []string) func(subject string) bool {
	names := make(map[string]bool, len(filters))
	for _, f := range filters {
		if name, ok := strings.CutPrefix(published(f), eventPrefix+"*."); ok {
			names[name] = true
		}
	}
	return func(subject string) bool {
		_, name, _ := strings.Cut(strings.TrimPrefix(published(subject), eventPrefix), ".")
		return names[name]
	}
}

// reopen opens a consumer and has delivered again, now, what was delivered and
// not acknowledged: to a reader that is gone, or over a connection that broke.
// Without it that would wait for the consumer's AckWait. What b holds would
// come twice and is dropped. A consumer that is gone, and a stream that was
// made anew, are for Ensure and a new start.
func (i *Intake) reopen(name string, b *buffer[IntakeMessage]) func(context.Context) (jetstream.Consumer, error) {
	return func(ctx context.Context) (jetstream.Consumer, error) {
		ctx, cancel := context.WithTimeout(ctx, requestWait)
		defer cancel()
		if err := i.check(ctx); err != nil {
			return nil, err
		}
		c, err := i.stream.Consumer(ctx, name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, fatal{fmt.Errorf("consumer %s of %s: %w", name, IntakeStream, err)}
		}
		if err != nil {
			return nil, err
		}
		b.clear()
		i.dealtOf(b).forget()
		if b == i.access {
			i.left.clear()
		}
		return c, i.resume(ctx, c, i.dealtOf(b))
	}
}

// check says whether the stream is still the one that was opened.
func (i *Intake) check(ctx context.Context) error {
	info, err := i.stream.Info(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fatal{fmt.Errorf("stream=%s is gone: %w", IntakeStream, ErrIntakeReplaced)}
	case err != nil:
		return err
	case !info.Created.Equal(i.created):
		return fatal{fmt.Errorf("stream=%s was created again: %w", IntakeStream, ErrIntakeReplaced)}
	}
	return nil
}

func newIntakeMessage(msg jetstream.Msg, meta *jetstream.MsgMetadata) IntakeMessage {
	subject := published(msg.Subject())
	tenant, t, _ := ParseEventSubject(subject) // where it is malformed, the event disagrees and is refused
	header := msg.Headers()
	return IntakeMessage{
		Seq: meta.Sequence.Stream, Subject: subject, Service: fromService(subject), Redelivered: meta.NumDelivered > 1, Received: meta.Timestamp, Behind: meta.NumPending,
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

// Last is the highest sequence that the stream had given when it was opened.
func (i *Intake) Last() uint64 { return i.last }

// Next waits for a message of a lane and returns all of that lane that has
// arrived, at most 2,000 and maxBytes of them (one message always passes). Only
// one goroutine may call it for a lane. An error other than that of ctx is for
// good: close the Intake.
func (i *Intake) Next(ctx context.Context, lane events.Lane, maxBytes int) ([]IntakeMessage, error) {
	b := i.lane(lane)
	for {
		out, err := b.take(nil, pullMessages, maxBytes)
		if len(out) > 0 || err != nil {
			return out, err
		}
		select {
		case <-b.added:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (i *Intake) lane(lane events.Lane) *buffer[IntakeMessage] {
	if lane == events.Control {
		return i.control
	}
	return i.access
}

// Oldest is when the stream stored the oldest message that has arrived and was
// not taken by Next; zero where there is none.
func (i *Intake) Oldest() (at time.Time) {
	for _, b := range []*buffer[IntakeMessage]{i.control, i.access} {
		if m, ok := b.front(); ok && (at.IsZero() || m.Received.Before(at)) {
			at = m.Received
		}
	}
	return at
}

// Close stops reading, and empties the stream of what was dealt with, where the
// server answers within a second. Messages that were not acknowledged are delivered to whoever
// reads next.
func (i *Intake) Close() {
	i.stop()
	i.pumps.Wait()
}

// ErrIntakeReplaced says that the intake stream is not the one that was opened:
// its sequences mean other messages.
var ErrIntakeReplaced = errors.New("the intake stream was replaced")

// ErrClosed says that a reader was closed.
var ErrClosed = errors.New("closed")
