package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take without moving, on a machine that has
// much else to do: a test that passes never waits that long.
const patience = time.Minute

// rig is a real server with an intake's surroundings.
type rig struct {
	testing.TB
	server     *natsd.Server
	js         jetstream.JetStream // as the projector
	publisher  jetstream.JetStream // as the api, which may publish every type
	log        *stream.Log
	quarantine *stream.Quarantine
	keys       *sealtest.Fault
	keyring    *seal.Keyring
	kek        seal.KEK
	logged     bytes.Buffer // what the intakes logged
	loggedMu   sync.Mutex
}

func newRig(t testing.TB) *rig {
	t.Helper()
	return rigIn(t, t.TempDir())
}

// rigIn is a rig whose server keeps its files in dir. It does not sync what it
// writes: no power is lost here.
func rigIn(t testing.TB, dir string) *rig {
	t.Helper()
	// A restart must not wait for messages that a killed intake held.
	s := natsdtest.StartWith(t, natsd.Config{Dir: dir, SyncEvery: time.Hour},
		stream.Topology{ControlAckWait: 2 * time.Second, AccessAckWait: 2 * time.Second})
	r := &rig{TB: t, server: s, js: natsdtest.JetStream(t, s, natsd.Projector), publisher: natsdtest.JetStream(t, s, natsd.API)}
	ctx := t.Context()
	var err error
	r.log, err = stream.OpenLog(ctx, r.js)
	r.check(err)
	r.quarantine, err = stream.OpenQuarantine(ctx, r.js)
	r.check(err)
	store, err := stream.OpenKeyStore(ctx, r.js)
	r.check(err)
	r.keys = &sealtest.Fault{Store: store, Judge: func(string, string) sealtest.Verdict { return sealtest.Pass }}
	r.kek = seal.GenerateKEK()
	r.keyring = r.newKeyring(r.kek)
	return r
}

func (r *rig) newKeyring(kek seal.KEK) *seal.Keyring {
	k, err := seal.NewKeyring(seal.Config{Store: r.keys, Root: kek})
	r.check(err)
	return k
}

// intakeKeys is the keys that publishers encrypt to: one for today, made when it
// is asked for.
func (r *rig) intakeKeys(ctx context.Context) (set envelope.Set, err error) {
	set.Now = time.Now()
	from := set.Now.Truncate(24 * time.Hour)
	if _, err := r.keyring.MakeIntakeKey(ctx, from, from.Add(48*time.Hour)); err != nil {
		return set, err
	}
	keys, err := r.keyring.IntakeKeys(ctx)
	for _, k := range keys {
		set.Keys = append(set.Keys, k.PublicKey)
	}
	return set, err
}

