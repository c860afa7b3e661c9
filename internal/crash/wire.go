package crash

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Wire is a TCP proxy before a server that can be cut, slowed down and closed
// on one side only.
type Wire struct {
	listener net.Listener
	server   string
	pipes    sync.WaitGroup

	mu    sync.Mutex
	conns map[*crossing]bool
	delay time.Duration
	down  bool
	done  bool
}

// crossing is one connection through a wire.
type crossing struct{ client, server *net.TCPConn }

func (c *crossing) close() {
	c.client.Close()
	c.server.Close()
}

// NewWire stands before server (host:port) until the test ends, on a port of
// its own.
func NewWire(t testing.TB, server string) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{listener: l, server: server, conns: map[*crossing]bool{}}
	w.pipes.Go(w.accept)
	t.Cleanup(w.close)
	return w
}

// Addr is where clients connect to.
func (w *Wire) Addr() string { return w.listener.Addr().String() }

// Cut closes every connection, as a network does that loses its state: with a
// reset. New ones pass.
func (w *Wire) Cut() {
	for _, c := range w.each() {
		_ = c.client.SetLinger(0)
		_ = c.server.SetLinger(0)
		c.close()
	}
}

// Down cuts, and refuses new connections until Up.
func (w *Wire) Down() { w.set(func() { w.down = true }); w.Cut() }

// Up lets connections pass again.
func (w *Wire) Up() { w.set(func() { w.down = false }) }

// Delay holds every piece of data back for d, in both directions, and the next
// one behind it: a wire that is slow as well, with at most 32 KiB in each d. 0
// ends it.
func (w *Wire) Delay(d time.Duration) { w.set(func() { w.delay = d }) }

// HalfClose closes one direction of every connection: the client hears that the
// server says no more, while what it says itself still arrives.
func (w *Wire) HalfClose() {
	for _, c := range w.each() {
		_ = c.client.CloseWrite()
	}
}

func (w *Wire) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *Wire) each() (all []*crossing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		all = append(all, c)
	}
	return all
}

func (w *Wire) close() {
	w.set(func() { w.done = true })
	w.listener.Close()
	w.Cut()
	w.pipes.Wait()
}

func (w *Wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.server)
		if err != nil {
			client.Close()
			continue
		}
		c := &crossing{client.(*net.TCPConn), server.(*net.TCPConn)}
		if !w.admit(c) {
			c.close()
			continue
		}
		w.pipes.Go(func() { w.pipe(c.server, c.client); w.forget(c) })
		w.pipes.Go(func() { w.pipe(c.client, c.server); w.forget(c) })
	}
}

func (w *Wire) admit(c *crossing) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down || w.done {
		return false
	}
	w.conns[c] = true
	return true
}

func (w *Wire) forget(c *crossing) {
	w.set(func() { delete(w.conns, c) })
	c.close()
}

// pipe copies until from says no more. What cannot be passed on is dropped: of
// a connection that is half closed the other half goes on.
func (w *Wire) pipe(to, from *net.TCPConn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			w.wait()
			_, _ = to.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func (w *Wire) wait() {
	w.mu.Lock()
	d := w.delay
	w.mu.Unlock()
	if d > 0 {
		time.Sleep(d) // it is the delay itself, not a way to wait for something
	}
}
