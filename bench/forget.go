package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ForgetConfig says whom to forget, and how much there is about them.
type ForgetConfig struct {
	// Dir is a folder for the stack; its contents can be thrown away after.
	Dir string
	// Profiles are what to measure, of [ForgetProfiles]. Default all.
	Profiles []string
	// Events are how many events a person has who is forgotten in time, one size
	// after the other. Default 1, 1,000 and 1,000,000.
	Events []int
	// Runs of each size, as long as they have no more than two million events in
	// all. Default 20.
	Runs int
	// People whose keys are made in keyring. Default 1,000,000.
	People int
	// Candidates of dictionary. Default 1,000,000.
	Candidates int
	// Known is how many people of dictionary there are. Default 5,000.
	Known int
	// Calls are timed together in sealing, 60 times. Default 10,000.
	Calls int
	// Progress takes lines for people. nil discards.
	Progress func(string)
}

// mostEvents bounds the events of the runs of a size.
const mostEvents = 2_000_000

func (c ForgetConfig) withDefaults() ForgetConfig {
	if len(c.Profiles) == 0 {
		c.Profiles = ForgetProfiles()
	}
	if len(c.Events) == 0 {
		c.Events = []int{1, 1000, 1_000_000}
	}
	c.Runs = cmp.Or(c.Runs, 20)
	c.People = cmp.Or(c.People, 1_000_000)
	c.Candidates = cmp.Or(c.Candidates, 1_000_000)
	c.Known = cmp.Or(c.Known, 5_000)
	c.Calls = cmp.Or(c.Calls, 10_000)
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

// Validate reports all faults of c.
func (c ForgetConfig) Validate() error {
	c = c.withDefaults()
	var errs []error
	for _, name := range c.Profiles {
		if !slices.Contains(ForgetProfiles(), name) {
			errs = append(errs, fmt.Errorf("profile %q: want some of %s", name, strings.Join(ForgetProfiles(), ", ")))
		}
	}
	if min(slices.Min(c.Events), c.Runs, c.People, c.Candidates, c.Known, c.Calls) < 1 {
		errs = append(errs, errors.New("events, runs, people, candidates, known and calls want 1 or more"))
	}
	if c.Known > c.Candidates {
		errs = append(errs, fmt.Errorf("%d people known of %d candidates: want no more", c.Known, c.Candidates))
	}
	return errors.Join(errs...)
}

// forgetProfiles in the order they are measured in.
var forgetProfiles = []subject[*forgetting]{
	{name: "dictionary", stack: true, measures: (*forgetting).dictionary}, // first: it reads all that is stored
	{name: "time", stack: true, measures: (*forgetting).time},
	{name: "keyring", measures: (*forgetting).keyring},
	{name: "sealing", measures: (*forgetting).sealing},
}

// ForgetProfiles are all that Forget can measure.
func ForgetProfiles() []string { return namesOf(forgetProfiles) }

// forgetting is one benchmark.
type forgetting struct {
	bench
	cfg ForgetConfig
}

// Forget measures what forgetting people takes, and what it takes to be able to.
func Forget(ctx context.Context, cfg ForgetConfig) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("bench forget: %w", err)
	}
	cfg = cfg.withDefaults()
	b := &forgetting{newBench(cfg.Dir, cfg.Progress), cfg}
	if err := measure(ctx, &b.bench, b, forgetProfiles, cfg.Profiles); err != nil {
		return nil, err
	}
	return b.report, nil
}
