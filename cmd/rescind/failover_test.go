package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/deployment"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/secrets"
)

// failoverWithin is how soon somebody has to append again.
const failoverWithin = 5 * time.Second

// TestFailover kills or stops the one of two intakes that writes, as processes
// of their own and under load, and sees how soon the other appends. Afterwards
// the log is read from its beginning.
func TestFailover(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	active, standby := s.serveIntake(t, "1"), s.serveIntake(t, "2")
	eventually(t, "one of two writes", func() bool { return active.writes.Load() != standby.writes.Load() })
	if standby.writes.Load() {
		active, standby = standby, active
	}
	stop := s.publish(t)
	for round, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGKILL} {
		epoch, size := s.last(t)
		eventually(t, "the active one appends", func() bool { _, n := s.last(t); return n > size+20 })
		epoch, _ = s.last(t)
		began := time.Now()
		if err := active.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another appends", func() bool { now, _ := s.last(t); return now > epoch })
		took := time.Since(began)
		t.Logf("round %d, %s: appending again after %s", round, signal, took.Round(time.Millisecond))
		if took > failoverWithin {
			t.Errorf("round %d, %s: appending again only after %s", round, signal, took)
		}
		if signal == syscall.SIGSTOP {
			if err := active.cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the first one stands by", func() bool { return !active.writes.Load() })
		} else {
			active = s.serveIntake(t, fmt.Sprint(round+3))
		}
		active, standby = standby, active
	}
	s.checkLog(t, stop())
}

// site is a NATS as a user would have it.
type site struct {
	nats *natsd.Server
	keys *secrets.Folder
	log  *stream.Log
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	if _, err := deployment.Init(deployment.Config{Secrets: dir, Database: "rescind"}); err != nil {
		t.Fatal(err)
	}
	s := new(site)
	var err error
	if s.keys, err = secrets.Open(dir); err != nil {
		t.Fatal(err)
	}
	if s.nats, err = natsd.Start(t.Context(), natsd.Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.nats.Shutdown(context.Background()) })
	if err := stream.Ensure(t.Context(), natsdtest.JetStream(t, s.nats, natsd.Operator), stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	if s.log, err = stream.OpenLog(t.Context(), natsdtest.JetStream(t, s.nats, natsd.Projector)); err != nil {
		t.Fatal(err)
	}
	return s
}

// served is a process that runs the intake.
type served struct {
	cmd    *exec.Cmd
	writes atomic.Bool // as its log says
}

func (s *site) serveIntake(t *testing.T, name string) *served {
	t.Helper()
	exe, err := exec.LookPath("rescind")
	if err != nil {
		t.Fatal(err)
	}
	p := &served{cmd: exec.Command(exe, "serve", "--roles", "intake", "--http-operation-addr", "127.0.0.1:0", "--profile", "dev", "--environment", "test",
		"--nats-url", s.nats.URL(), "--nats-projector-creds", s.nats.CredsFile(natsd.Projector), "--keys-root", "dir:"+s.keys.Root())}
	said, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { p.listen(said, sync.OnceFunc(func() { close(ready) })) })
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGCONT) // it may be gone
		_ = p.cmd.Process.Kill()
		reading.Wait()
		_ = p.cmd.Wait()
	})
	select {
	case <-ready:
	case <-time.After(patience):
		t.Fatalf("intake %s is not ready", name)
	}
	return p
}

// listen reads the log of p.
func (p *served) listen(said io.Reader, ready func()) {
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.Contains(line, `"msg":"writing"`):
			p.writes.Store(true)
		case strings.Contains(line, `"msg":"not writing"`):
			p.writes.Store(false)
		case strings.Contains(line, `"msg":"ready"`):
			ready()
		}
	}
}

// last is the epoch and size of the log as of its last batch.
func (s *site) last(t *testing.T) (epoch, size uint64) {
	t.Helper()
	m, err := s.log.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.Seq == 0 {
		return 0, 0
	}
	b, err := events.UnmarshalBatch(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	return b.Header.Epoch, b.Header.Size
}

// publish publishes one event after the other until it is told to stop, and is
// then the ids of those that were acknowledged.
func (s *site) publish(t *testing.T) (stop func() []string) {
	t.Helper()
	js := natsdtest.JetStream(t, s.nats, natsd.API)
	ctx, cancel := context.WithCancel(context.Background())
	var acked []string
	var running sync.WaitGroup
	running.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			ev := events.Event{
				ID: fmt.Sprint("load-", n), Source: "s", Type: []events.Type{events.TokenIssued, events.TokenRevoked}[n%2], Time: time.Now().UTC(),
				Tenant: "acme", Environment: "test", Data: events.Data{Issuer: "i", TokenID: fmt.Sprint(n), Subject: fmt.Sprint("u", n%9)},
			}
			b, err := events.MarshalEvent(&ev)
			if err != nil {
				panic(err) // an event of ours
			}
			if _, err := js.Publish(ctx, stream.EventSubject(ev.Tenant, ev.Type), b); err == nil {
				acked = append(acked, ev.ID)
			}
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return func() []string {
		cancel()
		running.Wait()
		return acked
	}
}

// checkLog waits until nothing is left in the intake and reads the log: no gap,
// no fork, each of acked once.
func (s *site) checkLog(t *testing.T, acked []string) {
	t.Helper()
	js := natsdtest.JetStream(t, s.nats, natsd.Projector)
	eventually(t, "the intake is empty", func() bool {
		in, err := js.Stream(t.Context(), stream.IntakeStream)
		return err == nil && in.CachedInfo().State.Msgs == 0
	})
	end, err := s.log.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var leaves [][32]byte
	seen, epoch := map[string]int{}, uint64(0)
	for seq := uint64(1); seq <= end.Seq; seq++ {
		m, err := s.log.Get(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		b, err := events.UnmarshalBatch(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if b.Header.First != uint64(len(leaves)) || b.Header.Epoch < epoch {
			t.Fatalf("seq %d: first %d after %d records, epoch %d after %d", seq, b.Header.First, len(leaves), b.Header.Epoch, epoch)
		}
		epoch = b.Header.Epoch
		for _, item := range b.Items {
			r, err := events.UnmarshalRecord(item.Record)
			if err != nil {
				t.Fatal(err)
			}
			if r.Tenant == "acme" {
				seen[r.ID]++
			}
			leaves = append(leaves, sha256.Sum256(append([]byte{0}, item.Record...)))
		}
		if seq == end.Seq || seq%500 == 0 {
			if root := merkleRoot(leaves); root != b.Header.Root {
				t.Fatalf("seq %d: root %v, want %x", seq, b.Header.Root, root)
			}
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", id, n)
		}
	}
	for _, id := range acked {
		if seen[id] == 0 {
			t.Errorf("%s was acknowledged and is not there", id)
		}
	}
	t.Logf("%d acknowledged, %d records in %d batches, %d epochs", len(acked), len(leaves), end.Seq, epoch)
}

// merkleRoot is the definition of RFC 6962 section 2.1.
func merkleRoot(leaves [][32]byte) [32]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	left, right := merkleRoot(leaves[:k]), merkleRoot(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
