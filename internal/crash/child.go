package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/rescindhq/rescind/internal/deployment"
	"github.com/rescindhq/rescind/internal/engine"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/rebuild"
	"github.com/rescindhq/rescind/internal/secrets"
)

// child is what a server is told. It has no secret in it: those are in Dir.
type child struct {
	Server   string // nats or clickhouse
	Dir      string
	Port     int // of clients
	HTTPPort int // of ClickHouse
}

// The servers that a child can be.
const (
	natsServer       = "nats"
	clickHouseServer = "clickhouse"
)

// Serve is the server that args, a child in JSON, say, until the process is told
// to end.
func Serve(args []string) error {
	var c child
	if len(args) != 1 {
		return errors.New("usage: server CHILD, as a site starts it")
	}
	if err := json.Unmarshal([]byte(args[0]), &c); err != nil {
		return fmt.Errorf("what server to be: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	serve := c.serveNATS
	if c.Server == clickHouseServer {
		serve = c.serveClickHouse
	}
	end, err := serve(ctx, log)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Server, err)
	}
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	return end(stopping)
}

// serveNATS starts NATS and is how to stop it.
func (c child) serveNATS(ctx context.Context, log *slog.Logger) (func(context.Context) error, error) {
	s, err := natsd.Start(ctx, natsd.Config{Dir: c.Dir, Port: c.Port, Log: log})
	if err != nil {
		return nil, err
	}
	return s.Shutdown, nil
}

// serveClickHouse starts ClickHouse, which is a child of its own: when this
// process is killed the kernel kills it as well, and when it is killed by
// itself it is started again.
func (c child) serveClickHouse(ctx context.Context, log *slog.Logger) (func(context.Context) error, error) {
	keys, err := secrets.Open(c.Dir)
	if err != nil {
		return nil, err
	}
	users, err := deployment.Users(keys, database)
	if err != nil {
		return nil, err
	}
	password, err := secrets.ReadPassword(keys.ClickHousePassword(owner))
	if err != nil {
		return nil, err
	}
	users = append(users, engine.User{Name: owner, Password: password, Grants: append(rebuild.Grants(database), "TABLE ENGINE ON *")})
	e, err := engine.Start(ctx, engine.Config{
		Dir: filepath.Join(c.Dir, "engine"), TCPPort: c.Port, HTTPPort: c.HTTPPort, Users: users, Restart: true, Log: log,
	})
	if err != nil {
		return nil, err
	}
	return e.Stop, nil
}

// command is what runs the server.
func (c child) command() (func() *exec.Cmd, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	exe, err := executable("server")
	if err != nil {
		return nil, err
	}
	return func() *exec.Cmd { return exec.Command(exe, string(text)) }, nil
}
