package rebuild_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
)

// deafDialer makes connections of which one loses the answer to a statement.
type deafDialer struct {
	statement []byte
	lost      atomic.Bool
}

func (d *deafDialer) dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &deafConn{Conn: c, dialer: d}, nil
}

type deafConn struct {
	net.Conn
	dialer *deafDialer
	deaf   atomic.Bool
}

func (c *deafConn) Write(p []byte) (int, error) {
	if bytes.Contains(p, c.dialer.statement) && c.dialer.lost.CompareAndSwap(false, true) {
		c.deaf.Store(true)
	}
	return c.Conn.Write(p)
}

// Read waits for the answer that nobody gets.
func (c *deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && c.deaf.Load() {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}
