package app

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
)

// Stores is what a deployment keeps, opened to be read.
type Stores struct {
	NATS       *nats.Conn
	ClickHouse driver.Conn
	FeedKey    ed25519.PublicKey
}

// OpenStores opens the stores of a deployment with accounts that only read. It
// refuses another number of shards than the streams were made for.
func OpenStores(cfg Config) (*Stores, error) {
	a, err := open(cfg)
	if err != nil {
		return nil, err
	}
	key, err := a.feedPublicKey()
	if err != nil {
		return nil, err
	}
	conn, err := a.apiConn()
	if err != nil {
		return nil, err
	}
	role, creds := natsd.Auditor, a.cfg.NATS.AuditorCreds
	if creds == "" {
		role, creds = natsd.API, a.cfg.NATS.APICreds
	}
	b, err := a.connect(role, creds, nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), storesWait)
	defer cancel()
	if err := stream.CheckShards(ctx, b.js, cfg.Shards); err != nil {
		b.nc.Close()
		return nil, errors.Join(err, conn.Close())
	}
	return &Stores{NATS: b.nc, ClickHouse: conn, FeedKey: key}, nil
}

// storesWait bounds asking how many logs there are.
const storesWait = 10 * time.Second

// Close closes both connections.
func (s *Stores) Close() error {
	s.NATS.Close()
	return s.ClickHouse.Close()
}
