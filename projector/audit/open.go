package audit

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Open makes the connection for [Config.Conn] from the address, account,
// database and TLS of options. Reads and writes that see no progress for stall
// fail, so that a server which has stopped reading is noticed. It is lazy:
// nothing is dialled yet.
func Open(options *clickhouse.Options, stall time.Duration) (driver.Conn, error) {
	if len(options.Addr) != 1 {
		return nil, fmt.Errorf("open clickhouse: %d addresses, want the one server of the shard", len(options.Addr))
	}
	o := *options
	o.ReadTimeout = stall
	o.MaxOpenConns, o.MaxIdleConns = 3, 3 // two inserts at once, and what is asked beside them: none dials anew each time
	if o.Compression == nil {
		o.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	o.DialContext = guard(options, stall)
	conn, err := clickhouse.Open(&o)
	if err != nil {
		return nil, fmt.Errorf("open clickhouse addr=%s: %w", o.Addr[0], err)
	}
	return conn, nil
}

// dialer makes a connection to addr.
type dialer = func(ctx context.Context, addr string) (net.Conn, error)

// guard is the dialer of options, or the one that the driver would use, with a
// deadline on every write. The driver sets one for reads only, and would wait
// without end for a peer that takes nothing in.
func guard(o *clickhouse.Options, stall time.Duration) dialer {
	plain, secure := o.DialContext, o.TLS
	if plain == nil {
		d := &net.Dialer{Timeout: cmp.Or(o.DialTimeout, 10*time.Second)}
		plain = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	} else {
		secure = nil // whoever dials secures
	}
	return func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := plain(ctx, addr)
		if err != nil {
			return nil, err
		}
		c = withDeadlines(c, stall)
		if secure == nil {
			return c, nil
		}
		return handshake(ctx, c, addr, secure.Clone())
	}
}

func handshake(ctx context.Context, c net.Conn, addr string, config *tls.Config) (net.Conn, error) {
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	t := tls.Client(c, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return t, nil
}

// guarded is a connection whose writes fail once the peer takes nothing in for
// stall.
type guarded struct {
	net.Conn
	stall time.Duration
}

// withDeadlines keeps c a syscall.Conn if it is one: the driver uses that to
// see whether an idle connection is still alive.
func withDeadlines(c net.Conn, stall time.Duration) net.Conn {
	g := &guarded{Conn: c, stall: stall}
	if sys, ok := c.(syscall.Conn); ok {
		return struct {
			*guarded
			syscall.Conn
		}{g, sys}
	}
	return g
}

// piece is what a peer can be expected to take in within one deadline.
const piece = 1 << 20

func (g *guarded) Write(b []byte) (n int, err error) {
	for first := true; first || len(b) > 0; first = false {
		if err := g.SetWriteDeadline(time.Now().Add(g.stall)); err != nil {
			return n, err
		}
		m, err := g.Conn.Write(b[:min(piece, len(b))])
		n, b = n+m, b[m:]
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
