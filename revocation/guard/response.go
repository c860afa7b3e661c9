package guard

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Follow is the second half of Handler: w and r for a handler that may take
// long. When the token no longer passes, the context of the request ends with
// the *Refusal as its cause, reading and writing fail, and a connection that was
// taken over is closed. end must be called when the handler has returned: of a
// stream that was cut it answers as Authorize does where nothing was answered
// yet, and else panics with http.ErrAbortHandler, so that the caller does not
// take what it has for the whole.
func (g *Guard) Follow(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request, func()) {
	t, ok := From(r.Context())
	if !ok {
		return w, r, func() {}
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	out := &response{ResponseWriter: w, cancel: cancel}
	out.watch = g.watch(t, out.cut)
	return out, r.WithContext(ctx), out.end
}

// response is a response that can be cut.
type response struct {
	http.ResponseWriter
	watch  *watch
	cancel context.CancelCauseFunc

	mu      sync.Mutex // not held while writing: a cut waits for nobody
	begun   bool       // something of the answer was written
	ended   bool       // the handler has returned
	refusal *Refusal   // why it was cut
	conn    net.Conn   // that the handler took over
}

// cut is called by the watch. The context ends before reads do: net/http ends
// that of the request with them, and says no cause. A handler that sees it
// returns, and end waits for the lock.
func (w *response) cut(r *Refusal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil && !w.ended {
		w.refusal = r
	}
	w.cancel(r)
	switch {
	case w.conn != nil:
		w.conn.Close() //nolint:errcheck // it is gone either way
	case !w.ended: // else another request may have the connection
		w.unblock()
	}
}

// unblock has reads and writes that wait for the caller fail. Where the answer
// has not begun it can still be made. Not every ResponseWriter can do it: there
// the handler has its context.
func (w *response) unblock() {
	c, past := http.NewResponseController(w.ResponseWriter), time.Unix(1, 0)
	c.SetReadDeadline(past) //nolint:errcheck // see above
	if w.begun {
		c.SetWriteDeadline(past) //nolint:errcheck // see above
	}
}

// end is called when the handler has returned.
func (w *response) end() {
	w.mu.Lock()
	w.ended = true
	taken, begun, refusal := w.conn != nil, w.begun, w.refusal
	w.mu.Unlock()
	if taken {
		return // the watch ends with the connection, or the token
	}
	w.watch.stop()
	w.cancel(context.Canceled)
	switch {
	case refusal == nil:
	case begun:
		panic(http.ErrAbortHandler)
	default:
		writeRefusal(w.ResponseWriter, refusal)
	}
}

// begin reports whether the answer may be written.
func (w *response) begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refusal != nil {
		return w.refusal
	}
	w.begun = true
	return nil
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.begin() == nil {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(b []byte) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(b)
}

// ReadFrom implements io.ReaderFrom, so that files are sent by the kernel.
func (w *response) ReadFrom(from io.Reader) (int64, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return io.Copy(w.ResponseWriter, from)
}

// Flush implements http.Flusher.
func (w *response) Flush() { w.FlushError() } //nolint:errcheck // as Flush does

// FlushError is Flush for http.ResponseController.
func (w *response) FlushError() error {
	if err := w.begin(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker. The connection is closed when the token no
// longer passes, also after the handler has returned.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := w.begin(); err != nil {
		return nil, nil, err
	}
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn = conn
	if w.refusal != nil { // cut meanwhile
		conn.Close() //nolint:errcheck // it is gone either way
	}
	return &takenConn{Conn: conn, watch: w.watch}, rw, nil
}

// takenConn is a connection that a handler took over.
type takenConn struct {
	net.Conn
	watch *watch
}

// Close ends the watch with the connection.
func (c *takenConn) Close() error {
	c.watch.stop()
	return c.Conn.Close()
}
