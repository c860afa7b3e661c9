package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/workload"
)

// rescind is a whole stack: events go in through the SDK, questions through the
// API.
type rescind struct {
	stack *dev.Stack
	nc    *nats.Conn
	pub   *stream.Publisher
	db    driver.Conn // for sizes and for waiting only
	api   *client.Client
}

func startRescind(ctx context.Context, dir string, cfg config) (_ *rescind, err error) {
	r := &rescind{}
	if r.stack, err = dev.Start(ctx, dev.Options{Dir: dir, Progress: func(s string) { cfg.progress("%s", s) }}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.nc, err = r.stack.NATS.Connect(natsd.API); err != nil {
		return nil, err
	}
	if r.pub, err = stream.NewPublisher(stream.PublisherConfig{Environment: dev.Environment, Conn: r.nc}); err != nil {
		return nil, err
	}
	f := r.stack.File
	r.api = client.New(f.HTTP, f.Tokens["officer"])
	r.db, err = clickhouse.Open(&clickhouse.Options{
		Addr: []string{f.ClickHouse.Addr},
		Auth: clickhouse.Auth{Database: f.ClickHouse.Database, Username: f.ClickHouse.User, Password: f.ClickHouse.Password},
	})
	return r, err
}

func (r *rescind) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if r.pub != nil {
		_ = r.pub.Close(ctx) // everything was confirmed before, or the run has failed
	}
	if r.nc != nil {
		r.nc.Close()
	}
	if r.db != nil {
		r.db.Close()
	}
	_ = r.stack.Stop(ctx) // the folder is thrown away
}

func (r *rescind) appendAll(ctx context.Context, gen *workload.Generator, n int) error {
	for range n {
		if err := r.pub.Queue(ctx, gen.Next()); err != nil {
			return err
		}
	}
	if err := r.pub.Flush(ctx); err != nil {
		return err
	}
	return r.untilRows(ctx, n)
}

const patience = 2 * time.Minute

// untilRows waits until n events can be queried.
func (r *rescind) untilRows(ctx context.Context, n int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	seen, since := uint64(0), time.Now()
	for {
		var got uint64
		if err := r.db.QueryRow(ctx, "SELECT count() FROM events WHERE type LIKE 'dev.rescind.token.%'").Scan(&got); err != nil {
			return err
		}
		if got > seen {
			seen, since = got, time.Now()
		}
		switch {
		case got == uint64(n):
			return nil
		case got > uint64(n), time.Since(since) > patience:
			return fmt.Errorf("%d rows for %d events", got, n)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (r *rescind) appendOne(ctx context.Context, ev events.Event) error {
	return r.pub.Publish(ctx, ev)
}

// page is how much of a trail is wanted, and margin what Rescind's own records
// of who asked, and its findings, may be of it.
const (
	page   = 100
	margin = 20
)

// search asks the API, and counts what it answers without Rescind's own
// records.
func (r *rescind) search(ctx context.Context, in map[string]any) (*client.Trail, int, error) {
	in["tenant"] = "acme"
	out := new(client.Trail)
	if err := r.api.Call(ctx, "POST", "/v1/audit/search", in, out); err != nil {
		return nil, 0, err
	}
	n := 0
	for _, ev := range out.Events {
		if strings.HasPrefix(ev.Type, "dev.rescind.token.") {
			n++
		}
	}
	return out, min(n, page), nil
}

func (r *rescind) trail(ctx context.Context, q question) (int, error) {
	out, n, err := r.search(ctx, map[string]any{"issuer": workload.Issuer, "subject": q.subject, "limit": page + margin, "open": true, "purpose": "benchmark"})
	if err == nil && len(out.Events[0].Personal) == 0 {
		err = errors.New("the personal part was not opened")
	}
	return n, err
}

func (r *rescind) byToken(ctx context.Context, q question) (int, error) {
	_, n, err := r.search(ctx, map[string]any{"issuer": workload.Issuer, "jti": q.jti, "limit": page + margin})
	return n, err
}

func (r *rescind) count(ctx context.Context, q question) (int, error) {
	out, _, err := r.search(ctx, map[string]any{"type": string(q.kind), "from": q.from.Format(time.RFC3339Nano), "to": q.to.Format(time.RFC3339Nano), "limit": 1, "count": true})
	if err != nil || out.Total == nil {
		return 0, errors.Join(err, errors.New("no count"))
	}
	return int(*out.Total), nil
}

func (r *rescind) byIndex(ctx context.Context, q question) (int, error) {
	out := new(client.Event)
	return 1, r.api.Call(ctx, "GET", fmt.Sprintf("/v1/audit/events/%d", q.index), nil, out)
}

// stored is what all tables take once everything is merged. The log beside them
// is not counted, nor is the other's.
func (r *rescind) stored(ctx context.Context) (bytes float64, err error) {
	for _, table := range []string{"events", "payloads", "batches"} {
		if err := r.db.Exec(ctx, "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
			return 0, err
		}
	}
	err = r.db.QueryRow(ctx, "SELECT toFloat64(sum(bytes_on_disk)) FROM system.parts WHERE active AND database = currentDatabase()").Scan(&bytes)
	return bytes, err
}
