package query

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLogsNameNoPeer: whoever fetches an export is its data subject, and their
// address is theirs.
func TestLogsNameNoPeer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	_, failed := io.WriteString(conn, "x")
	got := withoutPeer(fmt.Errorf("send export: %w", failed))
	if strings.Contains(got.Error(), "127.0.0.1") || !strings.Contains(got.Error(), "timeout") {
		t.Errorf("%v", got)
	}
	if !errors.Is(withoutPeer(syscall.EPIPE), syscall.EPIPE) {
		t.Error("another error is lost")
	}
}
