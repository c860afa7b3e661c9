package feedhttp_test

import (
	"bufio"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/feedhttp"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

const (
	streams     = 1000
	streamBytes = 48 << 10 // a stream, with its connection and ours, at most
)

// held is what this process holds in heap and stacks.
func held() uint64 {
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// chain passes deltas on, each behind the one before.
type chain struct {
	to  *feedhttp.Server
	seq uint64
	sum events.Ref
}

func (c *chain) pass(t *testing.T, entries []revocation.Entry) (id string) {
	t.Helper()
	d := &revocation.Delta{Head: revocation.Head{Epoch: 1, Feed: 7, Seq: c.seq + 1}, Prev: c.seq, PrevSum: c.sum, Entries: entries}
	m, err := d.Sign(feedtest.Signer())
	if err != nil {
		t.Fatal(err)
	}
	c.to.Pass(d, m)
	c.seq, c.sum = d.Seq, revocation.Sum(m)
	return fmt.Sprintf("id: %d-%d\n", d.Feed, d.Seq)
}

// TestMemoryOfManyStreams holds what a stream takes to the figure in doc.go: what is
// sent is shared, however many it is sent to. It runs alone, as it measures the
// process.
func TestMemoryOfManyStreams(t *testing.T) {
	s, err := feedhttp.New(feedhttp.Config{Source: &endless{}, PublicKey: feedtest.Public()})
	if err != nil {
		t.Fatal(err)
	}
	web := serve(t, s, far())
	c := &chain{to: s, seq: 1}
	c.pass(t, nil)
	before := held()
	conns := make([]net.Conn, streams)
	for i := range conns {
		conns[i] = open(t, web.Listener.Addr().String())
	}
	feedtest.Eventually(t, "all streams", func() bool { return s.Stats().Streams == streams })
	entries := make([]revocation.Entry, 200)
	for i := range entries {
		entries[i] = revocation.Entry{Hash: events.Ref{byte(i), 1}, Index: uint64(i), Scope: events.ScopeToken, Expires: events.TimestampOf(far()), At: 1000, Key: revocation.KeyID{Tenant: "acme", Generation: 1}}
	}
	id := ""
	for range 4 {
		id = c.pass(t, entries)
	}
	in := bufio.NewReader(nil)
	for _, conn := range conns {
		in.Reset(conn)
		for line := ""; line != id; {
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatalf("before %q: %v", id, err)
			}
		}
	}
	each := (held() - before) / streams
	t.Logf("%d bytes a stream", each)
	if each > streamBytes {
		t.Errorf("%d bytes a stream: want at most %d", each, streamBytes)
	}
	runtime.KeepAlive(in)
}

// open asks for a stream and reads none of it.
func open(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write([]byte(strings.ReplaceAll("GET /stream HTTP/1.1\nHost: x\n\n", "\n", "\r\n"))); err != nil {
		t.Fatal(err)
	}
	return conn
}
