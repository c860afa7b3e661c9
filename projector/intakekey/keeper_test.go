package intakekey

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take on a machine that has much else to do.
const patience = time.Minute

// house is a real server with a keyring and a clock that can be put forward.
type house struct {
	testing.TB
	dir    string
	server *natsd.Server
	js     jetstream.JetStream
	kek    seal.KEK
	ahead  atomic.Int64
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	s := natsdtest.StartIn(t, natsd.Config{Dir: dir, SyncEvery: time.Hour})
	h := &house{TB: t, dir: dir, server: s, js: natsdtest.JetStream(t, s, natsd.Projector), kek: seal.GenerateKEK()}
	h.ahead.Store(int64(time.Until(time.Unix(1_900_000_800, 0)))) // 18:00, so that the next key is due
	return h
}

func (h *house) check(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) keyring() *seal.Keyring {
	h.Helper()
	store, err := stream.OpenKeyStore(h.Context(), h.js)
	h.check(err)
	k, err := seal.NewKeyring(seal.Config{Store: store, Root: h.kek, CacheTTL: time.Millisecond})
	h.check(err)
	return k
}

func (h *house) config() Config {
	return Config{
		Conn: h.js.Conn(), Keyring: h.keyring(), Every: 10 * time.Millisecond,
		Intake: func(ctx context.Context) (stream.IntakeState, error) { return stream.ReadIntakeState(ctx, h.js) },
		Now:    func(server time.Time) time.Time { return server.Add(time.Duration(h.ahead.Load())) },
	}
}

func (h *house) keeper(change ...func(*Config)) *Keeper {
	h.Helper()
	cfg := h.config()
	for _, c := range change {
		c(&cfg)
	}
	k, err := New(cfg)
	h.check(err)
	return k
}

func (h *house) turn(k *Keeper) {
	h.Helper()
	h.check(k.turn(h.Context()))
}

// pass lets time pass.
func (h *house) pass(d time.Duration) { h.ahead.Add(int64(d)) }

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }

func (h *house) keys() []envelope.PrivateKey {
	h.Helper()
	keys, err := h.keyring().IntakeKeys(h.Context())
	h.check(err)
	return keys
}

// put puts a message into the intake.
func (h *house) put() uint64 {
	h.Helper()
	ack, err := natsdtest.JetStream(h, h.server, natsd.API).Publish(h.Context(), "rescind.events.acme.token.issued", []byte("{}"))
	h.check(err)
	return ack.Sequence
}

// remove removes a message from the intake, as its reader does.
func (h *house) remove(seq uint64) {
	h.Helper()
	s, err := h.js.Stream(h.Context(), stream.IntakeStream)
	h.check(err)
	h.check(s.DeleteMsg(h.Context(), seq))
}

// TestThereIsAlwaysAKeyAndTheNextOneIsKnown goes through four days, an hour at a
// time: what a publisher was told at any time lasts for half a day.
func TestThereIsAlwaysAKeyAndTheNextOneIsKnown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	k := h.keeper()
	used := map[string]bool{}
	for range 4 * 24 {
		h.turn(k)
		now := h.now()
		set := public(h.keys(), now)
		for _, at := range []time.Duration{0, 6 * time.Hour, 12 * time.Hour} {
			if set.Current(now.Add(at)).IsZero() {
				t.Fatalf("at %s no key is known for %s later: %+v", now, at, set.Keys)
			}
		}
		current := set.Current(now)
		used[current.ID] = true
		if life := current.Expires.Sub(current.NotBefore); life > 25*time.Hour {
			t.Fatalf("a key for %s", life)
		}
		h.pass(time.Hour)
	}
	if len(used) != 5 {
		t.Errorf("%d keys were in use in four days and a bit", len(used))
	}
	if n := len(h.keys()); n > 3 {
		t.Errorf("%d keys are there, with nothing in the intake", n)
	}
}

func TestKeepersAtOnceMakeOneKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var all sync.WaitGroup
	logged := make([]bytes.Buffer, 4)
	told := ""
	for i := range logged {
		k := h.keeper(func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&logged[i], nil)) })
		all.Go(func() {
			if err := k.turn(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range logged {
		told += logged[i].String()
	}
	if n := strings.Count(told, "intake key made"); n != 2 {
		t.Errorf("told of %d that were made:\n%s", n, told)
	}
	keys := h.keys()
	begins := map[time.Time]bool{}
	for _, k := range keys {
		begins[k.NotBefore] = true
	}
	if len(keys) != 2 || len(begins) != 2 { // today's and tomorrow's
		t.Fatalf("%d keys for %d days", len(keys), len(begins))
	}
}

// TestAKeyLivesAsLongAsAMessageMayNeedIt holds a message in the intake past the
// end of its key, and publishes another after that.
func TestAKeyLivesAsLongAsAMessageMayNeedIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	k := h.keeper()
	h.turn(k)
	old := h.keys()[0]
	there := func() bool {
		for _, k := range h.keys() {
			if k.ID == old.ID {
				return true
			}
		}
		return false
	}
	dealt, held := h.put(), h.put()
	h.remove(dealt)
	h.pass(old.Expires.Sub(h.now()) + 61*time.Minute)
	for range 3 {
		h.turn(k)
		h.turn(h.keeper()) // one that has just been started, too
	}
	if !there() || k.Status().Overdue != 1 {
		t.Fatalf("destroyed while a message is held, or not told: %+v", k.Status())
	}
	h.put() // stored after: not under this key
	h.remove(held)
	if h.turn(k); there() {
		t.Fatal("not destroyed although nothing needs it")
	}
	if s := k.Status(); s.Overdue != 0 || s.Keys != 1 {
		t.Errorf("status %+v", s)
	}
}

// TestAKeyOpensForAWhileAfterItsEnd: nothing is in the intake, but something may
// be on its way.
func TestAKeyOpensForAWhileAfterItsEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	k := h.keeper()
	h.turn(k)
	old := h.keys()[0]
	h.pass(old.Expires.Sub(h.now()) + 59*time.Minute)
	if h.turn(k); h.keys()[0].ID != old.ID {
		t.Fatal("destroyed before Grace has passed")
	}
	h.pass(2 * time.Minute)
	if h.turn(k); h.keys()[0].ID == old.ID {
		t.Fatal("not destroyed after it")
	}
}

// TestAStreamMadeAnewLengthensLife: sequences of another stream say nothing.
func TestAStreamMadeAnewLengthensLife(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	k := h.keeper()
	at := h.now()
	state := stream.IntakeState{Created: at, First: 1, Last: 100}
	if k.passed("a", state) {
		t.Fatal("passed while 100 messages are there")
	}
	anew := stream.IntakeState{Created: at.Add(time.Second), First: 1000, Last: 1010}
	if k.passed("a", anew) {
		t.Fatal("passed because another stream counts from 1000")
	}
	anew.First = 1010
	if k.passed("a", anew) {
		t.Fatal("passed while one is there that was there when it was marked")
	}
	if anew.First = 1011; !k.passed("a", anew) {
		t.Fatal("not passed although all that was there is gone")
	}
}

// TestADestroyedKeyIsNowhereOnTheDisk looks for what the keyring stored.
func TestADestroyedKeyIsNowhereOnTheDisk(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	k := h.keeper()
	h.turn(k)
	old := h.keys()[0]
	store, err := stream.OpenKeyStore(t.Context(), h.js)
	h.check(err)
	names, err := store.List(t.Context(), "i.")
	h.check(err)
	stored, err := store.Get(t.Context(), names...)
	h.check(err)
	sealed, err := envelope.Seal(old.PublicKey, "a", []byte("text"))
	h.check(err)
	found := func() (n int) {
		for _, v := range stored {
			if h.onDisk(v[len(v)-40:]) {
				n++
			}
		}
		return n
	}
	if n := found(); n != 2 {
		t.Fatalf("%d of 2 stored keys are found before: the search does not work", n)
	}
	h.pass(old.Expires.Sub(h.now()) + 2*time.Hour)
	h.turn(k)
	if n := found(); n != 1 {
		t.Fatalf("%d of the keys that were stored are on the disk: want the one that was not destroyed", n)
	}
	m, err := envelope.Parse(sealed)
	h.check(err)
	if keys, err := h.keyring().FindIntakeKeys(t.Context(), m.KeyID); err != nil || len(keys) != 0 {
		t.Fatalf("%v, %v", keys, err)
	}
}

// onDisk reports whether what is anywhere in the server's files.
func (h *house) onDisk(what []byte) (found bool) {
	h.Helper()
	h.check(filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		found = found || bytes.Contains(b, what)
		return err
	}))
	return found
}

// run runs a keeper until the returned function is called.
func (h *house) run(k *Keeper) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			h.Error(err)
		}
	})
	h.Cleanup(stop)
	select {
	case <-k.Ready():
	case <-time.After(patience):
		h.Fatal("not ready")
	}
	return stop
}

