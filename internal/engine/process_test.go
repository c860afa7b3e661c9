package engine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTailKeepsTheEnd(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var got tail
		var all []byte
		for _, chunk := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, tailSize+100), 0, 4).Draw(rt, "chunks") {
			if n, err := got.Write(chunk); n != len(chunk) || err != nil {
				rt.Fatalf("Write = %d, %v", n, err)
			}
			all = append(all, chunk...)
		}
		if want := string(all[max(0, len(all)-tailSize):]); got.String() != want {
			rt.Fatalf("kept %d bytes, want %d", len(got.String()), len(want))
		}
	})
}

func TestLastLines(t *testing.T) {
	const text = "one\ntwo\n\n3. ? @ 0x00000000091772d2\nthree\r\nfour"
	for n, want := range map[int]string{0: "", 2: "three\nfour", 9: "one\ntwo\nthree\nfour"} {
		if got := lastLines([]byte(text), n); got != want {
			t.Errorf("lastLines(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestOldLogIsNotQuoted(t *testing.T) {
	l := layout{log: filepath.Join(t.TempDir(), "engine.log")}
	if got := l.lastLogLines(time.Now()); got != "" {
		t.Errorf("no log: %q", got)
	}
	if err := os.WriteFile(l.log, bytes.Repeat([]byte("a line of the log\n"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := l.lastLogLines(time.Now()); strings.Count(got, "\n") != 7 || !strings.HasPrefix(got, "a line") {
		t.Errorf("fresh log: %q", got)
	}
	if got := l.lastLogLines(time.Now().Add(time.Hour)); got != "" {
		t.Errorf("old log: %q", got)
	}
}

func TestChoosePorts(t *testing.T) {
	got, err := ports{}.choose()
	if err != nil || got.tcp == 0 || got.http == 0 || got.tcp == got.http {
		t.Errorf("choose = %+v, %v", got, err)
	}
	if again, err := got.choose(); err != nil || again != got {
		t.Errorf("pinned: %+v, %v, want %+v", again, err, got)
	}
}

// TestPortTakenAfterItWasChosen: somebody may bind a port between our look at
// it and the server's; Start must see that as what it is, at once.
func TestPortTakenAfterItWasChosen(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp4", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	location, err := findOrInstall(t.Context(), Config{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEngine(Config{Dir: t.TempDir()}.withDefaults(), location)
	if err != nil {
		t.Fatal(err)
	}
	defer e.end()
	defer e.unlock()
	free, err := ports{}.choose()
	if err != nil {
		t.Fatal(err)
	}
	taken := listener.Addr().(*net.TCPAddr).Port
	for _, p := range []ports{{tcp: taken, http: free.http}, {tcp: free.tcp, http: taken}} {
		e.ports = p
		began := time.Now()
		if err := e.launch(t.Context()); !errors.Is(err, errPortTaken) {
			t.Errorf("launch on %+v = %v, want %v", p, err, errPortTaken)
		}
		if took := time.Since(began); took > defaultStartTimeout/2 {
			t.Errorf("noticed after %v", took)
		}
	}
}

// TestStrangerOnThePort: only our own child knows the password, so something
// else on the port is not taken for it.
func TestStrangerOnThePort(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"closes":       "",
		"web server":   "HTTP/1.1 400 Bad Request\r\n\r\n",
		"exception":    "\x02\x04\x02\x00\x00\x0dDB::Exception\x04nope\x00\x00",
		"huge name":    "\x00\xff\xff\xff\x7f",
		"no pong":      "\x00\x01C\x1a\x07\x01\x03UTC\x01h\x02\x05",
		"cut in hello": "\x00\x0aClick",
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if version, err := handshake(t.Context(), serveOnce(t, answer), User{Name: "u", Password: "p"}); err == nil {
				t.Errorf("taken for a server of version %s", version)
			}
		})
	}
	ours := "\x00\x01C\x1a\x07\x01\x03UTC\x01h\x02\x04"
	if version, err := handshake(t.Context(), serveOnce(t, ours), User{}); err != nil || version != "26.7.2" {
		t.Errorf("handshake = %q, %v", version, err)
	}
}

func serveOnce(t *testing.T, answer string) string {
	t.Helper()
	listener, err := net.Listen("tcp4", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 512))
		_, _ = conn.Write([]byte(answer))
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().String()
}

func FuzzHelloReply(f *testing.F) {
	f.Add([]byte("\x00\x01C\x1a\x07\x01\x03UTC\x01h\x02"))
	f.Add([]byte("\x02\x04\x02\x00\x00\x0dDB::Exception\x04nope\x00\x00"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		r := &packetReader{r: bufio.NewReader(bytes.NewReader(packet))}
		version, err := r.helloReply()
		if err == nil && strings.Count(version, ".") != 2 {
			t.Errorf("version %q without an error", version)
		}
	})
}

// TestHangingUpIsWhatEndsTheLibrary: the kernel closes our end of the child's
// stdin when we die; on a system without a parent-death signal that is all.
func TestHangingUpIsWhatEndsTheLibrary(t *testing.T) {
	t.Parallel()
	location, err := findOrInstall(t.Context(), Config{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	if location.Kind != KindLibrary {
		t.Logf("engine is %s: a server is ended by a signal", location.Path)
		return
	}
	e, err := Start(t.Context(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Stop(context.Background()) }()
	if err := e.current().stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-e.Died(); err == nil || !strings.Contains(err.Error(), "exit status 0") {
		t.Errorf("Died = %v, want an orderly end", err)
	}
}
