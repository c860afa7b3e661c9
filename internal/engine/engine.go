package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Defaults of Config.
const (
	defaultStartTimeout = 60 * time.Second
	defaultMaxMemory    = 2 << 30
	minMaxMemory        = 256 << 20
)

// adminUser is the engine's own account. Its password is random, lives in
// memory only, and changes with every Start; users.xml holds its SHA-256.
const adminUser = "rescind_engine"

// errPortTaken says that a listener could not bind.
var errPortTaken = errors.New("port is taken")

// User is one account of the engine, fixed when it starts: the library has no
// writable user directory, so CREATE USER does not work on it.
type User struct {
	// Name: a letter or underscore, then letters, digits, underscores.
	// "default" and "rescind_engine" are the engine's own.
	Name string
	// Password must not be empty. Only its SHA-256 is written to disk.
	Password string
	// Grants are statements such as "GRANT SELECT ON db.*"; the leading GRANT
	// may be left out. None means no rights at all, not all rights. Creating
	// tables needs TABLE ENGINE beside CREATE TABLE, as on a strict server.
	Grants []string
	// Settings go into a profile of the user's own, over the engine's pins.
	Settings map[string]string
}

// Config says what engine to run. The zero value of every field but Dir works.
type Config struct {
	// Dir holds data, configuration and log; created 0700. One engine a folder:
	// the second one fails. Required.
	Dir string
	// TCPPort and HTTPPort are on 127.0.0.1. 0 picks a free one and keeps it
	// over restarts; a pinned one that is taken is an error.
	TCPPort, HTTPPort int
	// Database is created with ENGINE = Atomic before Start returns. "" creates
	// none.
	Database string
	// Users can log in from loopback, each with its own password and grants.
	// The built-in user "default" cannot log in over any port.
	Users []User
	// Log receives starts, restarts and installs. nil is silent.
	Log *slog.Logger
	// Progress receives lines for people about an install. nil is silent.
	Progress func(string)
	// Getenv stands for os.Getenv (the default): PATH, HOME, XDG_CACHE_HOME and
	// RESCIND_LIBCHDB decide which engine is found.
	Getenv func(string) string
	// Restart starts the child again, on the same ports, when it dies.
	Restart bool
	// StartTimeout bounds one start of the child, after any install. Default
	// 60 s: a large folder takes a while to load, and a hung start must end.
	StartTimeout time.Duration
	// MaxMemory bounds what the server may allocate, in bytes. Default 2 GiB,
	// at least 256 MiB; queries over it fail, the process lives on.
	MaxMemory int64
	// Nice is how much further than we do the engine stands back for processes
	// that want the same cores, as nice(1) has it. Default 0, no further; up to
	// 19, and in all no further than 19. Linux only.
	Nice int
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("dir is empty"))
	}
	for _, port := range []int{c.TCPPort, c.HTTPPort} {
		if port < 0 || port > 65535 {
			errs = append(errs, fmt.Errorf("port %d is not between 0 and 65535", port))
		}
	}
	if c.TCPPort != 0 && c.TCPPort == c.HTTPPort {
		errs = append(errs, fmt.Errorf("tcp port and http port are both %d", c.TCPPort))
	}
	if c.MaxMemory != 0 && c.MaxMemory < minMaxMemory {
		errs = append(errs, fmt.Errorf("max memory %d is below %d bytes", c.MaxMemory, minMaxMemory))
	}
	if c.Nice < 0 || c.Nice > 19 {
		errs = append(errs, fmt.Errorf("nice %d is not between 0 and 19", c.Nice))
	}
	return errors.Join(append(errs, validateUsers(c.Users))...)
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = defaultStartTimeout
	}
	if c.MaxMemory == 0 {
		c.MaxMemory = defaultMaxMemory
	}
	return c
}

// Engine is a running ClickHouse. Its methods may be called from any goroutine.
type Engine struct {
	// Fixed once Start has returned.
	cfg      Config
	location Location
	layout   layout
	unlock   func() // of Dir
	ports    ports
	admin    User

	// life ends when Stop is called; done closes when the supervisor has gone.
	life context.Context
	end  context.CancelFunc
	done chan struct{}
	died chan error

	mu      sync.Mutex // guards what follows
	child   *child
	version string
	stopErr error
}

