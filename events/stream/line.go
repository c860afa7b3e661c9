package stream

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/internal/sleep"
)

// attemptWait is how long the server may take to answer one message: at first
// little, so that an answer that got lost is soon asked for again.
func attemptWait(failures int) time.Duration {
	return min(time.Second<<min(failures, 3), requestWait)
}

// headerBytes is what the headers of one of our messages take at most.
const headerBytes = 1 << 10

// kind is what all events of a message share.
type kind struct {
	tenant  string
	t       events.Type
	service bool // they are our own services'
}

func kindOf(ev *events.Event) kind { return kind{ev.Tenant, ev.Type, events.OwnSource(ev.Source)} }

func (k kind) subject() string {
	if k.service {
		return ServiceSubject(k.tenant, k.t)
	}
	return EventSubject(k.tenant, k.t)
}

// line is the events that wait to be sent on one subject, oldest first. One
// goroutine sends them, message by message, or several where their order does
// not matter.
type line struct {
	kind
	subject string
	full    chan struct{} // a signal: there is enough for a message

	// Under the publisher's mutex.
	items   []*item
	senders int
}

// enqueue checks ev, which it stands for, and gives it a place in its line,
// waiting for one while the publisher holds as much as it may.
func (p *Publisher) enqueue(ctx context.Context, it *item, ev *events.Event) error {
	if err := p.encode(it, ev); err != nil {
		return err
	}
	return p.enter(ctx, kindOf(ev), it)
}

// enqueueAll is enqueue for items, and reports those that have no place. What can
// share a message enters its line at once: a sender that finds the first of them
// alone would send it alone.
func (p *Publisher) enqueueAll(ctx context.Context, items []*item) {
	var next together
	enter := func() {
		if len(next.items) == 0 {
			return
		}
		if err := p.enter(ctx, next.kind, next.items...); err != nil {
			report(next.items, err)
		}
		next = together{items: next.items[:0]}
	}
	for _, it := range byKind(items) {
		if err := p.encode(it, it.ev); err != nil {
			report([]*item{it}, err)
			continue
		}
		k := kindOf(it.ev)
		if !next.takes(k, it, min(p.cfg.BatchEvents, p.cfg.MaxPendingEvents), p.maxMessage()) {
			enter()
		}
		next.add(k, it)
	}
	enter()
}

// byKind is items with those of a kind behind each other, in the order they are
// in: what alternates would not share messages.
func byKind(items []*item) []*item {
	at := make(map[kind]int)
	for _, it := range items {
		if k := kindOf(it.ev); at[k] == 0 {
			at[k] = len(at) + 1
		}
	}
	if len(at) < 2 {
		return items
	}
	return slices.SortedStableFunc(slices.Values(items), func(a, b *item) int { return at[kindOf(a.ev)] - at[kindOf(b.ev)] })
}

// together is events that can share a message.
type together struct {
	kind
	items []*item
	bytes int
}

func (t *together) takes(k kind, it *item, maxItems, maxBytes int) bool {
	return len(t.items) == 0 || t.kind == k && len(t.items) < maxItems && t.bytes+len(it.raw)+events.PerProtobufEvent <= maxBytes
}

func (t *together) add(k kind, it *item) {
	t.kind, t.items, t.bytes = k, append(t.items, it), t.bytes+len(it.raw)+events.PerProtobufEvent
}

// enter gives items places in the line of k, waiting for them.
func (p *Publisher) enter(ctx context.Context, k kind, items ...*item) error {
	if err := p.places.Acquire(ctx, int64(len(items))); err != nil {
		return err
	}
	if err := p.bytes.Acquire(ctx, weight(items)); err != nil {
		p.places.Release(int64(len(items)))
		return err
	}
	if !p.append(k, items) {
		p.free(items...)
		return ErrClosed
	}
	return nil
}

