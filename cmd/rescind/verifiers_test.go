package main

import (
	"context"
	"encoding/base64"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/revocation/feed"
)

// verifying is a verifier of a script.
type verifying struct {
	script *testscript.TestScript
	name   string
}

// connections is the connection of each verifier.
var connections sync.Map

// startVerifier NAME follows the feed of the stack until the script ends.
func startVerifier(ts *testscript.TestScript, _ bool, args []string) {
	d, err := dev.ReadFile(ts.Getenv("RESCIND_DATA"))
	ts.Check(err)
	key, err := base64.StdEncoding.DecodeString(d.FeedKey)
	ts.Check(err)
	nc, err := nats.Connect(d.NATS, natsd.Options(natsd.Verifier, d.NATSCreds["verifier"])...)
	ts.Check(err)
	connections.Store(verifying{ts, args[0]}, nc)
	f := feed.New(feed.Config{Conn: nc, PublicKey: key, Name: args[0]})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.Run(ctx) // ends with ctx, or when it is killed
	}()
	ts.Defer(func() {
		stop()
		<-done
		nc.Close()
	})
}

// silenceVerifier NAME ends a verifier without a word.
func silenceVerifier(ts *testscript.TestScript, _ bool, args []string) {
	nc, ok := connections.LoadAndDelete(verifying{ts, args[0]})
	if !ok {
		ts.Fatalf("no verifier %s", args[0])
	}
	nc.(*nats.Conn).Close()
}
