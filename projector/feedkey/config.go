package feedkey

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/faults"
)

// Keyring is where the keys are: see seal.Keyring for the contract.
type Keyring interface {
	FeedGenerations(ctx context.Context) ([]seal.FeedGeneration, error)
	FeedKeys(ctx context.Context) ([]events.FeedKey, error)
	RotateFeedKey(ctx context.Context, tenant string, after uint32, now time.Time) (events.FeedKey, error)
	DestroyFeedKey(ctx context.Context, tenant string, generation uint32) error
}

// Linger is how long a key is kept when nothing seems to need it: longer than any
// process keeps one in memory, than a snapshot has what is expired, and than clocks
// are apart.
const Linger = 24 * time.Hour

// MinPeriod is the shortest Config.Period: one that is shorter than the time a key is
// there ahead would have keys wait in line.
const MinPeriod = seal.FeedKeyAhead

// Config is what a keeper needs.
type Config struct {
	// Keyring is required.
	Keyring Keyring
	// Logs are the logs of all shards, in their order. Required.
	Logs []*stream.Log
	// Intake is where the intake stream begins and ends, and the time. Required.
	Intake func(context.Context) (stream.IntakeState, error)
	// Lock waits until nobody else turns the keys, and says with its term when that
	// ends. Two at once do no harm, and everything twice. Required.
	Lock func(ctx context.Context) (term context.Context, release func(), err error)

	// Period is how long new revocations are hashed under one key. It bounds, with the
	// longest life of a revocation, how long a hash in the log can be compared with a
	// guess by whoever has the keys. Default 30 days; MinPeriod to 366 days.
	Period time.Duration
	// Every is how often it looks for what is due. Default 1 h; 10 ms to 24 h.
	Every time.Duration

	// Now is the time, given the server's. Default: the earlier of that and our own
	// clock's, so that no clock alone has a key destroyed early.
	Now func(server time.Time) time.Time
	// Logger is told what is made and destroyed. Default: nothing is logged.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Period = cmp.Or(c.Period, 30*24*time.Hour)
	c.Every = cmp.Or(c.Every, time.Hour)
	if c.Now == nil {
		c.Now = earlier
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func earlier(server time.Time) time.Time {
	if own := time.Now(); own.Before(server) {
		return own
	}
	return server
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var f faults.List
	f.Check(c.Keyring != nil, "keyring is missing")
	f.Check(len(c.Logs) > 0, "logs are missing")
	f.Check(c.Intake != nil, "intake is missing")
	f.Check(c.Lock != nil, "lock is missing")
	f.Between("period", c.Period, MinPeriod, 366*24*time.Hour)
	f.Between("every", c.Every, 10*time.Millisecond, 24*time.Hour)
	return f.Of("feed keys")
}
