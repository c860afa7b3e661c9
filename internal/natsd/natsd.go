package natsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
)

// MaxPayload is the largest message the server takes: a batch of the log is
// under 1 MiB, an event in quarantine up to 1.5 MiB.
const MaxPayload = 4 << 20

const startWait = 20 * time.Second

// Config says where and how the server runs.
type Config struct {
	// Dir is where everything is kept: Dir/nats holds keys, credentials and
	// streams. Required. It is created with mode 0700.
	Dir string
	// Host is the address to listen on. Default 127.0.0.1.
	Host string
	// Port is the TCP port. 0 takes a free one, which changes with each start.
	Port int
	// Shards is how many logs the roles may reach. Default 1, at most
	// events.MaxShards: what the streams are made for.
	Shards int
	// SyncEvery is how long acknowledged data may stay unwritten to the disk.
	// Zero, the default, writes before each acknowledgement, so that it
	// survives power loss; anything else survives only the loss of the process.
	SyncEvery time.Duration
	// MaxStore bounds what all streams together may take on disk, in bytes. 0
	// leaves it to the server: three quarters of what is free.
	MaxStore int64
	// Log receives the server's own warnings and errors. Nil drops them.
	Log *slog.Logger
}

// Validate reports all faults of c.
func (c *Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("dir is empty: want a directory of our own"))
	}
	if c.Port < 0 || c.Port > 65535 {
		errs = append(errs, fmt.Errorf("port %d: want 0 to 65535", c.Port))
	}
	if c.Shards < 0 || c.Shards > events.MaxShards {
		errs = append(errs, fmt.Errorf("shards %d: want 1 to %d", c.Shards, events.MaxShards))
	}
	if c.SyncEvery < 0 {
		errs = append(errs, fmt.Errorf("sync every %s: want 0 (always) or more", c.SyncEvery))
	}
	if c.MaxStore < 0 {
		errs = append(errs, fmt.Errorf("max store %d: want 0 (three quarters of the disk) or more", c.MaxStore))
	}
	return errors.Join(errs...)
}

// Server is a running server.
type Server struct {
	ns    *server.Server
	url   string
	creds map[Role]string // path of the credentials file
}

// Start starts the server and waits until it accepts connections.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("nats server: %w", err)
	}
	id, err := openIdentity(filepath.Join(cfg.Dir, "nats"))
	if err != nil {
		return nil, fmt.Errorf("nats server keys: %w", err)
	}
	id.shards = max(cfg.Shards, 1)
	opts, err := id.options(cfg)
	if err != nil {
		return nil, fmt.Errorf("nats server accounts: %w", err)
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("nats server: %w", err)
	}
	if cfg.Log != nil {
		ns.SetLoggerV2(logger{cfg.Log}, false, false, false)
	}
	if err := id.load(ns); err != nil {
		return nil, fmt.Errorf("nats server accounts: %w", err)
	}
	s := &Server{ns: ns, creds: id.creds}
	go ns.Start()
	if err := s.await(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// await returns when the server is ready, or ctx or the time is up.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for !s.ns.ReadyForConnections(100 * time.Millisecond) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("nats server is not ready: %w", err)
		}
	}
	s.url = urlOf(s.ns.Addr())
	return nil
}

func urlOf(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "nats://" + net.JoinHostPort(host, port)
}

// URL is where clients connect to.
func (s *Server) URL() string { return s.url }

// CredsFile is the path of the credentials of role, for nats.UserCredentials.
func (s *Server) CredsFile(role Role) string { return s.creds[role] }

// Connect connects as role. The inbox prefix is the role's own and reconnects
// are unlimited unless opts say otherwise.
func (s *Server) Connect(role Role, opts ...nats.Option) (*nats.Conn, error) {
	file, ok := s.creds[role]
	if !ok {
		return nil, fmt.Errorf("connect to nats: unknown role %q", role)
	}
	nc, err := nats.Connect(s.URL(), append(Options(role, file), opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to nats as %s: %w", role, err)
	}
	return nc, nil
}

// Options are the options with which a client of the given role connects to
// any server that has our permissions.
func Options(role Role, credsFile string) []nats.Option {
	return []nats.Option{
		nats.Name("rescind-" + string(role)),
		nats.UserCredentials(credsFile),
		nats.CustomInboxPrefix(InboxPrefix(role)),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
	}
}

// Shutdown stops the server and returns when its files are closed, or ctx is
// done.
func (s *Server) Shutdown(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.stop()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop nats server: %w", ctx.Err())
	}
}

func (s *Server) stop() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}

// logger hands the server's warnings and errors to slog. Notices are the
// server's start banner; debug and trace lines would hold subjects.
type logger struct{ to *slog.Logger }

func (l logger) Noticef(string, ...any) {}
func (l logger) Debugf(string, ...any)  {}
func (l logger) Tracef(string, ...any)  {}
func (l logger) Warnf(f string, args ...any) {
	l.to.Warn("nats server warns", "detail", fmt.Sprintf(f, args...))
}
func (l logger) Errorf(f string, args ...any) {
	l.to.Error("nats server failed", "detail", fmt.Sprintf(f, args...))
}
func (l logger) Fatalf(f string, args ...any) {
	l.to.Error("nats server stops", "detail", fmt.Sprintf(f, args...))
}
