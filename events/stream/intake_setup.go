package stream

import (
	"cmp"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/envelope"
)

// intake is the stream that events are published to. Its readers empty it of
// what was dealt with: where the server does that, message by message as they
// are acknowledged, each removal is one more synced write. Where there are
// several shards, the server stores each message under its tenant's.
func (t Topology) intake() jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name: IntakeStream, Subjects: []string{EventSubjects}, Storage: jetstream.FileStorage, Replicas: t.Replicas,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, MaxBytes: t.IntakeMaxBytes,
		MaxMsgSize: envelope.MaxBytes + maxHeaderBytes,
	}
	if t.Shards > 1 {
		cfg.SubjectTransform = &jetstream.SubjectTransformConfig{
			Source:      eventPrefix + "*.>",
			Destination: fmt.Sprintf("%s{{partition(%d,1)}}.{{wildcard(1)}}.>", shardPrefix, t.Shards),
		}
	}
	return cfg
}

// consumers is the two of each shard. What the transform does not match, as it
// has no tenant or nothing behind it, is the first shard's to refuse.
func (t Topology) consumers() []jetstream.ConsumerConfig {
	if t.Shards == 1 {
		return t.consumersOf(0, eventPrefix)
	}
	var all []jetstream.ConsumerConfig
	for k := range uint16(t.Shards) {
		prefix := shardPrefix + strconv.Itoa(int(k)) + "."
		if k == 0 {
			all = append(all, t.consumersOf(k, prefix, EventSubjects)...)
			continue
		}
		all = append(all, t.consumersOf(k, prefix)...)
	}
	return all
}

// consumersOf is the consumers of a shard whose messages are stored under prefix
// or on one of the other subjects.
func (t Topology) consumersOf(shard uint16, prefix string, others ...string) []jetstream.ConsumerConfig {
	one := func(name string, wait time.Duration, filters []string) jetstream.ConsumerConfig {
		return jetstream.ConsumerConfig{
			Durable: consumerOf(name, shard), FilterSubjects: filters, DeliverPolicy: jetstream.DeliverAllPolicy,
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: wait, MaxDeliver: -1, MaxAckPending: 20_000,
			Replicas: t.Replicas,
		}
	}
	return []jetstream.ConsumerConfig{
		one(ControlConsumer, t.ControlAckWait, controlSubjects(prefix)),
		one(AccessConsumer, t.AccessAckWait, append([]string{prefix + ">"}, others...)),
	}
}

// IntakeConfig is how the intake is read. Its zero value is a valid one.
type IntakeConfig struct {
	// Shard is whose messages are read. Default 0.
	Shard uint16
	// HeldFor is how long a message that is not acknowledged keeps in the stream
	// what was acknowledged behind it: after that those are removed one by one,
	// each for a write of its own. Default 10 s, which is longer than a message
	// is in hand that is not held.
	HeldFor time.Duration
	// Log is told what was found wrong and put right. Default: nothing is logged.
	Log *slog.Logger
}

func (c IntakeConfig) withDefaults() IntakeConfig {
	c.HeldFor = cmp.Or(c.HeldFor, heldFor)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
