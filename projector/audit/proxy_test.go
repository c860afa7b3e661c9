package audit

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// fault is what a proxy does to the connection of a statement.
type fault string

const (
	failed  fault = "failed"             // the server never sees it
	half    fault = "half of it arrives" // and then the connection is gone
	applied fault = "failed but applied" // the server does it, the answer is lost
	stalled fault = "no answer comes"    // the server does it, the connection stays open
	late    fault = "arrives late"       // after the client has given up and gone on
	slow    fault = "slow"               // everything on the connection is held up
	shut    fault = "half-closed"        // the server is told that nothing more comes, in the middle
	before  fault = "killed before"      // the server is killed and never sees it
	after   fault = "killed after"       // the server has done it and is killed before it answers
)

// proxy stands between a projector and the server, and spoils the connection
// of the first statement that contains a text.
type proxy struct {
	listener net.Listener
	all      sync.WaitGroup

	mu      sync.Mutex
	target  string
	text    []byte
	fault   fault
	done    func() bool // applied, after: whether the server has done it
	kill    func()      // before, after: kills the server
	release chan struct{}
	ended   chan struct{}
	answer  bytes.Buffer // late: what the server said
	struck  bool
	open    map[net.Conn]bool
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, release: make(chan struct{}), ended: make(chan struct{}), open: map[net.Conn]bool{}}
	p.all.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		close(p.ended)
		p.closeAll()
		p.all.Wait()
	})
	return p
}

func (p *proxy) server() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

// turn makes new connections go to another server.
func (p *proxy) turn(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// arm makes the next statement with the text suffer f. done says when the
// server has carried it out, for the faults that wait for that.
func (p *proxy) arm(text string, f fault, done func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.fault, p.done, p.struck = []byte(text), f, done, false
}

func (p *proxy) hasStruck() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.struck
}

func (p *proxy) answered() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answer.String()
}

// strike returns the fault for data, once.
func (p *proxy) strike(data []byte) fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.struck || len(p.text) == 0 || !bytes.Contains(data, p.text) {
		return ""
	}
	p.struck = true
	return p.fault
}

func (p *proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = true
}

func (p *proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server())
		if err != nil {
			_ = client.Close()
			continue
		}
		p.keep(client)
		p.keep(server)
		l := &link{proxy: p, client: client, server: server}
		p.all.Go(l.forward)
		p.all.Go(l.back)
	}
}

// link is one connection through the proxy.
type link struct {
	proxy          *proxy
	client, server net.Conn

	mu    sync.Mutex
	mute  bool // answers are swallowed
	delay time.Duration
}

// hold waits as long as the link is slow.
func (l *link) hold() {
	l.mu.Lock()
	d := l.delay
	l.mu.Unlock()
	if d == 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.proxy.ended:
	}
}

func (l *link) slowDown() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = 20 * time.Millisecond
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

func (l *link) silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mute = true
}

func (l *link) silent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mute
}

// forward carries what the client says. A statement comes in one piece, its
// data need not.
func (l *link) forward() {
	buf := make([]byte, 1<<20)
	for {
		n, err := l.client.Read(buf)
		if err != nil {
			l.close()
			return
		}
		l.hold()
		send, again := l.apply(l.proxy.strike(buf[:n]), buf[:n])
		if _, err := l.server.Write(send); err != nil || !again {
			return
		}
	}
}

// apply does what f does to data, and says what of it goes on now and whether
// more may follow.
func (l *link) apply(f fault, data []byte) (send []byte, again bool) {
	switch f {
	case failed:
		l.close()
		return nil, false
	case half:
		_, _ = l.server.Write(data[:len(data)/2])
		l.close()
		return nil, false
	case shut:
		_, _ = l.server.Write(data[:len(data)/2])
		_ = l.server.(*net.TCPConn).CloseWrite()
		return nil, false
	case before:
		l.proxy.kill()
		l.close()
		return nil, false
	case applied, after:
		l.silence()
		l.proxy.all.Go(func() {
			l.proxy.await(l.proxy.done)
			if f == after {
				l.proxy.kill()
			}
			l.close()
		})
	case slow:
		l.slowDown()
	case stalled:
		l.silence()
	case late:
		l.silence()
		data = append(data, l.rest()...)
		_ = l.client.Close()
		<-l.proxy.release
		return data, false
	}
	return data, true
}

// rest is what else the client has to say before it waits for the answer.
func (l *link) rest() []byte {
	_ = l.client.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	data, _ := io.ReadAll(l.client)
	return data
}

// await waits until ok, or until the test ends.
func (p *proxy) await(ok func() bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-p.ended:
			return
		}
	}
}

// back carries what the server says, or keeps it where the link is silent.
func (l *link) back() {
	buf := make([]byte, 1<<16)
	for {
		n, err := l.server.Read(buf)
		if err != nil {
			break
		}
		l.hold()
		if l.silent() {
			l.proxy.heard(buf[:n])
		} else if _, err := l.client.Write(buf[:n]); err != nil {
			break
		}
	}
	if !l.silent() {
		l.close()
	}
}

func (p *proxy) heard(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer.Write(b)
}
