package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/internal/config"
)

// TestServerLogsNameNoPeer: whoever's handshake fails may be a data subject, and their
// address is theirs.
func TestServerLogsNameNoPeer(t *testing.T) {
	t.Parallel()
	cert, key, err := selfSigned("localhost")
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	a := &app{log: slog.New(slog.NewTextHandler(&logs, nil)), listener: inner}
	a.cfg.HTTP = config.HTTP{Cert: filepath.Join(t.TempDir(), "cert.pem"), Key: filepath.Join(t.TempDir(), "key.pem")}
	if err := errors.Join(os.WriteFile(a.cfg.HTTP.Cert, cert, 0o600), os.WriteFile(a.cfg.HTTP.Key, key, 0o600)); err != nil {
		t.Fatal(err)
	}
	listener, err := a.listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- a.serveHTTP(ctx, t.Context(), listener, http.NotFoundHandler(), func() {}) }()
	peer := failHandshake(t, inner.Addr().String())
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if host, port, _ := net.SplitHostPort(peer); !strings.Contains(logs.String(), "TLS handshake error") || strings.Contains(logs.String(), host) || strings.Contains(logs.String(), ":"+port) {
		t.Errorf("%s: logged %q", peer, logs.String())
	}
}

// TestAddressesAreLeftOut of whatever net/http says.
func TestAddressesAreLeftOut(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"http: TLS handshake error from 192.0.2.7:50000: EOF":                                                      "http: TLS handshake error from (peer): EOF",
		"http: TLS handshake error from [2001:db8::7]:50000: read tcp [::1]:443->[2001:db8::7]:50000: i/o timeout": "http: TLS handshake error from (peer): read tcp (peer)->(peer): i/o timeout",
		"http: TLS handshake error from [fe80::1%eth0]:50000: EOF":                                                 "http: TLS handshake error from (peer): EOF",
		"http: panic serving [::ffff:192.0.2.7]:50000: 12:34:56 is no time":                                        "http: panic serving (peer): 12:34:56 is no time",
		"http: Accept error: too many open files; retrying in 5ms":                                                 "http: Accept error: too many open files; retrying in 5ms",
	} {
		var logs bytes.Buffer
		if _, err := (serverLog{slog.New(slog.NewJSONHandler(&logs, nil))}).Write([]byte(said + "\n")); err != nil {
			t.Fatal(err)
		}
		var line struct{ Level, Err string }
		if err := json.Unmarshal(logs.Bytes(), &line); err != nil || line.Err != want || line.Level != "WARN" {
			t.Errorf("%q: %v %+v", said, err, line)
		}
	}
}

// failHandshake speaks no TLS, and returns its address once the server has hung up:
// by then that was logged.
func failHandshake(t *testing.T, to string) string {
	t.Helper()
	conn, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn)
	return conn.LocalAddr().String()
}
