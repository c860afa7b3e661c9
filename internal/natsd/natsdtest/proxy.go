package natsdtest

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/rescindhq/rescind/internal/natsd"
)

// Faults is a TCP proxy before a server, with which a test makes a write fail
// although it was applied: the client's bytes pass, the server's are held.
type Faults struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	held  bool // what the server says
	both  bool // and what the client says
	freed *sync.Cond
	conns []net.Conn
	done  bool
	pipes sync.WaitGroup
}

// Proxy stands before s until the test ends.
func Proxy(t testing.TB, s *natsd.Server) *Faults {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Faults{listener: l, server: strings.TrimPrefix(s.URL(), "nats://")}
	p.freed = sync.NewCond(&p.mu)
	p.pipes.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// URL is where clients connect to.
func (p *Faults) URL() string { return "nats://" + p.listener.Addr().String() }

// HoldReplies keeps everything that the server says from now on.
func (p *Faults) HoldReplies() { p.set(func() { p.held = true }) }

// HoldBoth keeps everything that either side says, as a client does that stands
// still.
func (p *Faults) HoldBoth() { p.set(func() { p.held, p.both = true, true }) }

// PassReplies lets all of it through again.
func (p *Faults) PassReplies() { p.set(func() { p.held, p.both = false, false }) }

// Cut closes every connection. Held replies are lost.
func (p *Faults) Cut() {
	p.set(func() {
		for _, c := range p.conns {
			c.Close()
		}
		p.conns = nil
	})
}

func (p *Faults) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.freed.Broadcast()
}

func (p *Faults) close() {
	p.set(func() { p.done = true })
	p.listener.Close()
	p.Cut()
	p.pipes.Wait()
}

func (p *Faults) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.set(func() { p.conns = append(p.conns, client, server) })
		p.pipes.Go(func() { pipe(server, client, func() { p.wait(&p.both) }) })
		p.pipes.Go(func() { pipe(client, server, func() { p.wait(&p.held) }) })
	}
}

// wait returns when what is held may pass.
func (p *Faults) wait(held *bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for *held && !p.done {
		p.freed.Wait()
	}
}

// pipe copies until either end is closed, asking before each piece.
func pipe(to, from net.Conn, before func()) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			before()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
