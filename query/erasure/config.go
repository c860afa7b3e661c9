package erasure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/deadline"
)

// Config is what a Workflow needs.
type Config struct {
	// Lane is where requests are read from. Required. It must not run before
	// New was called.
	Lane Lane
	// Publisher is where events go. Required.
	Publisher Publisher
	// Keyring opens what requests say and destroys keys. Required.
	Keyring Keyring

	// Archive and Held are where holds find what they match, and where it is
	// kept; Intake is what has still to come there. Without them no hold can be
	// placed, and an erasure that a hold concerns waits.
	Archive Archive
	Held    Held
	Intake  Intake

	// Notifying is how recipients are told of erasures. nil tells nobody, and asks
	// nobody to.
	Notifying *Notifying
	// Tokens counts those that an erasure refuses, for its receipt. Default none:
	// the receipt then says until when they were issued, and not how many.
	Tokens Tokens

	// Ledger is where it stands what was erased, that a restored backup may not
	// bring it back. Default none: then the log alone says so.
	Ledger Ledger

	// Telling is how those who asked from elsewhere are told how it stands. Without
	// it nobody can ask to be told. It needs Held.
	Telling *Telling

	// Deadlines are the rules of the controller for what is received from now
	// on. Default deadline.Default: UTC, no holidays. What was received is due
	// when its event says.
	Deadlines *deadline.Rules

	// Exports makes what access and portability ask for. Without it they are
	// recorded and their deadlines kept, and they stay approved.
	Exports Exports

	// Policy is the deployment's, as the intake has it: events that it would
	// refuse are refused before they are published.
	Policy events.Policy

	// Lock is held while requests are carried out, so that one process at a
	// time does. It blocks until it has the lock. Default none: two workers
	// then do the same things twice, to the same end.
	Lock func(ctx context.Context) (release func(), err error)

	// ExportLock is the same for exports, which are made beside the rest.
	ExportLock func(ctx context.Context) (release func(), err error)

	// WaitFor is how long a method waits for its event to be on the log, and a
	// fifth of what the worker waits until it has seen the whole of it. Default
	// 2 s; above 0.
	WaitFor time.Duration

	// Retry is the first pause of the worker after a failure; it doubles up to
	// 60 times that. Default 1 s; above 0.
	Retry time.Duration

	// Watch is how often deadlines are looked at. Default 1 min; above 0.
	Watch time.Duration

	// Now is the clock. Default time.Now.
	Now func() time.Time

	// Logger. Default slog.Default.
	Logger *slog.Logger
}

func (c *Config) defaults() {
	if c.WaitFor == 0 {
		c.WaitFor = 2 * time.Second
	}
	if c.Retry == 0 {
		c.Retry = time.Second
	}
	if c.Watch == 0 {
		c.Watch = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Deadlines == nil {
		c.Deadlines = deadline.Default()
	}
	c.Notifying = c.Notifying.withDefaults()
	if c.Lock == nil {
		c.Lock = func(context.Context) (func(), error) { return func() {}, nil }
	}
	if c.ExportLock == nil {
		c.ExportLock = func(context.Context) (func(), error) { return func() {}, nil }
	}
	if c.Telling != nil {
		t := *c.Telling
		t.defaults()
		c.Telling = &t
	}
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c.defaults()
	var faults []error
	for name, missing := range map[string]bool{"lane": c.Lane == nil, "publisher": c.Publisher == nil, "keyring": c.Keyring == nil} {
		if missing {
			faults = append(faults, fmt.Errorf("%s is missing", name))
		}
	}
	if c.WaitFor < 0 || c.Retry < 0 || c.Watch < 0 {
		faults = append(faults, errors.New("wait_for, retry and watch: want more than 0"))
	}
	faults = append(faults, c.Notifying.validate(c.Archive))
	if c.Telling != nil {
		faults = append(faults, c.Telling.validate())
		if c.Held == nil {
			faults = append(faults, errors.New("telling: held is missing"))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("erasure: %w", err)
	}
	return nil
}
