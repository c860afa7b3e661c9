package guard

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation/feed"
)

// DialConfig is what Dial needs to know.
type DialConfig struct {
	// Config is that of the guard. Dial makes Feed, and Keys and Report where
	// they are nil and the members below say how.
	Config

	// NATS is where the servers are, as tls://host:port. Several are separated
	// by commas. Required.
	NATS string
	// Credentials is the path of the verifier's NATS credentials. Empty: none.
	Credentials string
	// CA is the path of the certificates, in PEM, that NATS is trusted by.
	// Empty: the system's.
	CA string
	// FeedKey is the public key that revocations are signed with, in base64, as
	// rescind keys init prints it. Required.
	FeedKey string
	// Name is what people call this application, such as orders: with it, it is
	// one of the verifiers that revoking waits for. See feed.Config.
	Name string
	// Dir keeps the last snapshot, for a start without NATS: see feed.Config.
	// Empty keeps nothing.
	Dir string
	// StaleAfter is the age from which the feed vouches for nothing. Default
	// that of feed.Config.
	StaleAfter time.Duration

	// JWKS is the URL of the issuer's keys: see RemoteConfig. Required unless
	// Keys is given.
	JWKS string

	// Environment and Source have the outcome of every check published: where
	// this is, such as prod, and a URI of this application. Both or neither.
	Environment, Source string

	// Log is told what happens. Nil drops it.
	Log *slog.Logger
}

// Verifier is a Guard and all that it needs. Close ends it.
type Verifier struct {
	*Guard
	// Feed is where the guard knows from what is revoked.
	Feed *feed.Feed

	conn      *nats.Conn
	publisher *stream.Publisher // nil where nothing is published
	reports   *Async            // nil likewise
	log       *slog.Logger
	stop      context.CancelFunc
	giveUp    context.CancelFunc // on the reports that wait
	running   sync.WaitGroup
}

// Dial makes a Guard that follows the revocations of a Rescind deployment. It
// does not wait for them: until they are there, which Feed.Ready tells, tokens
// are unknown, or revoked by what Dir has. A server that does not answer is
// tried again for ever; an error is one of cfg.
func Dial(cfg DialConfig) (*Verifier, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	conn, err := cfg.connect()
	if err != nil {
		return nil, fmt.Errorf("guard: connect to nats: %w", err)
	}
	v := &Verifier{conn: conn, log: cfg.Log}
	if err := v.assemble(cfg); err != nil {
		conn.Close()
		return nil, fmt.Errorf("guard: %w", err)
	}
	v.start()
	return v, nil
}

func (c *DialConfig) connect() (*nats.Conn, error) {
	if c.NATS == "" {
		return nil, errors.New("nats is missing")
	}
	options := []nats.Option{
		nats.Name("rescind-guard"), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.Log.Error("nats refuses", "err", err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { c.Log.Warn("nats is not connected", "err", err) }),
	}
	if c.Credentials != "" {
		options = append(options, nats.UserCredentials(c.Credentials))
	}
	if c.CA != "" {
		options = append(options, nats.RootCAs(c.CA))
	}
	return nats.Connect(c.NATS, options...)
}

// assemble makes the parts. It starts nothing.
func (v *Verifier) assemble(cfg DialConfig) error {
	if err := errors.Join(v.follow(cfg), v.publish(&cfg), cfg.fetchKeys()); err != nil {
		return err
	}
	cfg.Feed = v.Feed
	var err error
	v.Guard, err = New(cfg.Config)
	return err
}

func (v *Verifier) follow(cfg DialConfig) error {
	key, err := base64.StdEncoding.DecodeString(cfg.FeedKey)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("feed key: want %d bytes in base64", ed25519.PublicKeySize)
	}
	c := feed.Config{Conn: v.conn, PublicKey: key, Name: cfg.Name, Dir: cfg.Dir, StaleAfter: cfg.StaleAfter, Log: cfg.Log}
	v.Feed = feed.New(c)
	return c.Validate()
}

func (c *DialConfig) fetchKeys() error {
	if c.Keys != nil {
		return nil
	}
	keys, err := NewRemoteKeys(RemoteConfig{URL: c.JWKS, OnFault: func(err error) { c.Log.Warn("a key of the issuer is left out", "err", err) }})
	if err != nil {
		return err
	}
	c.Keys = keys
	return nil
}

// waitingReports is how many reports may wait for NATS. An event is about 1 kB.
const waitingReports = 4096

func (v *Verifier) publish(cfg *DialConfig) (err error) {
	if cfg.Environment == "" && cfg.Source == "" || cfg.Report != nil {
		return nil
	}
	if cfg.Environment == "" || cfg.Source == "" {
		return errors.New("environment and source: want both or neither")
	}
	v.publisher, err = stream.NewPublisher(stream.PublisherConfig{Conn: v.conn, Tenant: cfg.Tenant, Environment: cfg.Environment, Source: cfg.Source, Log: cfg.Log})
	if err != nil {
		return err
	}
	v.reports = NewAsync(v.publisher, waitingReports, cfg.Log)
	cfg.Report = v.reports
	return nil
}

func (v *Verifier) start() {
	ctx, stop := context.WithCancel(context.Background())
	living, giveUp := context.WithCancel(context.Background())
	v.stop, v.giveUp = stop, giveUp
	v.run(ctx, v.Feed.Run)
	if v.reports != nil {
		v.running.Go(func() { v.reports.run(ctx, living) })
	}
}

func (v *Verifier) run(ctx context.Context, f func(context.Context) error) {
	v.running.Go(func() {
		if err := f(ctx); err != nil {
			v.log.Error("guard", "err", err)
		}
	})
}

// ReadyHandler is that of the feed.
func (v *Verifier) ReadyHandler() http.Handler { return v.Feed.ReadyHandler() }

// Dropped is how many reports were not published. What NATS did not take is known
// some seconds after, and when Close has returned.
func (v *Verifier) Dropped() uint64 {
	if v.reports == nil {
		return 0
	}
	return v.reports.Dropped()
}

// Close publishes the reports that wait, for as long as ctx lasts, and ends the
// rest. The Guard is not to be used after it: it would find its view stale.
func (v *Verifier) Close(ctx context.Context) (err error) {
	defer v.giveUp()
	defer context.AfterFunc(ctx, v.giveUp)()
	v.stop()
	v.running.Wait()
	if v.publisher != nil {
		err = v.publisher.Close(ctx)
		v.reports.settle(err)
	}
	v.conn.Close()
	return err
}
