// Package lanetest gives tests a real log with a real intake in front of it:
// what is published is on the control lane a moment later.
package lanetest

import (
	"context"
	"encoding/base64"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/projector/intake"
	"github.com/rescindhq/rescind/projector/intakekey"
	"github.com/rescindhq/rescind/query/lane"
)

// Environment is the environment of the kit.
const Environment = "test"

// Kit is a NATS server with an intake, and what the API holds of it.
type Kit struct {
	T         testing.TB
	NATS      *natsd.Server
	Conn      *nats.Conn // as the API
	JS        jetstream.JetStream
	Log       *stream.Log
	Keyring   *seal.Keyring // as the API: it can open and destroy, not make
	Publisher *stream.Publisher
	Policy    events.Policy

	// StopIntake stops the first intake: what is published then waits.
	StopIntake func()

	// Projector is the connection of the projector's side, and Keys its keyring.
	Projector *nats.Conn
	Keys      *seal.Keyring
}

// Start starts all of it, until the test ends.
func Start(t testing.TB) *Kit {
	t.Helper()
	k := &Kit{T: t, NATS: natsdtest.Start(t), Policy: events.Policy{Environment: Environment}}
	k.Conn, k.Projector = natsdtest.Connect(t, k.NATS, natsd.API), natsdtest.Connect(t, k.NATS, natsd.Projector)
	var err error
	k.JS, err = jetstream.New(k.Conn)
	k.check(err)
	k.Log, err = stream.OpenLog(t.Context(), k.JS)
	k.check(err)
	k.Publisher, err = stream.NewPublisher(stream.PublisherConfig{Conn: k.Conn, Environment: Environment, Source: "test", Service: true})
	k.check(err)
	t.Cleanup(func() { _ = k.Publisher.Close(context.Background()) })
	k.Keyring, k.Keys = k.keyring(k.Conn), k.keyring(k.Projector)
	k.keeper()
	k.StopIntake = k.Intake()
	return k
}

func (k *Kit) check(err error) {
	k.T.Helper()
	if err != nil {
		k.T.Fatal(err)
	}
}

// Root is what the kit's keyring is wrapped under, for another process.
func Root() seal.Root {
	kek, err := seal.ParseKEK(base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")))
	if err != nil {
		panic(err) // it is a constant
	}
	return kek
}

func (k *Kit) keyring(nc *nats.Conn) *seal.Keyring {
	k.T.Helper()
	js, err := jetstream.New(nc)
	k.check(err)
	store, err := stream.OpenKeyStore(k.T.Context(), js)
	k.check(err)
	keys, err := seal.NewKeyring(seal.Config{Store: store, Root: Root()})
	k.check(err)
	_, err = nc.Subscribe(stream.LiveErasures+".>", func(m *nats.Msg) { // as every process does that holds keys
		if tenant, handle, ok := strings.Cut(strings.TrimPrefix(m.Subject, stream.LiveErasures+"."), "."); ok {
			keys.Evict(tenant, handle)
		}
	})
	k.check(err)
	return keys
}

// keeper looks after the keys that publishers encrypt to.
func (k *Kit) keeper() {
	k.T.Helper()
	keeper, err := intakekey.New(intakekey.Config{Conn: k.Projector, Keyring: k.Keys, Intake: k.intakeState})
	k.check(err)
	k.Run(keeper.Run)
}

func (k *Kit) intakeState(ctx context.Context) (stream.IntakeState, error) {
	return stream.ReadIntakeState(ctx, k.JS)
}

// IntakeKeys is those keys, as the API reads them.
func (k *Kit) IntakeKeys() intakekey.Reader {
	return intakekey.Reader{Keyring: k.Keyring, Intake: k.intakeState}
}

// Intake runs an intake until the returned function is called, or the test
// ends.
func (k *Kit) Intake() (stop func()) { return k.IntakeWith(func(*intake.Config) {}) }

// IntakeWith is Intake with a changed configuration.
func (k *Kit) IntakeWith(change func(*intake.Config)) (stop func()) {
	k.T.Helper()
	ctx := k.T.Context()
	js, err := jetstream.New(k.Projector)
	k.check(err)
	log, err := stream.OpenLog(ctx, js)
	k.check(err)
	quarantine, err := stream.OpenQuarantine(ctx, js)
	k.check(err)
	cfg := intake.Config{
		Open: func(ctx context.Context) (intake.Source, error) { return stream.OpenIntake(ctx, js) },
		Log:  log, Quarantine: quarantine, Keyring: k.Keys, Policy: k.Policy,
	}
	change(&cfg)
	in, err := intake.New(cfg)
	k.check(err)
	stop = k.Run(in.Run)
	select {
	case <-in.Ready():
	case <-ctx.Done():
		k.T.Fatal("the intake did not start")
	}
	return stop
}

// Follower is a follower of the kit's log that does not run yet.
func (k *Kit) Follower() *lane.Follower {
	k.T.Helper()
	f, err := lane.New(lane.Config{Log: k.Log, Retry: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	k.check(err)
	return f
}

// Run runs fn until the returned function is called, which waits for it, or
// the test ends.
func (k *Kit) Run(fn func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := fn(ctx); err != nil && ctx.Err() == nil {
			k.T.Errorf("stopped by itself: %v", err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	k.T.Cleanup(stop)
	return stop
}

// Publish publishes events, and fails the test where they are not accepted.
func (k *Kit) Publish(evs ...events.Event) {
	k.T.Helper()
	if err := k.Publisher.Publish(k.T.Context(), evs...); err != nil {
		k.T.Fatal(err)
	}
}

// patience is how long anything may take on a machine that has much else to do.
const patience = 2 * time.Minute

// Eventually asks until holds has nothing to say against it, and less often the
// longer it takes: to ask costs.
func Eventually(t testing.TB, what string, holds func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for wait := 5 * time.Millisecond; ; wait = min(wait*3/2, 200*time.Millisecond) {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}
