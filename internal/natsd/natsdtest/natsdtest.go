// Package natsdtest starts a real NATS server for tests.
//
// # What it is
//
// [Start] is a server with every stream in place; [Connect] and [JetStream] are
// clients of a role. [Proxy] makes a write fail although it was applied.
//
// # Guarantees
//
// A server is the test's own, on a directory of its own, and stopped with it. The
// streams of two servers of a test are not of the same moment: neither is taken
// for the other. Those of different tests may be.
//
// # Shapes and units
//
// Everything waits at most two minutes.
//
// # Errors
//
// What goes wrong fails the test.
//
// # Concurrency
//
// As of testing.TB: Start, Connect and JetStream belong to the test's goroutine.
//
// # What it does not do
//
// It does not kill servers: one that is to be killed needs a process of its own.
//
// # Sources
//
// None but internal/natsd.
package natsdtest

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
)

const patience = 2 * time.Minute

// Start runs a server of the test's own, with every stream in place, until the
// test ends.
func Start(t testing.TB) *natsd.Server {
	t.Helper()
	return StartIn(t, natsd.Config{Dir: t.TempDir()})
}

// StartIn is Start with a configuration: give Dir and Port to start again
// where an earlier server stood.
func StartIn(t testing.TB, cfg natsd.Config) *natsd.Server {
	t.Helper()
	return StartWith(t, cfg, stream.Topology{})
}

// StartWith is StartIn with streams that are not like those of a default
// deployment. Their shards are those of cfg.
func StartWith(t testing.TB, cfg natsd.Config, topology stream.Topology) *natsd.Server {
	t.Helper()
	topology.Shards = max(cfg.Shards, 1)
	prepared := prepare(t, cfg, topology)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := natsd.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Stop(t, s) })
	if prepared {
		return s
	}
	if err := ensure(ctx, s, topology); err != nil {
		t.Fatal(err)
	}
	return s
}

// Stop stops s before the test ends, as an operator would. It may be called
// twice.
func Stop(t testing.TB, s *natsd.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// Connect connects as role until the test ends.
func Connect(t testing.TB, s *natsd.Server, role natsd.Role) *nats.Conn {
	t.Helper()
	nc, err := s.Connect(role)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// JetStream is Connect for JetStream.
func JetStream(t testing.TB, s *natsd.Server, role natsd.Role) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(Connect(t, s, role))
	if err != nil {
		t.Fatal(err)
	}
	return js
}