// encode refuses an event that the intake would refuse for what is in it: it
// never leaves the process.
func (p *Publisher) encode(it *item, ev *events.Event) error {
	if r := p.policy.Validate(ev, time.Now()); r != nil {
		return r
	}
	if events.OwnSource(ev.Source) && !p.cfg.Service {
		return &events.Refusal{ID: ev.ID, Source: ev.Source, Reason: events.ReasonReserved, Detail: events.DetailOwnSource}
	}
	scratch := p.scratch.Get().(*[]byte)
	defer p.scratch.Put(scratch)
	b, err := events.AppendProtobuf((*scratch)[:0], ev)
	if err != nil {
		return &events.Refusal{Reason: events.ReasonSchema, Detail: "data.personal cannot be written as JSON"}
	}
	*scratch, it.raw = b, slices.Clone(b) // no larger than MaxPendingBytes counts it
	if limit := p.maxMessage() - events.PerProtobufEvent; len(it.raw) > limit {
		return &events.Refusal{Reason: events.ReasonTooLarge, Detail: fmt.Sprintf("the event has %d bytes: the limit is %d", len(it.raw), limit)}
	}
	return nil
}

// maxMessage is how large a body may be before it is encrypted: by our own
// rules, and the server's.
func (p *Publisher) maxMessage() int {
	limit := events.MaxMessageBytes
	if server := int(p.cfg.Conn.MaxPayload()) - headerBytes; server > 0 {
		limit = min(limit, envelope.PlainLimit(server))
	}
	return limit
}

// free gives back the places of items, which are on no line.
func (p *Publisher) free(items ...*item) {
	p.bytes.Release(weight(items))
	p.places.Release(int64(len(items)))
}

func weight(items []*item) (sum int64) {
	for _, it := range items {
		sum += it.weight()
	}
	return sum
}

// append reports false where the publisher is closed.
func (p *Publisher) append(k kind, items []*item) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	l, ok := p.lines[k]
	if !ok {
		l = &line{kind: k, subject: k.subject(), full: make(chan struct{}, 1)}
		p.lines[k] = l
	}
	l.items = append(l.items, items...)
	if len(l.items) >= p.cfg.BatchEvents {
		signal(l.full)
	}
	if l.senders == 0 || l.senders < p.cfg.Abreast && len(l.items) >= p.cfg.BatchEvents {
		l.senders++
		p.sending.Go(func() { p.send(l) })
	}
	return true
}

// send empties l, message by message, and ends when nothing is left.
func (p *Publisher) send(l *line) {
	for {
		p.linger(l)
		batch := p.take(l)
		if len(batch) == 0 {
			return
		}
		err := p.deliver(l.subject, batch)
		p.free(batch...)
		report(batch, err)
	}
}

// linger gives others time to share the next message of l.
func (p *Publisher) linger(l *line) {
	if p.cfg.Linger == 0 {
		return
	}
	t := time.NewTimer(p.cfg.Linger)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.full:
	case <-p.run.Done():
	}
}

// take removes the next message's events from l. Where there are none its sender
// ends, and l with the last of them.
func (p *Publisher) take(l *line) []*item {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, limit, size := 0, p.maxMessage(), 0
	for n < len(l.items) && n < p.cfg.BatchEvents {
		if size += len(l.items[n].raw) + events.PerProtobufEvent; n > 0 && size > limit {
			break
		}
		n++
	}
	batch := l.items[:n:n]
	l.items = l.items[n:]
	if len(l.items) < p.cfg.BatchEvents {
		unsignal(l.full) // it was said of events that are gone: the rest may linger
	}
	if n > 0 {
		return batch
	}
	if l.senders--; l.senders == 0 {
		delete(p.lines, l.kind)
	}
	return nil
}

