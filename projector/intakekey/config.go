package intakekey

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/faults"
)

// Keyring is where the keys are: see seal.Keyring for the contract.
type Keyring interface {
	IntakeKeys(ctx context.Context) ([]envelope.PrivateKey, error)
	MakeIntakeKey(ctx context.Context, notBefore, expires time.Time) (made bool, err error)
	DestroyIntakeKey(ctx context.Context, key envelope.PublicKey) error
}

// Config is what a keeper needs.
type Config struct {
	// Conn answers requests. Required.
	Conn *nats.Conn
	// Keyring is required.
	Keyring Keyring
	// Intake is where the intake stream begins and ends, and the time. Required.
	Intake func(context.Context) (stream.IntakeState, error)

	// Period is how long a key is the one in use. Default 24 h, which bounds what
	// one key opens; 1 min to 168 h, in whole seconds.
	Period time.Duration
	// Ahead is how long before its use a key is published. Default half of
	// Period, and at most that: who stays out of reach of any keeper for longer
	// has to wait for one.
	Ahead time.Duration
	// Overlap is how long before the end of a key the next one may be used, so
	// that a clock that is somewhat ahead finds one. Default a 24th of Period, and
	// at most half of it.
	Overlap time.Duration
	// Grace is how long after its end a key still opens what is stored. It
	// forgives clocks that are behind, and messages that were on their way.
	// Default 1 h; 0 is taken for that; 1 s to 24 h.
	Grace time.Duration
	// Every is how often keys are looked after. Default 1 min; 10 ms to 1 h.
	Every time.Duration

	// Now is the time, given the server's. Default: the server's.
	Now func(server time.Time) time.Time
	// Logger is told what is made and destroyed. Default: nothing is logged.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Period = cmp.Or(c.Period, 24*time.Hour)
	c.Ahead = cmp.Or(c.Ahead, c.Period/2)
	c.Overlap = cmp.Or(c.Overlap, c.Period/24)
	c.Grace = cmp.Or(c.Grace, time.Hour)
	c.Every = cmp.Or(c.Every, time.Minute)
	if c.Now == nil {
		c.Now = func(server time.Time) time.Time { return server }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var f faults.List
	f.Check(c.Conn != nil, "conn is missing")
	f.Check(c.Keyring != nil, "keyring is missing")
	f.Check(c.Intake != nil, "intake is missing")
	f.Between("period", c.Period, time.Minute, 168*time.Hour)
	f.Check(c.Period%time.Second == 0, "period %s: want whole seconds", c.Period)
	f.Between("ahead", c.Ahead, 0, c.Period/2)
	f.Between("overlap", c.Overlap, 0, c.Period/2)
	f.Between("grace", c.Grace, time.Second, 24*time.Hour)
	f.Between("every", c.Every, 10*time.Millisecond, time.Hour)
	return f.Of("intake keys")
}
