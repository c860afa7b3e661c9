package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rescindhq/rescind/internal/faults"
	"github.com/rescindhq/rescind/internal/workload"
)

// IngestConfig says what to ingest, and how.
type IngestConfig struct {
	// Dir is a folder for the stack; its contents can be thrown away after.
	Dir string
	// Profiles are what to measure, of [Profiles]. Default [DefaultProfiles].
	Profiles []string
	// Events a run of batch and of growth. Default 200,000. Up to 250,000 are
	// made before the clock starts; more are made while it runs.
	Events int
	// Runs of each rate. Default 3.
	Runs int
	// Subjects is how many people there are. Default 100,000, at least 2.
	Subjects uint64
	// Duration of latency and of memory. Default 1 min.
	Duration time.Duration
	// Rate of latency in events a second. Default: half of what batch measured,
	// or of one run of it.
	Rate float64
	// Apart runs intake, audit and revoke in a process of their own for every
	// profile. Memory and growth always do.
	Apart bool
	// Serve is the command that runs `rescind serve`. Required where something
	// runs apart.
	Serve []string
	// Progress takes lines for people. nil discards.
	Progress func(string)
}

func (c IngestConfig) withDefaults() IngestConfig {
	if len(c.Profiles) == 0 {
		c.Profiles = DefaultProfiles()
	}
	if c.Events == 0 {
		c.Events = 200_000
	}
	if c.Runs == 0 {
		c.Runs = 3
	}
	if c.Subjects == 0 {
		c.Subjects = 100_000
	}
	if c.Duration == 0 {
		c.Duration = time.Minute
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

// Validate reports all faults of c.
func (c IngestConfig) Validate() error {
	c = c.withDefaults()
	var f faults.List
	for _, name := range c.Profiles {
		f.Check(find(name) != nil, "profile %q: want some of %s", name, strings.Join(Profiles(), ", "))
	}
	f.Check(c.Events >= 1, "events %d: want 1 or more", c.Events)
	f.Check(c.Runs >= 1, "runs %d: want 1 or more", c.Runs)
	f.Check(c.Subjects >= 2, "subjects %d: want 2 or more", c.Subjects)
	f.Check(c.Duration >= time.Second, "duration %s: want 1s or more", c.Duration)
	f.Check(c.Rate >= 0, "rate %g: want 0 or more", c.Rate)
	return f.Err()
}

// profile is one thing that can be measured.
type profile struct {
	name     string
	apart    bool // always in a process of its own
	asked    bool // only when it is named
	measures func(*ingest, context.Context) error
}

// profiles in the order they are measured in: what wants an empty store first.
var profiles = []profile{
	{name: "single", measures: (*ingest).single},
	{name: "lone", measures: (*ingest).lone},
	{name: "concurrent", measures: (*ingest).concurrent},
	{name: "batch", measures: (*ingest).batch},
	{name: "latency", measures: (*ingest).latency},
	{name: "stored", measures: (*ingest).stored},
	{name: "memory", apart: true, measures: (*ingest).memory},
	{name: "growth", apart: true, asked: true, measures: (*ingest).growth},
}

func find(name string) *profile {
	i := slices.IndexFunc(profiles, func(p profile) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return &profiles[i]
}

// Profiles are all that Ingest can measure.
func Profiles() []string {
	return names(func(profile) bool { return true })
}

// DefaultProfiles are those that do not have to be asked for by name.
func DefaultProfiles() []string {
	return names(func(p profile) bool { return !p.asked })
}

func names(which func(profile) bool) (out []string) {
	for _, p := range profiles {
		if which(p) {
			out = append(out, p.name)
		}
	}
	return out
}

// ingest is one benchmark on one stack.
type ingest struct {
	*rig
	cfg    IngestConfig
	report *Report
	seed   uint64
	max    float64 // events a second that batch measured, 0 if it did not
}

// Ingest measures the way of an event from the publisher to a row.
func Ingest(ctx context.Context, cfg IngestConfig) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("bench ingest: %w", err)
	}
	cfg = cfg.withDefaults()
	b := &ingest{cfg: cfg, report: &Report{Machine: machine()}}
	for _, apart := range []bool{false, true} {
		if err := b.measure(ctx, apart); err != nil {
			return nil, err
		}
	}
	return b.report, nil
}

// measure measures what was asked for of what runs apart, or of the rest, on a
// stack of their own.
func (b *ingest) measure(ctx context.Context, apart bool) (err error) {
	var todo []profile
	for _, p := range profiles {
		if slices.Contains(b.cfg.Profiles, p.name) && (p.apart || b.cfg.Apart) == apart {
			todo = append(todo, p)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	cfg := rigConfig{dir: filepath.Join(b.cfg.Dir, "here"), progress: b.cfg.Progress}
	if apart {
		cfg.dir, cfg.serve = filepath.Join(b.cfg.Dir, "apart"), b.cfg.Serve
		if len(cfg.serve) == 0 {
			return errors.New("bench ingest: no command for the projector's process")
		}
	}
	if b.rig, err = newRig(ctx, cfg); err != nil {
		return err
	}
	defer b.close()
	for _, p := range todo {
		b.cfg.Progress(p.name)
		if err := p.measures(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// add puts a result into the report and tells people.
func (b *ingest) add(r Result) {
	b.report.Results = append(b.report.Results, r)
	b.cfg.Progress(r.String())
}

// step is the time between two events of a run.
const step = 100 * time.Microsecond

// next is a generator that no run has used, of n events that end about now.
func (b *ingest) next(n int) *workload.Generator {
	return b.generator(time.Now().Add(-time.Second-time.Duration(n)*step), step)
}

func (b *ingest) generator(start time.Time, step time.Duration) *workload.Generator {
	b.seed++
	return workload.New(workload.Config{Seed: b.seed, Subjects: b.cfg.Subjects, Start: start, Step: step})
}
