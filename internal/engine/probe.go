package engine

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Packets and revision of the native protocol. The revision is an old one on
// purpose: the newer the client claims to be, the more it must say.
const (
	packetHello     = 0
	packetException = 2
	packetPong      = 4
	packetPing      = 4
	probeRevision   = 54401 // the first one that tells the patch version
)

// maxProbeText bounds a string from whatever listens on the port.
const maxProbeText = 64 << 10

// probe logs in over the native protocol and over HTTP. The password is known
// to our child only, so a stranger on the port cannot pass for it.
func (e *Engine) probe(ctx context.Context) (string, error) {
	version, err := handshake(ctx, e.Addr(), e.admin)
	if err != nil {
		return "", fmt.Errorf("probe %s: %w", e.Addr(), err)
	}
	if err := e.Exec(ctx, "SELECT 1"); err != nil {
		return "", fmt.Errorf("probe %s: %w", e.HTTPAddr(), err)
	}
	return version, nil
}

// handshake says hello and ping, and returns the server's version.
func handshake(ctx context.Context, addr string, user User) (string, error) {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write(hello(user)); err != nil {
		return "", err
	}
	r := &packetReader{r: bufio.NewReader(conn)}
	version, err := r.helloReply()
	if err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte{packetPing}); err != nil {
		return "", err
	}
	if kind := r.number(); r.err != nil || kind != packetPong {
		return "", errors.Join(fmt.Errorf("ping answered with packet %d", kind), r.err)
	}
	return version, nil
}

func hello(user User) []byte {
	packet := []byte{packetHello}
	packet = appendText(packet, "rescind engine")
	for _, n := range []uint64{1, 0, probeRevision} {
		packet = binary.AppendUvarint(packet, n)
	}
	for _, text := range []string{"", user.Name, user.Password} {
		packet = appendText(packet, text)
	}
	return packet
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// packetReader reads the native protocol and keeps the first error.
type packetReader struct {
	r   *bufio.Reader
	err error
}

func (p *packetReader) helloReply() (string, error) {
	switch kind := p.number(); {
	case p.err != nil:
		return "", p.err
	case kind == packetException:
		return "", p.exception()
	case kind != packetHello:
		return "", fmt.Errorf("hello answered with packet %d", kind)
	}
	p.text() // server name
	major, minor := p.number(), p.number()
	p.number() // revision
	p.text()   // time zone
	p.text()   // display name
	patch := p.number()
	return fmt.Sprintf("%d.%d.%d", major, minor, patch), p.err
}

func (p *packetReader) exception() error {
	var code [4]byte
	if _, err := io.ReadFull(p.r, code[:]); err != nil {
		return err
	}
	p.text() // class name
	message := p.text()
	return errors.Join(fmt.Errorf("server exception %d: %s", binary.LittleEndian.Uint32(code[:]), message), p.err)
}

func (p *packetReader) number() uint64 {
	if p.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(p.r)
	p.err = err
	return n
}

func (p *packetReader) text() string {
	size := p.number()
	if p.err == nil && size > maxProbeText {
		p.err = fmt.Errorf("text of %d bytes", size)
	}
	if p.err != nil {
		return ""
	}
	text := make([]byte, size)
	_, p.err = io.ReadFull(p.r, text)
	return string(text)
}

// Exec runs one statement as the engine's own account, which may do anything.
// It is for setting things up (databases, SYSTEM …) in dev and in tests.
func (e *Engine) Exec(ctx context.Context, statement string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+e.HTTPAddr()+"/", strings.NewReader(statement))
	if err != nil {
		return fmt.Errorf("build statement: %w", err)
	}
	req.Header.Set("X-ClickHouse-User", e.admin.Name)
	req.Header.Set("X-ClickHouse-Key", e.admin.Password)
	req.Close = true
	resp, err := directTransport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("execute statement: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProbeText))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("execute statement: status %d: %s", resp.StatusCode, lastLines(body, 4))
	}
	return nil
}

// directTransport goes to loopback without a proxy and leaves no idle
// connection behind.
var directTransport = &http.Transport{DisableKeepAlives: true}
