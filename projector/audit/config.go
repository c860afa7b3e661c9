package audit

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/faults"
)

// LogReader yields the log in order: *stream.Reader.
type LogReader interface {
	// Next waits for a message and returns all that is there now, without a
	// gap, at most maxBytes of data but always one message. Its messages stay
	// valid. It is called from one goroutine.
	Next(ctx context.Context, maxBytes int) ([]stream.LogMessage, error)
	Close()
}

// LogLookup looks up single messages of the log: *stream.Log.
type LogLookup interface {
	// Last is the last message, with Seq 0 where there is none.
	Last(ctx context.Context) (stream.LogMessage, error)
	// Get is the message with a sequence, or an error that wraps
	// stream.ErrNotFound.
	Get(ctx context.Context, seq uint64) (stream.LogMessage, error)
}

// Config is what a projector needs. Log and Conn are required; every other
// field works at zero.
type Config struct {
	// Read opens the log at the given sequence; 1 is its beginning.
	Read func(ctx context.Context, from uint64) (LogReader, error)

	// Lookup says where the log ends, so that Status can say how far behind the
	// tables are, and what else a duplicate says than the event that it
	// repeats. nil: neither is known.
	Lookup LogLookup

	// LookEvery is the time between two looks at the end of the log. Default
	// 2 s: one message is fetched each time. At least 10 ms.
	LookEvery time.Duration

	// SearchEvery is the longest time between two searches for duplicates
	// while there is something new. Default 1 h. At least 10 ms.
	SearchEvery time.Duration

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

	// MaxBytes is where one insert ends, in bytes of messages; the message
	// that passes it is still taken in whole. Default 16 MiB. Between 1 MiB
	// and 128 MiB.
	MaxBytes int

	// MinInterval is the least time between the starts of two inserts, and
	// twice that after one of 1,000 rows, unless MaxRows or MaxBytes are there
	// before: a part costs the server as much in syncs and merges as thousands
	// of rows. The first event after a pause is not delayed. Default 200 ms.
	// Under 10 s.
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
	c.LookEvery = cmp.Or(c.LookEvery, 2*time.Second)
	c.SearchEvery = cmp.Or(c.SearchEvery, time.Hour)
	c.MaxRows = cmp.Or(c.MaxRows, 20_000)
	c.MaxBytes = cmp.Or(c.MaxBytes, 16<<20)
	c.MinInterval = cmp.Or(c.MinInterval, 200*time.Millisecond)
	c.Stall = cmp.Or(c.Stall, time.Minute)
	c.Grace = cmp.Or(c.Grace, 5*time.Second)
	c.BackoffMin = cmp.Or(c.BackoffMin, 100*time.Millisecond)
	c.BackoffMax = cmp.Or(c.BackoffMax, 10*time.Second)
	c.Standby = cmp.Or(c.Standby, 10*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var f faults.List
	f.Check(c.Read != nil, "read is missing")
	f.Check(c.Conn != nil, "conn is missing")
	f.Check(c.LookEvery >= 10*time.Millisecond, "look every %s: want at least 10ms", c.LookEvery)
	f.Check(c.SearchEvery >= 10*time.Millisecond, "search every %s: want at least 10ms", c.SearchEvery)
	f.Check(c.MaxRows >= 1 && c.MaxRows <= 500_000, "max rows %d: want 1 to 500000", c.MaxRows)
	f.Check(c.MaxBytes >= 1<<20 && c.MaxBytes <= 128<<20, "max bytes %d: want 1 MiB to 128 MiB", c.MaxBytes)
	f.Between("min interval", c.MinInterval, 0, 10*time.Second)
	f.Check(c.Stall >= time.Second, "stall %s: want at least 1s", c.Stall)
	f.Check(c.Grace >= 0, "grace %s is negative", c.Grace)
	f.Check(c.BackoffMin >= 0 && c.BackoffMax >= c.BackoffMin, "backoff %s to %s: want the second not below the first", c.BackoffMin, c.BackoffMax)
	f.Check(c.Standby >= 0, "standby %s is negative", c.Standby)
	return f.Err()
}
