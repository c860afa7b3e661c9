package app

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/projector/intakekey"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/callback"
	"github.com/rescindhq/rescind/query/dsr"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/export"
	"github.com/rescindhq/rescind/query/feedhttp"
	"github.com/rescindhq/rescind/query/history"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/leak"
	"github.com/rescindhq/rescind/query/store"
	"github.com/rescindhq/rescind/query/verifiers"
	"github.com/rescindhq/rescind/revocation/feed"
)

const (
	erasureLock = "erasure"
	exportLock  = "exports"
	leaksLock   = "leaks"
	lockTTL     = 30 * time.Second
	drain       = 10 * time.Second // for requests under way when the API stops
)

// parts is what the API is made of, beside the stores.
type parts struct {
	bus        *bus
	keys       *seal.Keyring
	intakeKeys intakekey.Reader
	publisher  *stream.Publisher
	bulk       *stream.Publisher // where order does not matter
	logs       []*stream.Log
	lane       *lane.Follower
	feed       *feed.Feed
	passed     *feedhttp.Server // the feed to others
	verifiers  *verifiers.Registry
	opendsr    *dsr.Signer // nil where OpenDSR is not spoken
	requests   *erasure.Workflow
	callbacks  *callback.Sender
	exports    *export.Office
	history    *history.History
	leaks      *leak.Worker
}

// api makes the API: the HTTP server, the view of the revocation set that it
// decides from, the lane that it follows, and the erasure worker.
func (a *app) api(ctx context.Context, b *bus) (role, error) {
	p, err := a.parts(ctx, b)
	if err != nil {
		return role{}, fmt.Errorf("api: %w", err)
	}
	conn, err := a.apiConn()
	if err != nil {
		return role{}, fmt.Errorf("api: %w", err)
	}
	a.closers = append(a.closers, func() { conn.Close() })
	tables := store.New(conn)
	if p.opendsr, err = a.openDSR(); err != nil {
		return role{}, fmt.Errorf("api: %w", err)
	}
	if err := a.requests(p, tables); err != nil {
		return role{}, fmt.Errorf("api: %w", err)
	}
	if err := a.leaks(p, tables); err != nil {
		return role{}, fmt.Errorf("api: %w", err)
	}
	server, err := a.server(ctx, p, tables)
	if err != nil {
		return role{}, fmt.Errorf("api: %w", err)
	}
	listener, err := a.listen(a.cfg.HTTP.Addr)
	if err != nil {
		return role{}, fmt.Errorf("api: %w", err)
	}
	a.closers = append(a.closers, func() { listener.Close() })
	a.log.Info("api listens", "addr", listener.Addr().String())
	return role{config.RoleAPI, func(ctx context.Context) error { return a.runAPI(ctx, p, listener, server) }}, nil
}

func (a *app) runAPI(ctx context.Context, p *parts, listener net.Listener, server *query.Server) error {
	behind, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives the last request
	defer stop()
	g, behind := errgroup.WithContext(behind)
	g.Go(func() error { return p.warm(behind) })
	g.Go(func() error { return ended(behind, p.lane.Run(behind)) })
	g.Go(func() error { return ended(behind, p.feed.Run(behind)) })
	g.Go(func() error { return ended(behind, p.verifiers.Run(behind)) })
	g.Go(func() error { return ended(behind, p.requests.Run(behind)) })
	g.Go(func() error { return ended(behind, p.leaks.Run(behind)) })
	g.Go(func() error {
		defer stop()
		return a.serveHTTP(ctx, behind, listener, server.Handler(), p.passed.Close)
	})
	return g.Wait()
}

// warm gets what the first revocation would wait for. What fails is tried again
// by what is published.
func (p *parts) warm(ctx context.Context) error {
	for _, to := range []*stream.Publisher{p.publisher, p.bulk} {
		_ = to.Warm(ctx)
	}
	return nil
}

// ended is err unless it only says that ctx ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// serveHTTP serves until ctx ends, or behind does because a part has failed. It
// calls end, which ends what would last, when it begins to stop.
func (a *app) serveHTTP(ctx, behind context.Context, listener net.Listener, h http.Handler, end func()) error {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: log.New(serverLog{a.log}, "", 0),
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	case <-behind.Done():
	}
	end()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := s.Shutdown(stopping)
	<-served
	return err
}

