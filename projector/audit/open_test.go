package audit

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

func TestAWriteThatNobodyTakesInFails(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := guard(&clickhouse.Options{}, 50*time.Millisecond)(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	n, err := c.Write(make([]byte, 64<<20)) // more than any socket buffers
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == 64<<20 {
		t.Fatalf("wrote %d, err %v", n, err)
	}
}

func TestAWriteIsWhole(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	c := withDeadlines(near, time.Minute)
	got := make(chan int)
	go func() {
		buf, total := make([]byte, 1<<16), 0
		for {
			n, err := far.Read(buf)
			if total += n; err != nil {
				got <- total
				return
			}
		}
	}()
	const size = 3*piece + 17
	n, err := c.Write(make([]byte, size))
	if err != nil || n != size {
		t.Fatalf("wrote %d, err %v", n, err)
	}
	if n, err := c.Write(nil); n != 0 || err != nil {
		t.Fatalf("wrote %d of nothing, err %v", n, err)
	}
	_ = c.Close()
	if n := <-got; n != size {
		t.Fatalf("%d bytes arrived", n)
	}
}

func TestAnIdleConnectionCanBeLookedAt(t *testing.T) {
	t.Parallel()
	if _, ok := withDeadlines(&net.TCPConn{}, time.Second).(syscall.Conn); !ok {
		t.Error("a TCP connection hides its socket: the driver would reuse dead ones")
	}
	near, _ := net.Pipe()
	if _, ok := withDeadlines(near, time.Second).(syscall.Conn); ok {
		t.Error("a pipe claims to have a socket")
	}
}

func TestOpenTakesOneAddress(t *testing.T) {
	t.Parallel()
	for _, addrs := range [][]string{nil, {"a:1", "b:1"}} {
		if _, err := Open(&clickhouse.Options{Addr: addrs}, time.Second); err == nil {
			t.Errorf("%v: no error", addrs)
		}
	}
}

func TestTLSIsSpokenWhereAsked(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer func() { _ = near.Close() }()
	first := make(chan byte, 1)
	go func() {
		b := make([]byte, 1)
		_, _ = far.Read(b)
		first <- b[0]
		_ = far.Close()
	}()
	_, err := handshake(t.Context(), near, "db.example:9440", tlsConfig())
	if err == nil || <-first != 22 { // a handshake record
		t.Fatalf("err %v", err)
	}
}

func tlsConfig() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS13} }

type nopConn struct{ driver.Conn }

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	_, err := New(Config{MaxRows: -1, MaxBytes: 5, MinInterval: time.Hour, Stall: time.Millisecond, BackoffMin: time.Minute, BackoffMax: time.Second, Grace: -1, Standby: -1})
	for _, want := range []string{"read", "conn", "max rows", "max bytes", "min interval", "stall", "backoff", "grace", "standby"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	ok := Config{Read: func(context.Context, uint64) (LogReader, error) { return nil, nil }, Conn: nopConn{}}
	if err := ok.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
}
