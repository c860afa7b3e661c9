package verifiers

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// Config is what a Registry needs.
type Config struct {
	// Conn is a connection with at least the API's permissions. Required.
	Conn *nats.Conn
	// FreshFor is how long after its last receipt a verifier is fresh: one is
	// sent each second. Default 5 s, 1 s to 5 min.
	FreshFor time.Duration
	// MaxVerifiers bounds how many are known, about 1 kB each. Default 10,000, at
	// most 100,000.
	MaxVerifiers int
	// ReloadEvery is how often who is registered is read again, so that a
	// verifier that came and went while we were not connected is known. Default
	// 1 min, at least 100 ms.
	ReloadEvery time.Duration
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Logger is told what goes wrong. Nil drops it.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.FreshFor == 0 {
		c.FreshFor = 5 * time.Second
	}
	if c.MaxVerifiers == 0 {
		c.MaxVerifiers = 10_000
	}
	if c.ReloadEvery == 0 {
		c.ReloadEvery = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports all faults of c.
func (c Config) Validate() error {
	c = c.withDefaults()
	var faults []error
	if c.Conn == nil {
		faults = append(faults, errors.New("conn is missing"))
	}
	if c.FreshFor < time.Second || c.FreshFor > 5*time.Minute {
		faults = append(faults, fmt.Errorf("fresh for %s: want 1s to 5m", c.FreshFor))
	}
	if c.MaxVerifiers < 1 || c.MaxVerifiers > 100_000 {
		faults = append(faults, fmt.Errorf("max verifiers %d: want 1 to 100000", c.MaxVerifiers))
	}
	if c.ReloadEvery < 100*time.Millisecond {
		faults = append(faults, fmt.Errorf("reload every %s: want at least 100ms", c.ReloadEvery))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("verifiers: %w", err)
	}
	return nil
}
