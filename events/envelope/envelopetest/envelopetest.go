// Package envelopetest stands in for the intake's keys in the tests of those who
// publish where no intake runs.
//
// # What it is
//
// [New] is a key that takes messages now; [Keys.Serve] gives it to whoever asks
// over NATS, and [Keys.Open] opens what was encrypted to it.
//
// # Guarantees
//
// None beyond those of events/envelope.
//
// # Shapes and units
//
// A key is for the day around the test.
//
// # Errors
//
// What goes wrong fails the test.
//
// # Concurrency
//
// Keys may be used from any goroutine; New and Serve belong to the test's.
//
// # What it does not do
//
// It does not rotate.
//
// # Sources
//
// None but events/envelope.
package envelopetest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/stream"
)

// Keys is one key of an intake.
type Keys struct{ Private envelope.PrivateKey }

// New is a key of twelve hours ago that ends in as many.
func New(t testing.TB) *Keys {
	t.Helper()
	now := time.Now()
	private, err := envelope.Generate(now.Add(-12*time.Hour), now.Add(12*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return &Keys{private}
}

// Serve answers requests for keys over nc until the test ends.
func (k *Keys) Serve(t testing.TB, nc *nats.Conn) {
	t.Helper()
	sub, err := nc.Subscribe(stream.IntakeKeysSubject, func(m *nats.Msg) {
		set, _ := k.Set(context.Background())
		b, err := json.Marshal(set)
		if err == nil {
			err = m.Respond(b)
		}
		if err != nil {
			t.Error(err)
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() }) // fails only where nc is closed
}

// Set is the key as it is published: for stream.PublisherConfig.Keys.
func (k *Keys) Set(context.Context) (envelope.Set, error) {
	return envelope.Set{Keys: []envelope.PublicKey{k.Private.PublicKey}, Now: time.Now()}, nil
}

// Open is m as it was before it was encrypted; m itself where it was not.
func (k *Keys) Open(t testing.TB, m events.Message) events.Message {
	t.Helper()
	if m.ContentType != envelope.ContentType {
		return m
	}
	sealed, err := envelope.Parse(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	if m.Body, err = sealed.Open(k.Private); err != nil {
		t.Fatal(err)
	}
	m.ContentType = sealed.ContentType
	return m
}
