package dev

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rescindhq/rescind/internal/app"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/deployment"
	"github.com/rescindhq/rescind/internal/engine"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/secrets"
	"github.com/rescindhq/rescind/query"
)

const (
	// Environment is the environment of every stack of this package.
	Environment = "dev"
	// Database is its ClickHouse database.
	Database = "rescind"
	// TokenIssuer and TokenAudience are in its access tokens.
	TokenIssuer   = "rescind"
	TokenAudience = "rescind"
)

// intakeBytes is what may wait in the intake. JetStream sets it aside on the
// disk.
const intakeBytes = 128 << 20

// engineNice has ClickHouse stand back where it shares the cores with
// everything else: what revokes does not wait for what records.
const engineNice = 10

const (
	tokenTTL  = 30 * 24 * time.Hour
	stopWait  = 30 * time.Second
	readyWait = 60 * time.Second
)

// Options say where and how a stack runs.
type Options struct {
	// Dir is the folder for everything. Required; made if it is not there.
	Dir string
	// Ports to listen on; 0 takes a free one.
	HTTPPort, NATSPort, ClickHousePort, ClickHouseHTTPPort int
	// Shards is how many logs tenants are split over. Default 1; a folder keeps
	// the number that it was made with.
	Shards int
	// Ledger is the folder of the erasure ledger. Default: beside Dir, under its
	// name with .erasures, so that a copy of Dir that is put back does not bring
	// back who was erased; within Dir where nothing can be made beside it.
	Ledger string
	// Stale is the age from which a view is stale. Default 5 s.
	Stale time.Duration
	// Approval is above how many people a wide revocation needs a second person.
	// Default 1000; less than 0 is never.
	Approval int
	// Recipients is the file of recipients who are told of erasures, also on
	// loopback. Default none.
	Recipients string
	// Getenv stands for os.Getenv.
	Getenv func(string) string
	// Log takes the log of every part. nil discards.
	Log *slog.Logger
	// Progress takes lines for people about long work. nil discards.
	Progress func(string)
	// Roles runs the roles somewhere else, under the contract of app.Run, which
	// is the default. It closes the listener where it does not use it.
	Roles func(context.Context, app.Config) error
}

// Stack is a running stack.
type Stack struct {
	File   *File
	Engine *engine.Engine
	NATS   *natsd.Server
	Keys   *secrets.Folder

	dir     string
	log     *slog.Logger
	stop    context.CancelFunc // ends the roles
	started bool               // the roles were started
	done    chan struct{}      // closed when they have ended
	err     error              // why, once done is closed
}

// Run starts a stack, calls ready, and keeps it until ctx ends or a part of it
// fails for good.
func Run(ctx context.Context, o Options, ready func(*File) error) error {
	s, err := Start(ctx, o)
	if err != nil {
		return err
	}
	err = ready(s.File)
	if err == nil {
		select {
		case <-ctx.Done():
		case <-s.done:
			err = s.err
		}
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
	defer cancel()
	return errors.Join(err, s.Stop(stopping))
}

// Start starts a stack and returns when it is ready.
func Start(ctx context.Context, o Options) (*Stack, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("dev: %w", err)
	}
	o.Dir = dir
	s := &Stack{dir: o.Dir, log: o.Log, done: make(chan struct{}), stop: func() {}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Roles == nil {
		o.Roles = app.Run
	}
	for _, port := range []int{o.HTTPPort, o.NATSPort, o.ClickHousePort, o.ClickHouseHTTPPort} {
		if port < 0 || port > 65535 {
			return nil, fmt.Errorf("dev: port %d: want 0 to 65535", port)
		}
	}
	err = s.start(ctx, o)
	if err == nil {
		return s, nil
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
	defer cancel()
	return nil, errors.Join(err, s.Stop(stopping))
}

func (s *Stack) start(ctx context.Context, o Options) (err error) {
	if s.Keys, err = secrets.Init(filepath.Join(o.Dir, "keys")); err != nil {
		return err
	}
	if err := s.startEngine(ctx, o); err != nil {
		return err
	}
	if s.NATS, err = natsd.Start(ctx, natsd.Config{Dir: o.Dir, Port: o.NATSPort, Shards: o.Shards, Log: s.log}); err != nil {
		return err
	}
	if err := s.startRoles(ctx, o); err != nil {
		return err
	}
	return s.File.write(s.dir)
}

func (s *Stack) startEngine(ctx context.Context, o Options) error {
	users, err := deployment.Users(s.Keys, Database)
	if err != nil {
		return err
	}
	owner, err := secrets.ReadPassword(s.Keys.ClickHousePassword("owner"))
	if err != nil {
		return err
	}
	users = append(users, engine.User{Name: "owner", Password: owner, Grants: []string{"ALL ON " + Database + "*.*", "SELECT ON system.*", "TABLE ENGINE ON *", "KILL QUERY ON *.*"}})
	if _, err := ReadFile(o.Dir); err == nil {
		o.Progress("there is a dev.json in " + o.Dir + ": another stack runs there, or was killed")
	}
	s.Engine, err = engine.Start(ctx, engine.Config{
		Dir: filepath.Join(o.Dir, "clickhouse"), TCPPort: o.ClickHousePort, HTTPPort: o.ClickHouseHTTPPort, Database: Database,
		Users: users, Log: s.log, Progress: o.Progress, Getenv: o.Getenv, Restart: true,
		Nice: engineNice,
	})
	return err
}

// startRoles runs every role and waits until the API is ready.
func (s *Stack) startRoles(ctx context.Context, o Options) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.HTTPPort)))
	if err != nil {
		return fmt.Errorf("listen for the API: %w", err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	ready := make(chan struct{})
	s.started = true
	go func() {
		defer close(s.done)
		s.err = o.Roles(running, app.Config{
			Config: s.config(o), Getenv: o.Getenv, Log: s.log, Listener: listener, Ready: func() { close(ready) }, AwaitAudit: true,
		})
	}()
	if s.File, err = s.file(listener.Addr().String(), max(o.Shards, 1)); err != nil {
		return err
	}
	select {
	case <-ready:
		return nil
	case <-s.done:
		return errors.Join(errors.New("the roles stopped before they were ready"), s.err)
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(readyWait):
		return fmt.Errorf("not ready within %s", readyWait)
	}
}

func (s *Stack) config(o Options) config.Config {
	c := configuration(s.NATS.URL(), s.Engine.Addr(), s.NATS.CredsFile, s.Keys)
	if o.Shards != 0 {
		c.Shards = o.Shards
	}
	if o.Stale != 0 {
		c.Limits.Stale = o.Stale
	}
	c.Requests.Recipients, c.Callbacks.Allow = o.Recipients, []string{"127.0.0.0/8", "::1"}
	c.Erasure.Ledger = s.ledger(o)
	if o.Approval != 0 {
		c.Limits.Approval = max(o.Approval, 0)
	}
	return c
}

func (s *Stack) ledger(o Options) string {
	if o.Ledger != "" {
		return o.Ledger
	}
	beside := o.Dir + ".erasures"
	if err := os.MkdirAll(beside, 0o700); err != nil {
		s.log.Warn("the erasure ledger is in the folder itself: a copy of it, put back, brings back who was erased since", "err", err)
		return "" // in that of the root
	}
	return beside
}

// ConfigOf is the configuration of the stack that runs in dir, for what works
// on its stores from outside. fs.ErrNotExist means that nothing runs there.
func ConfigOf(dir string) (config.Config, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return config.Config{}, err
	}
	f, err := ReadFile(dir)
	if err != nil {
		return config.Config{}, err
	}
	keys, err := secrets.Open(filepath.Join(dir, "keys"))
	if err != nil {
		return config.Config{}, err
	}
	creds := func(r natsd.Role) string { return filepath.Join(dir, "nats", string(r)+".creds") }
	c := configuration(f.NATS, f.ClickHouse.Addr, creds, keys)
	c.Shards = max(f.Shards, 1)
	return c, nil
}

