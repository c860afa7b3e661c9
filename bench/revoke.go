package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RevokeConfig says how much to revoke.
type RevokeConfig struct {
	// Dir is a folder for the stack; its contents can be thrown away after.
	Dir string
	// Profiles are what to measure, of [RevokeProfiles]. Default all.
	Profiles []string
	// Revocations are timed one by one in propagate and fanout. Default 200.
	Revocations int
	// Verifiers of fanout, each with a connection of its own. Default 100.
	Verifiers int
	// Rate of the other events meanwhile, in events a second. Default 10,000.
	Rate float64
	// Entries of the set, and of the snapshot of cold. Default 1,000,000.
	Entries int
	// Bulk is how many revocations are published at once. Default 100,000.
	Bulk int
	// Calls are timed together in set, 180 times. Default 10,000.
	Calls int
	// Reading is how long decisions are timed in readers, ten times. Default 2 s.
	Reading time.Duration
	// Progress takes lines for people. nil discards.
	Progress func(string)
}

func (c RevokeConfig) withDefaults() RevokeConfig {
	if len(c.Profiles) == 0 {
		c.Profiles = RevokeProfiles()
	}
	c.Revocations = cmp.Or(c.Revocations, 200)
	c.Verifiers = cmp.Or(c.Verifiers, 100)
	c.Rate = cmp.Or(c.Rate, 10_000)
	c.Entries = cmp.Or(c.Entries, 1_000_000)
	c.Bulk = cmp.Or(c.Bulk, 100_000)
	c.Calls = cmp.Or(c.Calls, 10_000)
	c.Reading = cmp.Or(c.Reading, 2*time.Second)
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

// Validate reports all faults of c.
func (c RevokeConfig) Validate() error {
	c = c.withDefaults()
	var errs []error
	for _, name := range c.Profiles {
		if !slices.Contains(RevokeProfiles(), name) {
			errs = append(errs, fmt.Errorf("profile %q: want some of %s", name, strings.Join(RevokeProfiles(), ", ")))
		}
	}
	if min(c.Revocations, c.Verifiers, c.Entries, c.Bulk, c.Calls) < 1 || c.Rate < 0 || c.Reading < 0 {
		errs = append(errs, errors.New("revocations, verifiers, entries, bulk and calls want 1 or more, rate and reading 0 or more"))
	}
	return errors.Join(errs...)
}

// revokeProfiles in the order they are measured in.
var revokeProfiles = []subject[*revoke]{
	{name: "propagate", stack: true, measures: (*revoke).propagate},
	{name: "fanout", stack: true, measures: (*revoke).fanout},
	{name: "bulk", stack: true, measures: (*revoke).bulk},
	{name: "set", measures: (*revoke).set},
	{name: "readers", measures: (*revoke).readers},
	{name: "cold", measures: (*revoke).cold},
}

// RevokeProfiles are all that Revoke can measure.
func RevokeProfiles() []string { return namesOf(revokeProfiles) }

// revoke is one benchmark.
type revoke struct {
	bench
	cfg RevokeConfig
}

// Revoke measures the way of a revocation to a verifier, and the set itself.
func Revoke(ctx context.Context, cfg RevokeConfig) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("bench revoke: %w", err)
	}
	cfg = cfg.withDefaults()
	b := &revoke{newBench(cfg.Dir, cfg.Progress), cfg}
	if err := measure(ctx, &b.bench, b, revokeProfiles, cfg.Profiles); err != nil {
		return nil, err
	}
	return b.report, nil
}

// set is lookups and decisions in a set beside a Go map, and what it takes.
func (b *revoke) set(context.Context) error {
	for _, r := range sets(b.cfg.Entries, b.cfg.Calls) {
		b.add(r)
	}
	return nil
}
