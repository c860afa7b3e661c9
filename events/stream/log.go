package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
)

// ErrFenced says that another writer has appended since: nothing was written.
var ErrFenced = errors.New("another writer has appended to the log")

// ErrNotFound says that there is no such message.
var ErrNotFound = errors.New("no such message")

// Log is the ordered log of one shard.
type Log struct {
	js      jetstream.JetStream
	shard   uint16
	stream  string
	created time.Time
}

// LogMessage is one message of the log: a batch, not decoded.
type LogMessage struct {
	Seq  uint64
	Lane events.Lane
	Data []byte
	Time time.Time // when it was stored
}

func (m *LogMessage) size() int { return len(m.Data) }

// OpenLog opens the log of the first shard that Ensure made.
func OpenLog(ctx context.Context, js jetstream.JetStream) (*Log, error) {
	return OpenLogOf(ctx, js, 0)
}

// OpenLogOf opens the log of a shard that Ensure made.
func OpenLogOf(ctx context.Context, js jetstream.JetStream, shard uint16) (*Log, error) {
	name := LogStreamOf(shard)
	s, err := js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", name, err)
	}
	return &Log{js: js, shard: shard, stream: name, created: s.CachedInfo().Created}, nil
}

// OpenLogs opens the logs of n shards, in their order.
func OpenLogs(ctx context.Context, js jetstream.JetStream, n int) ([]*Log, error) {
	logs := make([]*Log, n)
	for k := range logs {
		var err error
		if logs[k], err = OpenLogOf(ctx, js, uint16(k)); err != nil {
			return nil, err
		}
	}
	return logs, nil
}

// Shard is the shard that this is the log of.
func (l *Log) Shard() uint16 { return l.shard }

// Stream is the name of its stream.
func (l *Log) Stream() string { return l.stream }

// Created is when the log was created: its identity, beside which sequences
// mean something.
func (l *Log) Created() time.Time { return l.created }

// Append writes data as the message after expectLast (0: as the first) and
// returns its sequence once it is durable. An error that wraps ErrFenced means
// that it was not written, as another message follows expectLast. After any
// other error it may have been written: ask Last.
func (l *Log) Append(ctx context.Context, lane events.Lane, data []byte, expectLast uint64) (uint64, error) {
	ack, err := l.js.Publish(ctx, LogSubjectOf(l.shard, lane), data,
		jetstream.WithExpectStream(l.stream), jetstream.WithExpectLastSequence(expectLast))
	switch {
	case wrongLast(err):
		return 0, fmt.Errorf("append stream=%s after=%d: %w", l.stream, expectLast, ErrFenced)
	case err != nil:
		return 0, fmt.Errorf("append stream=%s after=%d: %w", l.stream, expectLast, err)
	}
	return ack.Sequence, nil
}

// Last is the last message, or one with Seq 0 where the log is empty. It sees
// every Append that has returned.
func (l *Log) Last(ctx context.Context) (LogMessage, error) {
	return l.last(ctx, logPrefixOf(l.shard)+"*")
}

// LastOf is Last for one lane.
func (l *Log) LastOf(ctx context.Context, lane events.Lane) (LogMessage, error) {
	return l.last(ctx, LogSubjectOf(l.shard, lane))
}

func (l *Log) last(ctx context.Context, subject string) (LogMessage, error) {
	m, err := l.get(ctx, get{LastFor: subject})
	if errors.Is(err, ErrNotFound) {
		return LogMessage{}, nil
	}
	return m, err
}

// Get is the message with the given sequence, or an error that wraps
// ErrNotFound. It sees every Append that has returned.
func (l *Log) Get(ctx context.Context, seq uint64) (LogMessage, error) {
	if seq == 0 { // to the server it would mean: not said
		return LogMessage{}, fmt.Errorf("get stream=%s seq=0: %w", l.stream, ErrNotFound)
	}
	return l.get(ctx, get{Seq: seq})
}

func (l *Log) get(ctx context.Context, g get) (LogMessage, error) {
	m, err := g.from(ctx, l.js, l.stream)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return LogMessage{}, fmt.Errorf("get stream=%s seq=%d: %w", l.stream, g.Seq, ErrNotFound)
	}
	if err != nil {
		return LogMessage{}, err
	}
	return LogMessage{Seq: m.Seq, Lane: parseLogSubject(m.Subject), Data: m.Data, Time: m.Time}, nil
}
