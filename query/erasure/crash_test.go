package erasure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/query/erasure/ledger"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// The environment of a mortal: a process that runs the worker and is killed
// right before its nth write of anything.
const (
	mortalWrites = "RESCIND_TEST_MORTAL_WRITES"
	mortalNATS   = "RESCIND_TEST_MORTAL_NATS"
	mortalCreds  = "RESCIND_TEST_MORTAL_CREDS"
	mortalLedger = "RESCIND_TEST_MORTAL_LEDGER"
)

func isMortal() bool { return os.Getenv(mortalWrites) != "" }

// fate counts the writes of a process, and ends it as SIGKILL does.
type fate struct{ left atomic.Int64 }

func (f *fate) write() {
	if f.left.Add(-1) >= 0 {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until it comes
}

// mortalStore, mortalPublisher and mortalLedger are all that the worker writes to.
type mortalStore struct {
	seal.Store
	*fate
}

func (s mortalStore) Create(ctx context.Context, unless string, puts ...seal.Put) error {
	s.write()
	return s.Store.Create(ctx, unless, puts...)
}

func (s mortalStore) Erase(ctx context.Context, key string) error {
	s.write()
	return s.Store.Erase(ctx, key)
}

type mortalPublisher struct {
	Publisher
	*fate
}

func (p mortalPublisher) Publish(ctx context.Context, evs ...events.Event) error {
	p.write()
	return p.Publisher.Publish(ctx, evs...)
}

type mortalBook struct {
	Ledger
	*fate
}

func (b mortalBook) Append(ctx context.Context, entries ...ledger.Entry) error {
	b.write()
	return b.Ledger.Append(ctx, entries...)
}

// live runs a worker until it is killed.
func live() {
	if err := work(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work(ctx context.Context) error {
	var f fate
	left, err1 := strconv.ParseInt(os.Getenv(mortalWrites), 10, 64)
	f.left.Store(left)
	nc, err2 := nats.Connect(os.Getenv(mortalNATS), natsd.Options(natsd.API, os.Getenv(mortalCreds))...)
	book, err3 := ledger.Open(os.Getenv(mortalLedger), ledger.Key{ID: "0123abcd"})
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	store, err1 := stream.OpenKeyStore(ctx, js)
	keys, err2 := seal.NewKeyring(seal.Config{Store: mortalStore{store, &f}, Root: lanetest.Root()})
	log, err3 := stream.OpenLog(ctx, js)
	pub, err4 := stream.NewPublisher(stream.PublisherConfig{Conn: nc, Environment: lanetest.Environment, Source: "test", Service: true})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	follower, err := lane.New(lane.Config{Log: log, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	w, err := New(Config{
		Lane: follower, Publisher: mortalPublisher{pub, &f}, Keyring: keys, Ledger: mortalBook{book, &f}, WaitFor: patience,
		Policy: events.Policy{Environment: lanetest.Environment}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	go func() { _ = follower.Run(ctx) }() // it ends with the process
	return w.Run(ctx)
}

// mortal starts a process that is killed before its nth write, and returns a
// channel that is closed once it is dead.
func (o *office) mortal(writes int, ledgerDir string) (dead chan struct{}, kill func()) {
	o.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), mortalWrites+"="+strconv.Itoa(writes), mortalNATS+"="+o.kit.NATS.URL(),
		mortalCreds+"="+o.kit.NATS.CredsFile(natsd.API), mortalLedger+"="+ledgerDir)
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	dead = make(chan struct{})
	go func() {
		defer close(dead)
		_ = cmd.Wait() // that it was killed is what it is for
	}()
	kill = func() { _ = cmd.Process.Kill(); <-dead }
	o.t.Cleanup(kill)
	return dead, kill
}

// TestE08KilledBeforeEachWrite: a process that carries out an erasure is killed
// with SIGKILL before each of its writes, and another goes on. The erasure ends
// once: one revocation, one completion. At no moment does the log say that it is
// done while a key is there or the ledger knows nothing, or the ledger while the
// key is there.
func TestE08KilledBeforeEachWrite(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	dir := t.TempDir()
	book := openLedger(t, dir)
	whole := 0
	for whole == 0 {
		subject := fmt.Sprint("alice-", o.rounds)
		meet(kit, subject)
		ref, err := kit.Keyring.Lookup(t.Context(), whom(subject))
		if err != nil {
			t.Fatal(err)
		}
		r := o.approved(subject)
		dead, kill := o.mortal(o.rounds, dir)
		if !o.diesBefore(dead, r.ID) {
			whole = o.rounds
		}
		kill()
		o.drained()
		o.wantTold(r, ref.Ref, book)
		stop := kit.Run(o.heir(book).Run)
		if got := o.until(r.ID, Completed).Outcome; got != Erased {
			t.Errorf("killed before write %d: outcome %s", o.rounds, got)
		}
		stop()
		o.wantForgotten(subject)
		o.wantTold(r, ref.Ref, book)
		o.rounds++
	}
	if err := o.lane.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, m := len(o.of(events.SubjectRevoked)), len(o.of(events.RequestCompleted)); n != o.rounds || m != o.rounds {
		t.Errorf("%d revocations, %d completions of %d", n, m, o.rounds)
	}
	if whole < 7 { // revocation, fence, mark, key, reference, ledger, completion
		t.Errorf("it has %d writes: the test kills in too few places", whole)
	}
}

// heir is the worker that goes on.
func (o *office) heir(book *ledger.Ledger) *Workflow {
	o.t.Helper()
	return open(o.t, o.kit, func(c *Config) { c.Ledger = book }).Workflow
}

// diesBefore waits until a process is dead, or has carried out a request.
func (o *office) diesBefore(dead chan struct{}, id string) (died bool) {
	o.t.Helper()
	o.eventually(func() bool {
		select {
		case <-dead:
			died = true
		default:
		}
		r, err := o.Get(id, all)
		return died || err == nil && r.State == Completed
	})
	return died
}

// wantTold: what log and ledger say of an erasure is so.
func (o *office) wantTold(r Request, ref events.Ref, book *ledger.Ledger) {
	o.t.Helper()
	now, err := o.Get(r.ID, all)
	if err != nil {
		o.t.Fatal(err)
	}
	inLedger := false
	for _, line := range entered(o.t, book) {
		inLedger = inLedger || line.Ref == ref
	}
	back, err := o.kit.Keyring.Returned(o.t.Context(), []seal.Reference{{Tenant: "acme", Ref: ref}})
	if err != nil {
		o.t.Fatal(err)
	}
	if done, there := now.State == Completed, len(back) > 0; done && !inLedger || (done || inLedger) && there {
		o.t.Errorf("before write %d: completed %t, in the ledger %t, key there %t", o.rounds, done, inLedger, there)
	}
}
