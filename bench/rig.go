package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/natsd"
)

// rig is a running stack with a connection for each part of a measurement.
type rig struct {
	stack     *dev.Stack
	publisher *nats.Conn          // the api's permissions: may publish every event
	bare      jetstream.JetStream // of a server without accounts, on the same disk
	db        driver.Conn
	closers   []func()
}

func newRig(ctx context.Context, dir string, progress func(string)) (_ *rig, err error) {
	r := &rig{}
	if r.stack, err = dev.Start(ctx, dev.Options{Dir: dir, Progress: progress}); err != nil {
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
	if err = r.startBare(filepath.Join(dir, "bare")); err != nil {
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
func (r *rig) startBare(dir string) error {
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, SyncAlways: true,
		MaxPayload: natsd.MaxPayload, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return err
	}
	go ns.Start()
	r.closers = append(r.closers, func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(10 * time.Second) {
		return errors.New("the bare server is not ready")
	}
	nc, err := nats.Connect(ns.ClientURL())
	if err != nil {
		return err
	}
	r.closers = append(r.closers, nc.Close)
	r.bare, err = jetstream.New(nc)
	return err
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

// rows is how many published events have a row: findings are not counted.
func (r *rig) rows(ctx context.Context) (n uint64, err error) {
	err = r.db.QueryRow(ctx, "SELECT count() FROM events WHERE type LIKE 'dev.rescind.token.%'").Scan(&n)
	return n, err
}

// patience bounds a wait for rows.
const patience = 5 * time.Minute

// untilRows waits until exactly n events have a row. More is an error.
func (r *rig) untilRows(ctx context.Context, n uint64) error {
	return poll(ctx, 20*time.Millisecond, func(ctx context.Context) (bool, error) {
		got, err := r.rows(ctx)
		if got > n {
			return false, fmt.Errorf("%d rows for %d events", got, n)
		}
		return got == n, err
	})
}

func (r *rig) untilRow(ctx context.Context, id string) error {
	return poll(ctx, time.Millisecond, func(ctx context.Context) (bool, error) {
		var n uint64
		err := r.db.QueryRow(ctx, "SELECT count() FROM events WHERE id = {id:String}", clickhouse.Named("id", id)).Scan(&n)
		return n == 1, err
	})
}

func poll(ctx context.Context, every time.Duration, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the rows did not arrive in time"))
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