// Start finds an engine, installing one if there is none, and returns when it
// answers on its TCP port. ctx bounds Start only; the engine runs until Stop.
func Start(ctx context.Context, cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	cfg = cfg.withDefaults()
	location, err := findOrInstall(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	e, err := newEngine(cfg, location)
	if err != nil {
		return nil, fmt.Errorf("start engine in %s: %w", cfg.Dir, err)
	}
	if err := e.open(ctx); err != nil {
		e.end()
		e.unlock()
		return nil, fmt.Errorf("start engine in %s: %w", cfg.Dir, err)
	}
	go e.supervise()
	return e, nil
}

func newEngine(cfg Config, location Location) (*Engine, error) {
	layout, err := newLayout(cfg.Dir)
	if err != nil {
		return nil, err
	}
	unlock, err := layout.claim()
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	return &Engine{
		cfg:      cfg,
		location: location,
		layout:   layout,
		unlock:   unlock,
		ports:    ports{tcp: cfg.TCPPort, http: cfg.HTTPPort},
		admin:    User{Name: adminUser, Password: rand.Text(), Grants: []string{"ALL ON *.*"}},
		life:     life,
		end:      end,
		done:     make(chan struct{}),
		died:     make(chan error, 16),
	}, nil
}

// open brings the first child up and creates the database.
func (e *Engine) open(ctx context.Context) error {
	if err := e.bringUp(ctx); err != nil {
		return err
	}
	if e.cfg.Database == "" {
		return nil
	}
	err := e.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+quoteName(e.cfg.Database)+" ENGINE = Atomic")
	if err != nil {
		return errors.Join(fmt.Errorf("create database %s: %w", e.cfg.Database, err), e.current().kill())
	}
	return nil
}

// bringUp starts one child. Ports that we pick can be taken by somebody else
// before the child binds them, so then other ones are tried; pinned ports, and
// ports that clients already know, are not replaced.
func (e *Engine) bringUp(ctx context.Context) error {
	wanted := e.ports
	for attempt := 1; ; attempt++ {
		chosen, err := wanted.choose()
		if err != nil {
			return err
		}
		if chosen != e.ports { // never after Start has returned, when others read them
			e.ports = chosen
		}
		err = e.launch(ctx)
		if !errors.Is(err, errPortTaken) || wanted == chosen || attempt == 3 {
			return err
		}
		e.cfg.Log.Info("engine port was taken, choosing another", "attempt", attempt, "err", err)
	}
}

// launch writes the configuration, starts the child and waits until it answers.
func (e *Engine) launch(ctx context.Context) error {
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, e.cfg.StartTimeout)
	defer cancel()
	if err := e.layout.write(e.settings()); err != nil {
		return err
	}
	if err := e.layout.awaitLeft(ctx); err != nil {
		return err
	}
	spec, err := e.command()
	if err != nil {
		return err
	}
	c, err := spawn(spec)
	if err != nil {
		return err
	}
	version, err := e.awaitReady(ctx, c)
	if err != nil {
		return errors.Join(err, c.kill())
	}
	e.mu.Lock()
	e.child, e.version = c, version
	e.mu.Unlock()
	e.cfg.Log.Info("engine ready", "addr", e.Addr(), "pid", c.pid(), "version", version,
		"source", e.location.Source, "elapsed", time.Since(started))
	return nil
}

// Addr is the address of the native protocol, 127.0.0.1:port.
func (e *Engine) Addr() string { return e.ports.address(e.ports.tcp) }

// HTTPAddr is the address of the HTTP interface, 127.0.0.1:port.
func (e *Engine) HTTPAddr() string { return e.ports.address(e.ports.http) }

// Pid is the process id of the present child, or of the last one.
func (e *Engine) Pid() int { return e.current().pid() }

// Version is what the server says of itself, for example 26.7.2.
func (e *Engine) Version() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.version
}

// Location says which engine runs and where it was found.
func (e *Engine) Location() Location { return e.location }

// LogFile is the path of the server's log.
func (e *Engine) LogFile() string { return e.layout.log }

// Kill ends the child with SIGKILL and returns when it is gone. Died reports
// it, and with Restart it comes back.
func (e *Engine) Kill() error {
	if err := e.current().kill(); err != nil {
		return fmt.Errorf("kill engine pid=%d: %w", e.Pid(), err)
	}
	return nil
}

// Pause stops the child with SIGSTOP: connections stay open and, once the last
// thread has stopped, a moment later, nobody answers.
func (e *Engine) Pause() error { return e.signal("pause", syscall.SIGSTOP) }

// Resume lets a paused child go on.
func (e *Engine) Resume() error { return e.signal("resume", syscall.SIGCONT) }

func (e *Engine) signal(what string, sig os.Signal) error {
	if err := e.current().signal(sig); err != nil {
		return fmt.Errorf("%s engine pid=%d: %w", what, e.Pid(), err)
	}
	return nil
}

// Died receives one value each time the child exits unexpectedly, a failed
// restart included. It holds 16; what nobody reads beyond that is only logged.
func (e *Engine) Died() <-chan error { return e.died }

// Stop ends the engine in good order and waits for it. When ctx ends first the
// child is killed; that loses nothing that was acknowledged. Stopping twice, or
// stopping an engine that has died, is fine.
func (e *Engine) Stop(ctx context.Context) error {
	e.end()
	select {
	case <-e.done:
	case <-ctx.Done():
		killErr := e.current().kill()
		<-e.done
		return errors.Join(fmt.Errorf("stop engine: killed: %w", ctx.Err()), killErr)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopErr
}

func (e *Engine) current() *child {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.child
}

// quoteName writes name as an identifier.
func quoteName(name string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(name) + "`"
}
