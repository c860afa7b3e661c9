package app

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/secrets"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure/ledger"
)

// Config is what Run needs.
type Config struct {
	config.Config

	// Getenv stands for os.Getenv: secrets may be in the environment.
	Getenv func(string) string
	// Log is required.
	Log *slog.Logger
	// Listener is where the API listens, or what stands in for it in a process that
	// has none. nil listens on http.addr, or http.operation_addr.
	Listener net.Listener
	// Ready is called once, when every role of this process is at work. nil is
	// not called.
	Ready func()
	// AwaitAudit makes Ready wait for ClickHouse, too. Without it a deployment
	// is ready to revoke while ClickHouse is down.
	AwaitAudit bool
}

// app is one process. Its fields are set by open and by the roles before they
// run; after that they are only read.
type app struct {
	cfg      config.Config
	log      *slog.Logger
	getenv   func(string) string
	listener net.Listener

	ledger   *ledger.Ledger // nil where there is none
	registry *prometheus.Registry
	probes   []query.Probe
	closers  []func()          // what was opened, in that order
	await    bool              // Config.AwaitAudit
	ready    []<-chan struct{} // closed when a role is at work
}

func open(c Config) (*app, error) {
	if err := c.Config.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	a := &app{cfg: c.Config, log: c.Log, getenv: c.Getenv, listener: c.Listener, await: c.AwaitAudit, registry: prometheus.NewRegistry()}
	if a.getenv == nil {
		a.getenv = os.Getenv
	}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return a, nil
}

// close closes what was opened, the last first.
func (a *app) close() {
	for i := len(a.closers) - 1; i >= 0; i-- {
		a.closers[i]()
	}
}

// beside runs part from now on until what was opened is closed.
func (a *app) beside(part func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := part(ctx); err != nil {
			a.log.Error("a part of the process has ended", "err", err)
		}
	})
	a.closers = append(a.closers, func() { cancel(); running.Wait() })
}

// role is a part that runs until its context ends.
type role struct {
	name string
	run  func(context.Context) error
}

// Run runs the roles of the configuration until ctx ends or one of them fails
// for good.
func Run(ctx context.Context, c Config) error {
	a, err := open(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := a.ensureStreams(ctx); err != nil {
		return err
	}
	defer a.close()
	roles, err := a.roles(ctx)
	if err != nil {
		return err
	}
	return a.run(ctx, roles, c.Ready)
}

// roles opens what the roles of the configuration need.
func (a *app) roles(ctx context.Context) ([]role, error) {
	projector, err := a.connect(natsd.Projector, a.cfg.NATS.ProjectorCreds, nil)
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, projector.nc.Close)
	if err := a.checkLogs(ctx, projector.js); err != nil {
		return nil, err
	}
	api, err := a.connectAPI()
	if err != nil {
		return nil, err
	}
	if err := a.gate(ctx, projector, api); err != nil {
		return nil, err
	}
	roles, err := a.projectors(ctx, projector)
	if err != nil {
		return nil, err
	}
	if api == nil {
		serve, err := a.operation()
		return append(roles, serve...), err
	}
	serve, err := a.api(ctx, api)
	return append(roles, serve), err
}

// connectAPI is nil where this process has no API.
func (a *app) connectAPI() (*bus, error) {
	if !a.cfg.Runs(config.RoleAPI) {
		return nil, nil
	}
	b, err := a.connect(natsd.API, a.cfg.NATS.APICreds, nil)
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, b.nc.Close)
	return b, nil
}

// projectors makes the roles that read and write streams.
func (a *app) projectors(ctx context.Context, b *bus) (roles []role, err error) {
	for _, r := range []struct {
		name string
		make func(context.Context, *bus) (role, error)
	}{{config.RoleIntake, a.intake}, {config.RoleAudit, a.audit}, {config.RoleRevoke, a.revoke}} {
		if !a.cfg.Runs(r.name) {
			continue
		}
		made, err := r.make(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		roles = append(roles, made)
	}
	return roles, nil
}

func (a *app) run(ctx context.Context, roles []role, ready func()) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range roles {
		g.Go(func() error {
			a.log.Info("role started", "role", r.name)
			err := r.run(ctx)
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			a.log.Info("role stopped", "role", r.name)
			return nil
		})
	}
	g.Go(func() error { return a.announce(ctx, ready) })
	return g.Wait()
}

// announce calls ready once every role is at work.
func (a *app) announce(ctx context.Context, ready func()) error {
	for _, c := range a.ready {
		select {
		case <-c:
		case <-ctx.Done():
			return nil
		}
	}
	a.log.Info("ready")
	if ready != nil {
		ready()
	}
	return nil
}

// policy is what this deployment asks of every event.
func (a *app) policy() events.Policy {
	return events.Policy{
		Environment: a.cfg.Environment, RequireEnvironment: a.cfg.Profile == config.Production, MaxAhead: a.cfg.Limits.Ahead,
	}
}

func (a *app) feedPublicKey() (ed25519.PublicKey, error) {
	key, err := a.feedKey()
	if err != nil {
		return nil, err
	}
	return key.Public().(ed25519.PublicKey), nil
}

func (a *app) feedKey() (ed25519.PrivateKey, error) {
	pem, err := a.cfg.Keys.Feed.Resolve(a.getenv)
	if err != nil {
		return nil, fmt.Errorf("keys.feed: %w", err)
	}
	key, err := secrets.ParseFeedKey([]byte(pem))
	if err != nil {
		return nil, fmt.Errorf("keys.feed: %w", err)
	}
	return key, nil
}