func (a *app) listen(addr string) (net.Listener, error) {
	l := a.listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", addr); err != nil {
			return nil, err
		}
	}
	if a.cfg.HTTP.Cert == "" {
		return l, nil
	}
	cert, err := tls.LoadX509KeyPair(a.cfg.HTTP.Cert, a.cfg.HTTP.Key)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("http.cert: %w", err), l.Close())
	}
	return tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}), nil
}

// apiConn is a lazy connection: the API starts without ClickHouse.
func (a *app) apiConn() (driver.Conn, error) {
	options, err := a.clickHouse(a.cfg.ClickHouse.APIUser, a.cfg.ClickHouse.APIPassword)
	if err != nil {
		return nil, err
	}
	return clickhouse.Open(options)
}

func (a *app) parts(ctx context.Context, b *bus) (*parts, error) {
	p := &parts{bus: b}
	logs, err := stream.OpenLogs(ctx, b.js, a.cfg.Shards)
	if err != nil {
		return nil, err
	}
	if p.keys, err = a.keyring(ctx, b); err != nil {
		return nil, err
	}
	p.intakeKeys = intakekey.Reader{Keyring: p.keys, Intake: b.intakeState}
	publishing := stream.PublisherConfig{
		Conn: b.nc, Environment: a.cfg.Environment, Source: query.Source, Service: true, RetryFor: drain, Log: a.log, Keys: p.intakeKeys.Published,
	}
	if p.publisher, err = a.publisher(ctx, publishing); err != nil {
		return nil, err
	}
	publishing.BatchEvents, publishing.Abreast = 1000, 4
	if p.bulk, err = a.publisher(ctx, publishing); err != nil {
		return nil, err
	}
	if p.lane, err = lane.New(lane.Config{Log: logs[0], Others: lanes(logs[1:]), Logger: a.log}); err != nil {
		return nil, err
	}
	key, err := a.feedKey()
	if err != nil {
		return nil, err
	}
	public := key.Public().(ed25519.PublicKey)
	if p.passed, err = feedhttp.New(feedhttp.Config{Source: feed.NewStored(b.nc, public), PublicKey: public, Log: a.log}); err != nil {
		return nil, err
	}
	if p.verifiers, err = verifiers.New(verifiers.Config{Conn: b.nc, Logger: a.log}); err != nil {
		return nil, err
	}
	p.feed = feed.New(feed.Config{
		Conn: b.nc, PublicKey: public, StaleAfter: a.cfg.Limits.Stale, OnDelta: p.passed.Pass, Log: a.log.With("role", config.RoleAPI),
		OnApply: func(s feed.Applied) { p.verifiers.Advance(s.Head) },
	})
	a.ready = append(a.ready, vouches(ctx, p.feed))
	if p.history, err = history.New(history.Config{Logs: logs, Keys: p.keys, Lane: p.lane, AtOnce: 4}); err != nil {
		return nil, err
	}
	p.logs = logs
	p.callbacks, err = a.callbacks(p)
	return p, err
}

// requests makes the workflow of data subjects' requests, and its worker.
func (a *app) requests(p *parts, s *store.Store) error {
	rules, err := a.cfg.Requests.Rules()
	if err != nil {
		return err
	}
	archive := &store.Archive{Store: s}
	for _, l := range p.logs {
		archive.Logs = append(archive.Logs, l)
	}
	notifying, err := a.notifying(p, archive)
	if err != nil {
		return err
	}
	if p.exports, err = a.exports(p, archive); err != nil {
		return err
	}
	cfg := erasure.Config{
		Deadlines: rules, Lane: p.lane, Publisher: p.publisher, Keyring: forgetting{p.keys, p.bus}, Policy: a.policy(), Logger: a.log,
		Archive: archive, Held: stream.NewHeld(p.bus.js), Intake: stream.NewBacklog(p.bus.js), Tokens: living{s, a.cfg.Limits.TokenLifetime},
		Exports: p.exports, Notifying: notifying, Telling: a.telling(p),
		ExportLock: func(ctx context.Context) (func(), error) {
			return stream.AcquireLock(ctx, p.bus.js, exportLock, lockTTL)
		},
		Lock: func(ctx context.Context) (func(), error) {
			return stream.AcquireLock(ctx, p.bus.js, erasureLock, lockTTL)
		},
	}
	if a.ledger != nil {
		cfg.Ledger = a.ledger
	}
	p.requests, err = erasure.New(cfg)
	return err
}

