package verifiers

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/projector/revoke"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// TestMain is also the main of verifiers that are to be killed.
func TestMain(m *testing.M) {
	if url := os.Getenv("VERIFIER_URL"); url != "" {
		if err := child(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// child is a verifier in a process of its own, until it is told to stop. It
// closes no connection, as many do not: its leave is on the wire when Run returns.
func child(url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	nc, err := nats.Connect(url, natsd.Options(natsd.Verifier, os.Getenv("VERIFIER_CREDS"))...)
	if err != nil {
		return err
	}
	f := feed.New(feed.Config{Conn: nc, PublicKey: feedtest.Public(), Name: os.Getenv("VERIFIER_ID"), ID: os.Getenv("VERIFIER_ID")})
	go func() {
		<-f.Ready()
		fmt.Println("ready")
	}()
	return f.Run(ctx)
}

// spawn starts a verifier in a process of its own and returns when it is ready.
func (h *house) spawn(id string) *exec.Cmd {
	h.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "VERIFIER_URL="+h.server.URL(), "VERIFIER_CREDS="+h.server.CredsFile(natsd.Verifier), "VERIFIER_ID="+id)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { end(cmd, syscall.SIGKILL) })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		h.t.Fatalf("verifier says %q, %v", line, err)
	}
	return cmd
}

// end ends a process and waits for it. It may be called twice.
func end(cmd *exec.Cmd, how os.Signal) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Signal(how) // it may have ended
		_ = cmd.Wait()              // it was killed
	}
}

// house is a server, a log, a writer of the feed, and those who follow it.
type house struct {
	t      *testing.T
	server *natsd.Server
	log    *feedtest.Log
}

func start(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, server: natsdtest.Start(t)}
	h.log = feedtest.OpenLog(t, h.server)
	r := revoke.New(revoke.Config{Conn: natsdtest.Connect(t, h.server, natsd.Projector), Key: feedtest.Signer(), Keys: feedtest.NewKeys(),
		Heartbeat: 50 * time.Millisecond, SnapshotEvery: 100 * time.Millisecond})
	feedtest.Go(t, r.Run)
	return h
}

// registry is one as an API has it, with a view of its own.
func (h *house) registry(change ...func(*Config)) *Registry {
	h.t.Helper()
	cfg := Config{Conn: natsdtest.Connect(h.t, h.server, natsd.API), FreshFor: 3 * time.Second, ReloadEvery: 200 * time.Millisecond}
	for _, c := range change {
		c(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	own := feed.New(feed.Config{Conn: cfg.Conn, PublicKey: feedtest.Public(), OnApply: func(a feed.Applied) { r.Advance(a.Head) }})
	feedtest.Go(h.t, own.Run)
	feedtest.Go(h.t, r.Run)
	<-r.Ready()
	<-own.Ready()
	return r
}

// verify starts a verifier and returns when it is ready.
func (h *house) verify(name string, change ...func(*feed.Config)) (f *feed.Feed, stop func()) {
	h.t.Helper()
	cfg := feed.Config{Conn: natsdtest.Connect(h.t, h.server, natsd.Verifier), PublicKey: feedtest.Public(), Name: name, ID: name}
	for _, c := range change {
		c(&cfg)
	}
	f = feed.New(cfg)
	stop = feedtest.Go(h.t, f.Run)
	<-f.Ready()
	return f, stop
}

// revoke revokes token n.
func (h *house) revoke(n int) Revoked {
	h.t.Helper()
	at := time.Now()
	return Revoked{Position: h.log.Revoke(h.t, events.ScopeToken, feedtest.Claims(n)), Received: at}
}

// of waits for so many registered verifiers, of whom so many are fresh.
func (r *Registry) of(t *testing.T, registered, fresh int) {
	t.Helper()
	feedtest.Eventually(t, fmt.Sprintf("%d verifiers, %d fresh", registered, fresh), func() bool {
		s := r.Stats()
		return s.Registered == registered && s.Fresh == fresh
	})
}

// waits waits for as long as d.
func (r *Registry) waits(t *testing.T, of Revoked, d time.Duration) (Enforcement, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return r.Wait(ctx, of)
}

// names is the names of those that are missing.
func names(e Enforcement) (out []string) {
	for _, s := range e.Missing() {
		out = append(out, s.Name)
	}
	return out
}

// say publishes on the subjects of a verifier, as whoever has the credentials
// can.
func say(t *testing.T, nc *nats.Conn, id string, data []byte) {
	t.Helper()
	for _, subject := range []string{stream.LiveVerifier(id), stream.VerifierSubject(id)} {
		if err := nc.Publish(subject, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
}

const patience = 2 * time.Minute

// head is how far the registry's own view is.
func (r *Registry) head() revocation.Head {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known
}
