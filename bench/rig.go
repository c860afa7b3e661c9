package bench

import (
	"context"
	"path/filepath"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/natsd"
)

// rigConfig says where a stack runs.
type rigConfig struct {
	dir      string
	serve    []string // runs the projector in a process of its own; nil: all roles in this one
	progress func(string)
}

// rig is a running stack with a connection for each part of a measurement.
type rig struct {
	stack     *dev.Stack
	projector *process            // nil where the roles are in this process
	publisher *nats.Conn          // the api's permissions: may publish every event
	bare      jetstream.JetStream // of a server without accounts, on the same disk
	db        driver.Conn
	dir       string
	patience  time.Duration // how long ClickHouse may stand still before rows count as lost
	closers   []func()
	key       envelope.PrivateKey // of what was captured last
}

func newRig(ctx context.Context, cfg rigConfig) (_ *rig, err error) {
	r := &rig{dir: cfg.dir, patience: patience}
	o := dev.Options{Dir: cfg.dir, Progress: cfg.progress}
	if cfg.serve != nil {
		r.projector = &process{command: cfg.serve}
		o.Roles = r.projector.run
	}
	if r.stack, err = dev.Start(ctx, o); err != nil {
		return nil, err
	}
	r.closers = append(r.closers, func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_ = r.stack.Stop(stopping) // the folder is thrown away
	})
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.publisher, err = r.connect(natsd.API); err != nil {
		return nil, err
	}
	if err = r.startBare(ctx, filepath.Join(cfg.dir, "bare")); err != nil {
		return nil, err
	}
	c := r.stack.File.ClickHouse
	r.db, err = clickhouse.Open(&clickhouse.Options{
		Addr: []string{c.Addr}, Auth: clickhouse.Auth{Database: c.Database, Username: c.User, Password: c.Password},
		Compression: &clickhouse.Compression{Method: clickhouse.CompressionLZ4},
	})
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, func() { r.db.Close() })
	return r, r.bareTables(ctx)
}

// startBare starts a server as ours is configured, without accounts.
func (r *rig) startBare(ctx context.Context, dir string) error {
	ns, nc, err := startNATS(&server.Options{JetStream: true, StoreDir: dir, SyncAlways: true, MaxPayload: natsd.MaxPayload})
	if err != nil {
		return err
	}
	r.closers = append(r.closers, func() { nc.Close(); ns.Shutdown(); ns.WaitForShutdown() })
	if r.bare, err = jetstream.New(nc); err != nil {
		return err
	}
	return r.bareStream(ctx)
}

func (r *rig) connect(role natsd.Role) (*nats.Conn, error) {
	nc, err := r.stack.NATS.Connect(role)
	if err == nil {
		r.closers = append(r.closers, nc.Close)
	}
	return nc, err
}

func (r *rig) close() {
	for i := len(r.closers) - 1; i >= 0; i-- {
		r.closers[i]()
	}
}
