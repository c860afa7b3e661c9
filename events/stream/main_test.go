package stream_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope/envelopetest"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// serverDir names the variable that makes the test binary a server: a test
// that kills a server needs one in a process of its own.
const serverDir = "RESCIND_STREAM_TEST_SERVER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serverDir); dir != "" {
		serve(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// serve runs a server until the process is killed.
func serve(dir string) {
	s, err := natsd.Start(context.Background(), natsd.Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.URL())
	select {}
}

// child is a server in another process.
type child struct {
	cmd *exec.Cmd
	url string
	dir string
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, dir: dir}
	t.Cleanup(c.kill)
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the server did not say where it listens")
	}
	c.url = lines.Text()
	return c
}

// kill is kill -9.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// patience is how long anything may take, on a machine that has much else to do:
// a test that passes never waits that long.
const patience = time.Minute

// world is a server with every stream and a client of each role.
type world struct {
	*natsd.Server
	operator, projector jetstream.JetStream
	api                 jetstream.JetStream // that put uses, or nil
	sealing             *envelopetest.Keys  // that publishers are answered with
}

func start(t *testing.T) world {
	t.Helper()
	return sharded(t, 1)
}

// sharded is a server with the streams of n shards.
func sharded(t *testing.T, n int) world {
	t.Helper()
	return worldOf(t, natsdtest.StartIn(t, config(t, n)))
}

// bare is a server without any stream.
func bare(t *testing.T) world {
	t.Helper()
	return bareFor(t, 1)
}

// config is of a server that does not sync what it writes: tests that lose power,
// or a server, have one of their own.
func config(t *testing.T, shards int) natsd.Config {
	t.Helper()
	return natsd.Config{Dir: t.TempDir(), Shards: shards, SyncEvery: time.Hour}
}

func bareFor(t *testing.T, shards int) world {
	t.Helper()
	s, err := natsd.Start(t.Context(), config(t, shards))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { natsdtest.Stop(t, s) })
	return worldOf(t, s)
}

// worldOf is s with its clients, of which the projector's answers for keys.
func worldOf(t *testing.T, s *natsd.Server) world {
	t.Helper()
	w := world{s, natsdtest.JetStream(t, s, natsd.Operator), natsdtest.JetStream(t, s, natsd.Projector), natsdtest.JetStream(t, s, natsd.API), envelopetest.New(t)}
	w.sealing.Serve(t, w.projector.Conn())
	return w
}

func (w world) publisher(t *testing.T, role natsd.Role, change func(*stream.PublisherConfig)) *stream.Publisher {
	t.Helper()
	cfg := stream.PublisherConfig{Conn: natsdtest.Connect(t, w.Server, role), Tenant: "acme", Environment: "dev", Source: "https://id.example"}
	if change != nil {
		change(&cfg)
	}
	p, err := stream.NewPublisher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Close(ctx)
	})
	return p
}

func (w world) intake(t *testing.T) *stream.Intake {
	t.Helper()
	in, err := stream.OpenIntake(t.Context(), w.projector)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

func (w world) log(t *testing.T) *stream.Log {
	t.Helper()
	l, err := stream.OpenLog(t.Context(), w.projector)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (w world) state(t *testing.T, name string) jetstream.StreamState {
	t.Helper()
	s, err := w.operator.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State
}

// eventually polls until ok, for conditions that no channel announces. It looks
// less often the longer it takes: looking costs the time of what it waits for.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for pause := 2 * time.Millisecond; !ok(); pause = min(2*pause, 50*time.Millisecond) {
		select {
		case <-time.After(pause):
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// issued is a valid event.
func issued(id string) events.Event {
	return events.Event{ID: id, Type: events.TokenIssued, Data: events.Data{Issuer: "https://id.example", TokenID: "jti-" + id}}
}

func revoked(id string) events.Event {
	ev := issued(id)
	ev.Type = events.TokenRevoked
	return ev
}

// collect reads messages until n have arrived, acknowledging each.
func collect(t *testing.T, in *stream.Intake, n int) []stream.IntakeMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out []stream.IntakeMessage
	for len(out) < n {
		ms := next(ctx, t, in)
		for _, m := range ms {
			if err := m.Ack(); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, ms...)
	}
	return out
}

// ids is the ids of all events in ms, which must all be accepted.
func (w world) ids(t *testing.T, ms []stream.IntakeMessage) (out []string) {
	t.Helper()
	for _, m := range ms {
		decoded, err := events.Decode(w.sealing.Open(t, m.Message))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range decoded {
			if d.Refusal != nil {
				t.Fatalf("refused: %s", d.Refusal)
			}
			if r := (events.Policy{Environment: "dev", RequireEnvironment: true}).Validate(&d.Event, time.Now()); r != nil {
				t.Fatalf("refused: %s", r)
			}
			out = append(out, d.Event.ID)
		}
	}
	return out
}
