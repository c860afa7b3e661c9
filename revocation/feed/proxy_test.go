package feed_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/internal/natsd"
)

// proxy stands between a client and the server, and can cut or hold what
// passes.
type proxy struct {
	target string
	listen net.Listener
	done   sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	down  bool
	open  chan struct{} // closed while traffic flows
}

func newProxy(t *testing.T, serverURL string) *proxy {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: u.Host, listen: l, conns: map[net.Conn]bool{}, open: make(chan struct{})}
	close(p.open)
	p.done.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.release()
		p.cut()
		p.done.Wait()
	})
	return p
}

// connect connects as a verifier through p, until the test ends.
func (p *proxy) connect(t *testing.T, s *natsd.Server) *nats.Conn {
	t.Helper()
	opts := append(natsd.Options(natsd.Verifier, s.CredsFile(natsd.Verifier)), nats.ReconnectWait(20*time.Millisecond), nats.IgnoreDiscoveredServers())
	nc, err := nats.Connect("nats://"+p.listen.Addr().String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func (p *proxy) accept() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil || !p.add(c, server) {
			c.Close()
			if err == nil {
				server.Close()
			}
			continue
		}
		p.done.Go(func() { p.copy(server, c) })
		p.done.Go(func() { p.copy(c, server) })
	}
}

func (p *proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if !p.down {
			p.conns[c] = true
		}
	}
	return !p.down
}

func (p *proxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		open := p.open
		p.mu.Unlock()
		<-open
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.conns {
		c.Close()
		delete(p.conns, c)
	}
}

func (p *proxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

func portOf(t *testing.T, serverURL string) int {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// warningCount counts warnings and drops them.
type warningCount struct {
	slog.Handler
	n atomic.Int64
}

func newWarningCount() *warningCount {
	return &warningCount{Handler: slog.NewTextHandler(io.Discard, nil)}
}

func (w *warningCount) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		w.n.Add(1)
	}
	return nil
}