// publisher is closed with a.
func (a *app) publisher(ctx context.Context, cfg stream.PublisherConfig) (*stream.Publisher, error) {
	p, err := stream.NewPublisher(cfg)
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if err := p.Close(closing); err != nil {
			a.log.Error("events of the api were not accepted", "err", err)
		}
	})
	return p, nil
}

// leaks makes the worker that looks for tokens that were accepted although they
// were revoked.
func (a *app) leaks(p *parts, s *store.Store) (err error) {
	p.leaks, err = leak.New(leak.Config{
		Store: s, Marks: stream.NewMarks(p.bus.js, "leaks"), Publisher: p.publisher, Environment: a.cfg.Environment, Shards: a.cfg.Shards,
		Bound: a.cfg.Limits.Stale, Logger: a.log.With("role", config.RoleAPI),
		Lock: func(ctx context.Context) (func(), error) {
			return stream.AcquireLock(ctx, p.bus.js, leaksLock, lockTTL)
		},
	})
	return err
}

func lanes(logs []*stream.Log) (out []lane.Log) {
	for _, l := range logs {
		out = append(out, l)
	}
	return out
}

// vouches is closed once f answers for every tenant it knows, or ctx has ended.
func vouches(ctx context.Context, f *feed.Feed) <-chan struct{} {
	return when(ctx, func() bool { return f.Status().Doubt == "" })
}

// auth says whose access tokens are accepted.
func (a *app) auth() (*query.AuthConfig, error) {
	jwks, err := os.ReadFile(a.cfg.Auth.JWKS)
	if err != nil {
		return nil, fmt.Errorf("auth.jwks: %w", err)
	}
	keys, err := query.ParseJWKS(jwks)
	if err != nil {
		return nil, fmt.Errorf("auth.jwks %s: %w", a.cfg.Auth.JWKS, err)
	}
	return &query.AuthConfig{Issuer: a.cfg.Auth.Issuer, Audience: a.cfg.Auth.Audience, Keys: keys, Leeway: min(a.cfg.Limits.Skew, time.Minute)}, nil
}

func (a *app) server(ctx context.Context, p *parts, s *store.Store) (*query.Server, error) {
	auth, err := a.auth()
	if err != nil {
		return nil, err
	}
	quarantine, err := stream.OpenQuarantine(ctx, p.bus.js)
	if err != nil {
		return nil, err
	}
	a.watchQuarantine(quarantine)
	a.watchFeed(p.feed)
	a.watchStreams(p.passed)
	a.watchVerifiers(p.verifiers)
	a.watchRequests(p.requests)
	return query.New(query.Config{
		Auth: *auth, Policy: a.policy(), Shards: a.cfg.Shards, Publisher: p.publisher, Bulk: p.bulk, Lane: p.lane, Events: s, Findings: s, Reach: s, History: p.history, Keyring: p.keys, IntakeKeys: p.intakeKeys, CallbackKeys: p.callbackKeys, Decider: p.feed, Receipts: p.verifiers,
		Requests: p.requests, Exports: p.exports, Quarantine: quarantine, Feed: p.passed, OpenDSR: p.opendsr, Probes: a.probes, Registry: a.registry, Logger: a.log,
		MaxLifetime: a.cfg.Limits.TokenLifetime, Skew: a.cfg.Limits.Skew,
		LeakBound: a.cfg.Limits.Stale, ApprovalAbove: uint64(a.cfg.Limits.Approval), ApprovalTTL: a.cfg.Limits.ApprovalTTL,
	})
}