func (r *rig) check(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// Write takes what the intakes log.
func (r *rig) Write(p []byte) (int, error) {
	r.loggedMu.Lock()
	defer r.loggedMu.Unlock()
	return r.logged.Write(p)
}

func (r *rig) logText() string {
	r.loggedMu.Lock()
	defer r.loggedMu.Unlock()
	return r.logged.String()
}

// config is what an intake in this rig needs. It has no others beside it.
func (r *rig) config() Config {
	return Config{
		Open: func(ctx context.Context) (Source, error) { return stream.OpenIntake(ctx, r.js) },
		Log:  r.log, Quarantine: r.quarantine, Keyring: r.keyring, Policy: events.Policy{Environment: "test"}, Plaintext: true,
		Logger: slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// onSource puts something before the source of an intake.
func onSource(before func(Source) Source) func(*Config) {
	return func(c *Config) {
		open := c.Open
		c.Open = func(ctx context.Context) (Source, error) {
			s, err := open(ctx)
			if err != nil {
				return nil, err
			}
			return before(s), nil
		}
	}
}

// elected makes an intake one of several, which a real lock chooses among.
func (r *rig) elected(c *Config) {
	c.Elect = func(ctx context.Context) (context.Context, func(), error) {
		return stream.Elect(ctx, r.js, "intake", time.Second)
	}
}

// running is an intake at work.
type running struct {
	*Intake
	rig    *rig
	cancel context.CancelFunc
	result chan error
	once   sync.Once
	err    error
}

// start starts an intake, with changes to its configuration and to itself.
func (r *rig) start(changes ...any) *running {
	r.Helper()
	in := r.build(changes...)
	ctx, cancel := context.WithCancel(context.Background())
	in.cancel = cancel
	go func() { in.result <- in.Run(ctx) }()
	r.Cleanup(func() { in.stop() })
	return in
}

func (r *rig) build(changes ...any) *running {
	r.Helper()
	cfg := r.config()
	for _, c := range changes {
		if change, ok := c.(func(*Config)); ok {
			change(&cfg)
		}
	}
	in, err := New(cfg)
	r.check(err)
	for _, c := range changes {
		if change, ok := c.(func(*Intake)); ok {
			change(in)
		}
	}
	return &running{Intake: in, rig: r, result: make(chan error, 1)}
}

// stop stops the intake and is what Run returned.
func (in *running) stop() error {
	in.once.Do(func() {
		in.cancel()
		in.err = in.wait()
	})
	return in.err
}

// wait is what Run returned, once it has.
func (in *running) wait() error {
	in.rig.Helper()
	select {
	case err := <-in.result:
		in.result <- err
		return err
	case <-time.After(patience):
		in.rig.Error("the intake did not stop")
		return errors.New("did not stop")
	}
}

// until waits for a condition.
func (r *rig) until(what string, met func() bool) {
	r.Helper()
	await(r, what, func() (int, bool) { return 0, met() })
}

// drained waits until nothing is left in the intake stream, as long as it
// becomes less.
func (r *rig) drained() {
	r.Helper()
	await(r, "intake drained", func() (uint64, bool) { n := r.waiting(); return n, n == 0 })
}

// await looks again and again, and gives up when what it sees has not changed
// for patience. It looks less often the longer it takes: looking costs the time
// of what it waits for.
func await[T comparable](r *rig, what string, look func() (T, bool)) {
	r.Helper()
	at, done := look()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for pause := 2 * time.Millisecond; !done; pause = min(2*pause, 50*time.Millisecond) {
		select {
		case <-time.After(pause):
		case <-deadline.C:
			r.Fatalf("%s: nothing moved for %s\n%s", what, patience, r.logText())
		}
		before := at
		if at, done = look(); at != before {
			deadline.Reset(patience)
		}
	}
}

func (r *rig) waiting() uint64 {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	s, err := r.js.Stream(ctx, stream.IntakeStream)
	r.check(err)
	return s.CachedInfo().State.Msgs
}

// publish sends each event in a message of its own.
func (r *rig) publish(evs ...events.Event) {
	r.Helper()
	for i := range evs {
		b, err := events.MarshalEvent(&evs[i])
		r.check(err)
		r.send(stream.EventSubject(evs[i].Tenant, evs[i].Type), events.ContentTypeEvent, b)
	}
}

// publishBatch sends events of one type in one message.
func (r *rig) publishBatch(evs ...events.Event) {
	r.Helper()
	b, err := events.MarshalEvents(evs)
	r.check(err)
	r.send(stream.EventSubject(evs[0].Tenant, evs[0].Type), events.ContentTypeBatch, b)
}

func (r *rig) send(subject, contentType string, body []byte) {
	r.Helper()
	m := nats.NewMsg(subject)
	m.Data = body
	if contentType != "" {
		m.Header.Set("Content-Type", contentType)
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	_, err := r.publisher.PublishMsg(ctx, m)
	r.check(err)
}

// quarantined is what is in quarantine.
func (r *rig) quarantined() []stream.Quarantined {
	r.Helper()
	out, err := r.quarantine.List(r.Context(), 0, 10_000)
	r.check(err)
	return out
}

// entry is one record as it was read back.
type entry struct {
	*events.Record
	Index  uint64
	Batch  *events.Header
	Bytes  []byte
	Sealed []byte
}

// records reads the whole log back and checks everything that must always
// hold of it, with code of its own.
func (r *rig) records() []entry {
	r.Helper()
	last, err := r.log.Last(r.Context())
	r.check(err)
	var out []entry
	leaves := tree{done: map[[2]int]events.Hash{}}
	seen := map[events.Ref]uint64{}
	epoch := uint64(0)
	for seq := uint64(1); seq <= last.Seq; seq++ {
		m, err := r.log.Get(r.Context(), seq)
		r.check(err)
		b, err := events.UnmarshalBatch(m.Data)
		r.check(err)
		h := &b.Header
		if h.First != uint64(len(leaves.hashes)) || h.Epoch < epoch || h.Lane != m.Lane || h.Count == 0 || h.Count > events.MaxBatchRecords {
			r.Fatalf("seq %d: header %+v after %d records, epoch %d", seq, h, len(leaves.hashes), epoch)
		}
		epoch = h.Epoch
		for i, item := range b.Items {
			rec, err := events.UnmarshalRecord(item.Record)
			r.check(err)
			index := h.First + uint64(i)
			if first, twice := seen[rec.Ref()]; twice {
				r.Errorf("index %d: logged before at %d", index, first)
			}
			seen[rec.Ref()] = index
			if want := rec.PayloadHash; len(item.Sealed) == 0 != want.IsZero() || len(item.Sealed) > 0 && sha256.Sum256(item.Sealed) != want {
				r.Errorf("index %d: payload hash %v of %d bytes", index, want, len(item.Sealed))
			}
			if len(item.Digest) != 8 {
				r.Errorf("index %d: digest of %d bytes", index, len(item.Digest))
			}
			leaves.hashes = append(leaves.hashes, sha256.Sum256(append([]byte{0}, item.Record...)))
			out = append(out, entry{Record: rec, Index: index, Batch: h, Bytes: item.Record, Sealed: item.Sealed})
		}
		if root := leaves.root(0, len(leaves.hashes)); h.Root != root || h.Size != uint64(len(leaves.hashes)) {
			r.Fatalf("seq %d: root %v of %d, want %v of %d", seq, h.Root, h.Size, root, len(leaves.hashes))
		}
	}
	return out
}

// tree is the definition of RFC 6962 section 2.1. It keeps the roots of whole
// subtrees: nothing that is appended changes them.
type tree struct {
	hashes []events.Hash
	done   map[[2]int]events.Hash
}

// root is the root over n leaves from first on.
func (t *tree) root(first, n int) events.Hash {
	switch n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return t.hashes[first]
	}
	whole := n&(n-1) == 0
	if known, ok := t.done[[2]int{first, n}]; ok && whole {
		return known
	}
	k := 1
	for k*2 < n {
		k *= 2
	}
	left, right := t.root(first, k), t.root(first+k, n-k)
	root := events.Hash(sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...)))
	if whole {
		t.done[[2]int{first, n}] = root
	}
	return root
}

// facts is the records of events with these ids, findings left out.
func (r *rig) facts() map[string]entry {
	r.Helper()
	out := map[string]entry{}
	for _, e := range r.records() {
		if e.Type != events.FindingOpened {
			out[e.ID] = e
		}
	}
	return out
}

const issuer = "https://id.example.com"

// issued is a token.issued event that breaks no rule.
func issued(id string) events.Event {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return events.Event{
		ID: id, Source: "//id.example.com/a", Type: events.TokenIssued, Time: now, Tenant: "acme", Environment: "test",
		Data: events.Data{
			Issuer: issuer, Subject: "alice@example.com", TokenID: "token-of-" + id, SessionID: "session-7",
			ClientID: "app", IssuedAt: events.TimestampOf(now), Expires: events.TimestampOf(now.Add(10 * time.Minute)),
		},
	}
}

func issuedMany(prefix string, n int) []events.Event {
	out := make([]events.Event, n)
	for i := range out {
		out[i] = issued(fmt.Sprintf("%s-%04d", prefix, i))
	}
	return out
}

// revoked is a token.revoked event for the token of issued(id).
func revoked(id string) events.Event {
	ev := issued(id)
	ev.ID, ev.Type = "revocation-of-"+id, events.TokenRevoked
	return ev
}