// TestWhoeverPublishesIsAnswered asks in every role that publishes, of keepers
// of which one is gone: what one had given out the other has.
func TestWhoeverPublishesIsAnswered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.ahead.Store(0)
	first := h.run(h.keeper())
	var sets []envelope.Set
	ask := func(r natsd.Role) {
		t.Helper()
		nc := natsdtest.Connect(t, h.server, r)
		deadline := time.Now().Add(patience)
		for { // a keeper is ready a moment before it is asked
			set, err := stream.IntakeKeys(t.Context(), nc)
			if err == nil {
				sets = append(sets, set)
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", r, err)
			}
		}
	}
	for _, r := range []natsd.Role{natsd.Issuer, natsd.Verifier, natsd.API} {
		ask(r)
	}
	first()
	h.run(h.keeper())
	ask(natsd.Issuer)
	for _, set := range sets {
		if k := set.Current(set.Now); k.IsZero() || k.ID != sets[0].Current(set.Now).ID {
			t.Errorf("%+v is not the same as %+v", set, sets[0])
		}
		if off := time.Since(set.Now); off < -time.Minute || off > time.Minute {
			t.Errorf("the time is off by %s", off)
		}
	}
}

// TestASubscriptionThatFailsIsAnError: over a connection that is closed nobody is
// answered, and Run says so.
func TestASubscriptionThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	k := h.keeper(func(c *Config) {
		c.Conn = natsdtest.Connect(t, h.server, natsd.Projector)
		c.Conn.Close()
	})
	if err := k.Run(t.Context()); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("it ended with %v", err)
	}
}

// TestAnAnswerSaysTheServersTime, which is not that of the process: by it the
// publisher picks the key.
func TestAnAnswerSaysTheServersTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	k := h.keeper()
	h.turn(k) // so that it knows the time
	stop, err := k.serve(t.Context())
	h.check(err)
	defer stop()
	set, err := stream.IntakeKeys(t.Context(), natsdtest.Connect(t, h.server, natsd.Issuer))
	h.check(err)
	if off := h.now().Sub(set.Now); off < -time.Minute || off > time.Minute || set.Current(set.Now).IsZero() {
		t.Errorf("%s off: %+v", off, set)
	}
}

// TestKeysAreReadOnceATurn, where none is missing.
func TestKeysAreReadOnceATurn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	counted := new(countedKeyring)
	k := h.keeper(func(c *Config) { counted.Keyring, c.Keyring = c.Keyring, counted })
	h.turn(k)
	before := counted.reads
	if h.turn(k); counted.reads != before+1 {
		t.Errorf("read %d times", counted.reads-before)
	}
}

// countedKeyring counts how often all keys are read.
type countedKeyring struct {
	Keyring
	reads int
}

func (c *countedKeyring) IntakeKeys(ctx context.Context) ([]envelope.PrivateKey, error) {
	c.reads++
	return c.Keyring.IntakeKeys(ctx)
}

// TestADestroyThatFailedIsDoneAgain: an error of the store leaves the key marked.
func TestADestroyThatFailedIsDoneAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	broken := new(brokenKeyring)
	k := h.keeper(func(c *Config) { broken.Keyring, c.Keyring = c.Keyring, broken })
	h.turn(k)
	old := h.keys()[0]
	h.pass(old.Expires.Sub(h.now()) + 2*time.Hour)
	broken.down.Store(true)
	if err := k.turn(t.Context()); !errors.Is(err, errDown) {
		t.Fatalf("got %v", err)
	}
	if s := k.Status(); s.Overdue != 1 {
		t.Fatalf("status %+v", s)
	}
	broken.down.Store(false)
	h.turn(k)
	if h.keys()[0].ID == old.ID {
		t.Fatal("not destroyed when the store is back")
	}
}

var errDown = errors.New("down")

// brokenKeyring does not destroy while it is down.
type brokenKeyring struct {
	Keyring
	down atomic.Bool
}

func (b *brokenKeyring) DestroyIntakeKey(ctx context.Context, key envelope.PublicKey) error {
	if b.down.Load() {
		return errDown
	}
	return b.Keyring.DestroyIntakeKey(ctx, key)
}

func TestConfigReportsAllFaults(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Period: time.Second, Ahead: time.Hour, Overlap: time.Hour, Grace: time.Millisecond, Every: 2 * time.Hour})
	for _, want := range []string{"conn", "keyring", "intake", "period", "ahead", "overlap", "grace", "every"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %q", err, want)
		}
	}
}