// deliver publishes batch, again and again under one id, until the server has
// stored it, refuses it, or the time is up.
func (p *Publisher) deliver(subject string, batch []*item) error {
	if err := p.senders.Acquire(p.run, 1); err != nil {
		return fmt.Errorf("%w: %w", ErrUnconfirmed, ErrClosed)
	}
	defer p.senders.Release(1)
	room := p.bodies.Get().(*[]byte)
	defer p.bodies.Put(room)
	out := p.outgoing(subject, batch, (*room)[:0])
	*room = out.plain
	giveUp := time.Now().Add(p.cfg.RetryFor)
	for failures := 0; ; failures++ {
		err := p.attempt(out, attemptWait(failures))
		switch {
		case err == nil:
			return nil
		case permanent(err):
			return err
		case p.run.Err() != nil:
			return fmt.Errorf("%w: %w: %w", ErrUnconfirmed, ErrClosed, err)
		case time.Now().After(giveUp):
			return fmt.Errorf("%w within %s: %w", ErrUnconfirmed, p.cfg.RetryFor, err)
		}
		p.cfg.Log.Warn("publish again", "stream", IntakeStream, "count", len(batch), "attempt", failures+1, "err", err)
		if err := sleep.Backoff(p.run, failures+3); err != nil {
			return fmt.Errorf("%w: %w", ErrUnconfirmed, ErrClosed)
		}
	}
}

// outgoing is a message on its way.
type outgoing struct {
	plain []byte    // what is encrypted
	msg   *nats.Msg // with the body encrypted to the key of that id
	to    string
}

// outgoing is one message of a batch. Its id is a keyed hash of all of it before
// it is encrypted, so that the server drops the second of two attempts and
// nothing else, although their bytes differ where it was encrypted anew: it
// compares ids alone, and both open to the same. An event that comes again under
// its id with other content is for the intake to see. Without a key the hash
// would let whoever has the disk test guesses. What is encrypted is in room,
// where that suffices.
func (p *Publisher) outgoing(subject string, batch []*item, room []byte) *outgoing {
	raws := make([][]byte, len(batch))
	for i, it := range batch {
		raws[i] = it.raw
	}
	out := &outgoing{plain: events.AppendJoined(room, raws), msg: nats.NewMsg(subject)}
	mac := hmac.New(sha256.New, p.idKey[:])
	mac.Write(out.plain)
	out.msg.Header.Set("Content-Type", envelope.ContentType)
	out.msg.Header.Set(jetstream.MsgIDHeader, hex.EncodeToString(mac.Sum(nil)[:16]))
	return out
}

// seal encrypts out to the key for what is sent now, unless it is already.
func (p *Publisher) seal(out *outgoing) error {
	k, err := p.sealer.key(p.run)
	if err != nil || k.ID == out.to {
		return err
	}
	body, err := envelope.Seal(k, events.ContentTypeProtobufBatch, out.plain)
	if err != nil {
		return final{err}
	}
	out.msg.Data, out.to = body, k.ID
	return nil
}

// attempt encrypts and publishes out once. While there is no connection it does
// not hand it to the client library, which would keep it beside our own bound.
func (p *Publisher) attempt(out *outgoing, wait time.Duration) error {
	if !p.cfg.Conn.IsConnected() {
		if p.cfg.Conn.IsClosed() {
			return final{nats.ErrConnectionClosed}
		}
		return nats.ErrDisconnected
	}
	if err := p.seal(out); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.run, wait)
	defer cancel()
	_, err := p.js.PublishMsg(ctx, out.msg, jetstream.WithExpectStream(IntakeStream), jetstream.WithRetryAttempts(0))
	if err != nil && p.denied(out.msg.Subject) {
		return final{fmt.Errorf("publish to the intake: %w", ErrNotPermitted)}
	}
	return err
}

// denied reports whether the server has said that we may not publish on
// subject. It says so beside the request, which just stays without an answer.
func (p *Publisher) denied(subject string) bool {
	err := p.cfg.Conn.LastError()
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), `"`+subject+`"`)
}

// final marks an error that another attempt cannot mend.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// What the server says of itself although it sounds like the message's fault.
const (
	errCodeAccountFull jetstream.ErrorCode = 10002 // the account has no room: until something is removed
	errCodeInProcess   jetstream.ErrorCode = 10158 // with replicas, where an attempt before is not decided yet
)

// permanent reports whether the message will never be accepted as it is: the
// server has judged it, and not its own state.
func permanent(err error) bool {
	var f final
	var api *jetstream.APIError
	return errors.As(err, &f) || errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) ||
		errors.As(err, &api) && api.Code >= 400 && api.Code < 500 && api.Code != 408 && api.Code != 429 &&
			api.ErrorCode != errCodeAccountFull && api.ErrorCode != errCodeInProcess
}