// configuration is that of every stack, by where its servers are.
func configuration(nats, clickhouse string, creds func(natsd.Role) string, keys *secrets.Folder) config.Config {
	c := config.Default()
	c.Profile, c.Environment = config.Dev, Environment
	c.NATS.URL = nats
	c.NATS.OperatorCreds, c.NATS.ProjectorCreds = creds(natsd.Operator), creds(natsd.Projector)
	c.NATS.APICreds, c.NATS.AuditorCreds = creds(natsd.API), creds(natsd.Auditor)
	password := func(user string) config.Secret { return config.Secret("file:" + keys.ClickHousePassword(user)) }
	c.ClickHouse = config.ClickHouse{
		Addr: clickhouse, Database: Database,
		MigratorUser: "migrator", MigratorPassword: password("migrator"),
		ProjectorUser: "projector", ProjectorPassword: password("projector"),
		APIUser: "api", APIPassword: password("api"),
		RebuilderUser: "rebuilder", RebuilderPassword: password("rebuilder"),
	}
	c.NATS.IntakeMaxBytes = intakeBytes
	c.Auth = config.Auth{Issuer: TokenIssuer, Audience: TokenAudience, JWKS: keys.JWKS()}
	c.Keys.Root, c.Keys.Feed = config.Root("dir:"+keys.Root()), config.Secret("file:"+keys.Feed())
	return c
}

func (s *Stack) file(addr string, shards int) (*File, error) {
	owner, err := secrets.ReadPassword(s.Keys.ClickHousePassword("owner"))
	if err != nil {
		return nil, err
	}
	feed, err := s.Keys.FeedPublicKey()
	if err != nil {
		return nil, err
	}
	f := &File{
		HTTP: "http://" + addr, NATS: s.NATS.URL(), Shards: shards, PID: os.Getpid(), Tokens: map[string]string{},
		ClickHouse: FileClickHouse{Addr: s.Engine.Addr(), User: "owner", Password: owner, Database: Database},
		NATSCreds:  map[string]string{"issuer": s.NATS.CredsFile(natsd.Issuer), "verifier": s.NATS.CredsFile(natsd.Verifier)},
		FeedKey:    base64.StdEncoding.EncodeToString(feed),
	}
	for _, role := range query.RoleNames() {
		if f.Tokens[role], err = s.Mint(role); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Mint is an access token of the role, for every tenant; its principal is the
// role's name.
func (s *Stack) Mint(role string) (string, error) {
	key, kid, err := s.Keys.APIKey()
	if err != nil {
		return "", err
	}
	return query.Mint(query.MintConfig{
		Key: key, KeyID: kid, Issuer: TokenIssuer, Audience: TokenAudience,
		Subject: role, Role: role, Tenants: []string{query.AllTenants}, TTL: tokenTTL,
	})
}

// Stop stops the roles, then NATS, then the engine. It may be called on a
// stack that did not start.
func (s *Stack) Stop(ctx context.Context) error {
	var errs []error
	if s.Engine != nil { // the folder is ours: one engine a folder
		os.Remove(filePath(s.dir)) // who finds it must find everything running
	}
	s.stop()
	if s.started {
		select {
		case <-s.done:
		case <-ctx.Done():
			errs = append(errs, errors.New("the roles did not stop in time"))
		}
	}
	if s.NATS != nil {
		errs = append(errs, s.NATS.Shutdown(ctx))
	}
	if s.Engine != nil {
		errs = append(errs, s.Engine.Stop(ctx))
	}
	return errors.Join(errs...)
}
