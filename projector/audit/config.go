package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/rescindhq/rescind/events/stream"
)

// LogReader yields the log in order: *stream.Reader.
type LogReader interface {
	// Next waits for a message and returns all that is there now, without a
	// gap, at most maxBytes of data but always one message. Its messages stay
	// valid. It is called from one goroutine.
	Next(ctx context.Context, maxBytes int) ([]stream.LogMessage, error)
	Close()
}

// Config is what a projector needs. Log and Conn are required; every other
// field works at zero.
type Config struct {
	// Read opens the log at the given sequence; 1 is its beginning.
	Read func(ctx context.Context, from uint64) (LogReader, error)

	// Conn is a connection from Open to the one server of this shard, with
	// the rights of Grants. Another one may wait for ever on a server that
	// has stopped reading.
	Conn driver.Conn

	// Shard is the log that is read: a batch of another one is an error.
	Shard uint16

	// MaxRows is where one insert ends, in records; the batch that passes it
	// is still taken in whole. Default 20,000: from there on an insert's fixed
	// cost no longer shows. Between 1 and 500,000, as one insert must stay one
	// part.
	MaxRows int

	// MaxBytes is how much of the log is read at once, in bytes of messages.
	// Default 16 MiB: about that much again is used for columns, and again by
	// the server. Between 1 MiB and 128 MiB.
	MaxBytes int

	// MinInterval is the least time between the starts of two inserts that
	// are both small, so that a trickle of events does not become a part of
	// the table each. The first event after a pause is not delayed. Default
	// 200 ms. Under 10 s.
	MinInterval time.Duration

	// Stall is how long one call to ClickHouse may take before it is given up
	// and its outcome is unknown. Default 60 s: longer than a merge under load
	// holds an insert. At least 1 s.
	Stall time.Duration

	// Grace is how long the insert that is under way may take to end once Run
	// has been told to stop. Default 5 s. Giving it up is safe but makes the
	// next start read back.
	Grace time.Duration

	// BackoffMin and BackoffMax bound the pause after an error; it doubles
	// from one to the other. Defaults 100 ms and 10 s.
	BackoffMin, BackoffMax time.Duration

	// Standby is how long another projector's position must stand still
	// before this one takes over from it. Default 10 s.
	Standby time.Duration

	// Log takes one info line an insert. nil discards.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	c.MaxRows = orDefault(c.MaxRows, 20_000)
	c.MaxBytes = orDefault(c.MaxBytes, 16<<20)
	c.MinInterval = orDefault(c.MinInterval, 200*time.Millisecond)
	c.Stall = orDefault(c.Stall, time.Minute)
	c.Grace = orDefault(c.Grace, 5*time.Second)
	c.BackoffMin = orDefault(c.BackoffMin, 100*time.Millisecond)
	c.BackoffMax = orDefault(c.BackoffMax, 10*time.Second)
	c.Standby = orDefault(c.Standby, 10*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	fault := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	fault(c.Read == nil, "read is missing")
	fault(c.Conn == nil, "conn is missing")
	fault(c.MaxRows < 1 || c.MaxRows > 500_000, "max rows %d: want 1 to 500000", c.MaxRows)
	fault(c.MaxBytes < 1<<20 || c.MaxBytes > 128<<20, "max bytes %d: want 1 MiB to 128 MiB", c.MaxBytes)
	fault(c.MinInterval < 0 || c.MinInterval > 10*time.Second, "min interval %s: want 0 to 10s", c.MinInterval)
	fault(c.Stall < time.Second, "stall %s: want at least 1s", c.Stall)
	fault(c.Grace < 0, "grace %s is negative", c.Grace)
	fault(c.BackoffMin < 0 || c.BackoffMax < c.BackoffMin, "backoff %s to %s: want the second not below the first", c.BackoffMin, c.BackoffMax)
	fault(c.Standby < 0, "standby %s is negative", c.Standby)
	return errors.Join(errs...)
}
