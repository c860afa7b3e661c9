package revoke

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/faults"
)

// Keys is where feed keys come from: every living generation of every tenant.
// A key that Keys leaves out is destroyed for good as far as verifiers are
// concerned. It is called from one goroutine a request.
type Keys interface {
	Keys(ctx context.Context) ([]events.FeedKey, error)
}

// Config is what a Revoker needs.
type Config struct {
	// Conn is a connection with the projector's permissions. Required.
	Conn *nats.Conn
	// Shards is how many logs there are. Default 1. One revoker reads them all:
	// verifiers follow one feed.
	Shards int
	// Key signs deltas, snapshots and answers. Verifiers hold its public half.
	// Required.
	Key ed25519.PrivateKey
	// Keys answers verifiers. Required.
	Keys Keys
	// Heartbeat is the longest time between two deltas. Default 1 s, 50 ms to
	// 5 s: a verifier calls its view stale after several of them.
	Heartbeat time.Duration
	// SnapshotEvery is the shortest time between two snapshots while something
	// changes. Default 60 s, at least 100 ms. It bounds the deltas that a new
	// verifier reads beside the snapshot.
	SnapshotEvery time.Duration
	// RefreshEvery is the longest time between two snapshots while nothing
	// changes, so that the heartbeats behind one stay few. Default 5 min, at
	// least SnapshotEvery, and well under the age at which deltas are dropped.
	RefreshEvery time.Duration
	// SweepEvery is how often what has expired is dropped from memory, and with it
	// from snapshots. Default 10 s, at least 10 ms.
	SweepEvery time.Duration
	// StandbyFor is how long the feed must be silent before a writer that was
	// overtaken takes over again. Default 3 s, at least twice Heartbeat.
	StandbyFor time.Duration
	// ClockSkew is how far our clock may be from the NATS server's. Default 2 s,
	// as verifiers have it, at most 1 min. Nothing leaves, and nothing is signed,
	// by a time of ours that is further ahead.
	ClockSkew time.Duration
	// Log is told what happens. Nil drops it.
	Log *slog.Logger
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	c.Shards = max(c.Shards, 1)
	def(&c.Heartbeat, time.Second)
	def(&c.SnapshotEvery, time.Minute)
	def(&c.RefreshEvery, max(5*time.Minute, c.SnapshotEvery))
	def(&c.SweepEvery, 10*time.Second)
	def(&c.StandbyFor, max(3*time.Second, 2*c.Heartbeat))
	def(&c.ClockSkew, 2*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func def(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Validate reports all faults of c.
func (c Config) Validate() error {
	c = c.withDefaults()
	var f faults.List
	f.Check(c.Conn != nil, "conn is missing")
	f.Check(c.Shards <= events.MaxShards, "shards %d: want 1 to %d", c.Shards, events.MaxShards)
	f.Check(len(c.Key) == ed25519.PrivateKeySize, "key: want an Ed25519 private key of %d bytes", ed25519.PrivateKeySize)
	f.Check(c.Keys != nil, "keys are missing")
	f.Check(c.Heartbeat >= 50*time.Millisecond && c.Heartbeat <= 5*time.Second, "heartbeat %s: want 50ms to 5s", c.Heartbeat)
	f.Check(c.SnapshotEvery >= 100*time.Millisecond, "snapshot every %s: want at least 100ms", c.SnapshotEvery)
	f.Check(c.RefreshEvery >= c.SnapshotEvery, "refresh every %s: want at least snapshot every, %s", c.RefreshEvery, c.SnapshotEvery)
	f.Check(c.SweepEvery >= 10*time.Millisecond, "sweep every %s: want at least 10ms", c.SweepEvery)
	f.Check(c.StandbyFor >= 2*c.Heartbeat, "standby for %s: want at least twice the heartbeat, %s", c.StandbyFor, c.Heartbeat)
	f.Check(c.ClockSkew > 0 && c.ClockSkew <= time.Minute, "clock skew %s: want up to 1m", c.ClockSkew)
	return f.Err()
}
