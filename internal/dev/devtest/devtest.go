// Package devtest gives tests a whole deployment.
//
// # What it is
//
// [Start] is a stack of package dev with every role in the test's process. The
// other functions are clients of it.
//
// # Guarantees
//
// A stack is the test's own, and stopped when the test ends.
//
// # Shapes and units
//
// Whatever waits fails the test where nothing moves for [Patience].
//
// # Errors
//
// What goes wrong fails the test.
//
// # Concurrency
//
// As of testing.TB: all of it belongs to the test's goroutine.
//
// # What it does not do
//
// It does not kill a stack: one that is to be killed is a process of its own.
//
// # Sources
//
// None beyond package dev.
package devtest

import (
	"context"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// Patience is how long anything may stand still before the test fails: longer
// than it takes on two cores that ten others want as well.
const Patience = 2 * time.Minute

// Start runs a stack until the test ends.
func Start(t testing.TB, o dev.Options) *dev.Stack {
	t.Helper()
	s, err := dev.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Stop(t, s) })
	return s
}

// Stop stops s before the test ends. It may be called twice.
func Stop(t testing.TB, s *dev.Stack) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// Options say how to reach the ClickHouse of s, as the owner of its database.
func Options(s *dev.Stack) *clickhouse.Options {
	c := s.File.ClickHouse
	return &clickhouse.Options{Addr: []string{c.Addr}, Auth: clickhouse.Auth{Database: c.Database, Username: c.User, Password: c.Password}}
}

// Database is a connection to the ClickHouse of s until the test ends.
func Database(t testing.TB, s *dev.Stack) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(Options(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Publish publishes events through the SDK, and returns when all are durable in
// the intake. Not all need be on the log by then: see Drained.
func Publish(t testing.TB, s *dev.Stack, evs []events.Event) {
	t.Helper()
	pub, err := stream.NewPublisher(stream.PublisherConfig{Conn: natsdtest.Connect(t, s.NATS, natsd.API), Environment: dev.Environment})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range evs {
		if err := pub.Queue(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	if err := pub.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Drained waits until nothing is in the intake: what was published is on the
// logs, or in quarantine.
func Drained(t testing.TB, s *dev.Stack) {
	t.Helper()
	js := natsdtest.JetStream(t, s.NATS, natsd.Operator)
	Arrives(t, "an empty intake", func() (left uint64, done bool, err error) {
		in, err := js.Stream(t.Context(), stream.IntakeStream)
		if err != nil {
			return 0, false, err
		}
		left = in.CachedInfo().State.Msgs
		return left, left == 0, nil
	})
}

// Eventually asks until the answer is yes.
func Eventually(t testing.TB, what string, done func() (bool, error)) {
	t.Helper()
	Arrives(t, what, func() (uint64, bool, error) { ok, err := done(); return 0, ok, err })
}

// Arrives asks until the answer is yes, for as long as the number beside it
// moves on.
func Arrives(t testing.TB, what string, state func() (at uint64, done bool, err error)) {
	t.Helper()
	standing := time.NewTimer(Patience)
	defer standing.Stop()
	for last, wait := uint64(0), 10*time.Millisecond; ; wait = min(wait*3/2, 250*time.Millisecond) { // to ask costs
		at, done, err := state()
		if done && err == nil {
			return
		}
		if err == nil && at != last {
			last = at
			standing.Reset(Patience)
		}
		select {
		case <-standing.C:
			t.Fatalf("%s: nothing moves for %s (at %d, last error: %v)", what, Patience, last, err)
		case <-time.After(wait):
		}
	}
}
