package feed_test

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

func TestRevocationReachesVerifier(t *testing.T) {
	t.Parallel()
	h := start(t)
	f := h.verify(t)
	one, other := feedtest.Claims(1), feedtest.Claims(2)
	awaitState(t, f, one, revocation.Active)
	for n, scope := range []events.Scope{events.ScopeToken, events.ScopeSession, events.ScopeSubject} {
		c := feedtest.Claims(10 + n)
		began := time.Now()
		at := h.log.Revoke(t, scope, c)
		awaitState(t, f, c, revocation.Revoked) // an announcement may tell it, which moves no position and makes no view younger
		feedtest.Eventually(t, "position", func() bool { return f.Position() >= at })
		d := f.Decide(c)
		if since := time.Since(began); d.Scope != scope || d.Reason != "test" || d.At.IsZero() || d.Age > since { // the delta was signed since then
			t.Errorf("%s: got %+v, revoked %s ago", scope, d, since)
		}
	}
	if d := f.Decide(other); d.State != revocation.Active || d.Cause != "" {
		t.Errorf("another token: got %+v", d)
	}
}

func TestLiftReachesVerifier(t *testing.T) {
	t.Parallel()
	h := start(t)
	f := h.verify(t)
	r := h.log.Revocation(events.ScopeToken, feedtest.Claims(1))
	h.log.Append(t, r)
	awaitState(t, f, feedtest.Claims(1), revocation.Revoked)
	h.log.Append(t, h.log.Lift(r))
	awaitState(t, f, feedtest.Claims(1), revocation.Active)
}

func TestLateVerifierKnowsEverything(t *testing.T) {
	t.Parallel()
	h := start(t)
	var all []revocation.Claims
	for n := range 2500 {
		all = append(all, feedtest.Claims(n))
	}
	for len(all) > 0 {
		h.log.Revoke(t, events.ScopeToken, all[:min(700, len(all))]...)
		all = all[min(700, len(all)):]
	}
	first := h.verify(t)
	awaitState(t, first, feedtest.Claims(2499), revocation.Revoked)
	late := h.verify(t)
	awaitReady(t, late)
	for n := range 2500 {
		if d := late.Decide(feedtest.Claims(n)); d.State != revocation.Revoked {
			t.Fatalf("token %d: got %+v", n, d)
		}
	}
	awaitState(t, late, feedtest.Claims(2500), revocation.Active)
	if s := late.Status(); s.Entries != 2500 || s.Doubt != "" || s.Missing != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestVerifierCreatesNothingOnTheServer(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	awaitState(t, h.verify(t), feedtest.Claims(1), revocation.Revoked)
	js := natsdtest.JetStream(t, h.server, natsd.Operator)
	for _, name := range []string{stream.RevocationsStream, "OBJ_" + stream.SnapshotBucket} {
		feedtest.Eventually(t, "no consumer", func() bool {
			s, err := js.Stream(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			return s.CachedInfo().State.Consumers == 0
		})
	}
}

func TestViewGrowsStaleWithoutHeartbeats(t *testing.T) {
	t.Parallel()
	h := start(t)
	f := h.verify(t, func(c *feed.Config) { c.StaleAfter = 300 * time.Millisecond })
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	awaitState(t, f, feedtest.Claims(1), revocation.Revoked)
	awaitState(t, f, feedtest.Claims(2), revocation.Active)
	h.stop()
	d := awaitState(t, f, feedtest.Claims(2), revocation.Unknown)
	if d.Cause != revocation.CauseStale || d.Age <= 300*time.Millisecond {
		t.Errorf("got %+v", d)
	}
	if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Revoked {
		t.Errorf("what was revoked: got %+v", d)
	}
	h.write(t)
	awaitState(t, f, feedtest.Claims(2), revocation.Active)
}

func TestVerifierIsColdBeforeTheFirstView(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	f := feed.New(feed.Config{Conn: natsdtest.Connect(t, s, natsd.Verifier), PublicKey: feedtest.Public()})
	feedtest.Go(t, f.Run) // nobody writes
	if d := f.Decide(feedtest.Claims(1)); d != (revocation.Decision{State: revocation.Unknown, Cause: revocation.CauseCold}) {
		t.Errorf("got %+v", d)
	}
	select {
	case <-f.Ready():
		t.Error("ready without a view")
	default:
	}
}

func TestServerRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := &house{server: natsdtest.StartIn(t, natsd.Config{Dir: dir}), keys: feedtest.NewKeys()}
	port := portOf(t, h.server.URL())
	h.log = feedtest.OpenLog(t, h.server)
	h.write(t)
	f := h.verify(t)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	awaitState(t, f, feedtest.Claims(1), revocation.Revoked)
	natsdtest.Stop(t, h.server)
	awaitState(t, f, feedtest.Claims(2), revocation.Unknown)
	h.server = natsdtest.StartIn(t, natsd.Config{Dir: dir, Port: port})
	awaitState(t, f, feedtest.Claims(2), revocation.Active)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(3))
	awaitState(t, f, feedtest.Claims(3), revocation.Revoked)
	if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Revoked {
		t.Errorf("got %+v", d)
	}
}

func TestStreamCreatedAgain(t *testing.T) {
	t.Parallel()
	h := start(t)
	f := h.verify(t)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	awaitState(t, f, feedtest.Claims(1), revocation.Revoked)
	js := natsdtest.JetStream(t, h.server, natsd.Operator)
	before := f.Status().Head
	if err := js.DeleteStream(t.Context(), stream.RevocationsStream); err != nil {
		t.Fatal(err)
	}
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(2)) // while there is none
	if err := stream.Ensure(t.Context(), js, stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	awaitState(t, f, feedtest.Claims(2), revocation.Revoked)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(3))
	awaitState(t, f, feedtest.Claims(3), revocation.Revoked)
	awaitState(t, f, feedtest.Claims(4), revocation.Active)
	after := f.Status().Head
	if after.SameHistory(&before) || after.Epoch != before.Epoch {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Revoked {
		t.Errorf("what was revoked before: got %+v", d)
	}
}

// A writer that runs stops where the log is made anew; one that is started on it
// on purpose begins another history.
func TestLogCreatedAgain(t *testing.T) {
	t.Parallel()
	h := start(t)
	f := h.verify(t)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	awaitState(t, f, feedtest.Claims(1), revocation.Revoked)
	before := f.Status().Head
	h.stop()
	js := natsdtest.JetStream(t, h.server, natsd.Operator)
	if err := js.DeleteStream(t.Context(), stream.LogStream); err != nil {
		t.Fatal(err)
	}
	if err := stream.Ensure(t.Context(), js, stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	h.write(t)
	h.log = feedtest.OpenLog(t, h.server)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(2))
	awaitState(t, f, feedtest.Claims(2), revocation.Revoked)
	awaitState(t, f, feedtest.Claims(1), revocation.Active) // the new log knows nothing of it
	if after := f.Status().Head; after.Epoch == before.Epoch || after.Feed != before.Feed {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// What is purged a snapshot holds, as where deltas are dropped by age: behind an
// older one a verifier could start only with the next.
func TestDeltasPurgedBehindAVerifier(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	p := newProxy(t, h.server.URL())
	f := h.verify(t, func(c *feed.Config) { c.Conn = p.connect(t, h.server) })
	awaitState(t, f, feedtest.Claims(1), revocation.Revoked)
	p.cut()
	at := h.log.Revoke(t, events.ScopeToken, feedtest.Claims(2))
	s, err := natsdtest.JetStream(t, h.server, natsd.Operator).Stream(t.Context(), stream.RevocationsStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), jetstream.WithPurgeSequence(h.snapshot(t, at).Seq+1)); err != nil {
		t.Fatal(err)
	}
	if d := f.Decide(feedtest.Claims(2)); d.State == revocation.Revoked {
		t.Fatal("a connection that was cut carried a delta")
	}
	p.mend()
	awaitState(t, f, feedtest.Claims(2), revocation.Revoked)
	awaitState(t, f, feedtest.Claims(3), revocation.Active)
}

// snapshot waits for one that reaches a position.
func (h *house) snapshot(t *testing.T, position uint64) (s *revocation.Snapshot) {
	t.Helper()
	bucket, err := natsdtest.JetStream(t, h.server, natsd.Projector).ObjectStore(t.Context(), stream.SnapshotBucket)
	if err != nil {
		t.Fatal(err)
	}
	feedtest.Eventually(t, "a snapshot", func() bool {
		data, err := bucket.GetBytes(t.Context(), revocation.SnapshotObject)
		if err != nil {
			return false // it is being replaced
		}
		if s, err = revocation.OpenSnapshot(feedtest.Public(), data); err != nil {
			t.Fatal(err)
		}
		return s.Position >= position
	})
	return s
}

func TestCutConnectionIsAGapUntilItIsMended(t *testing.T) {
	t.Parallel()
	h := start(t)
	p := newProxy(t, h.server.URL())
	f := h.verify(t, func(c *feed.Config) { c.Conn, c.StaleAfter = p.connect(t, h.server), 300*time.Millisecond })
	for n := range 5 {
		awaitState(t, f, feedtest.Claims(99), revocation.Active)
		p.cut()
		h.log.Revoke(t, events.ScopeSession, feedtest.Claims(n))
		if d := awaitState(t, f, feedtest.Claims(99), revocation.Unknown); d.Cause == "" {
			t.Errorf("got %+v", d)
		}
		p.mend()
		awaitState(t, f, feedtest.Claims(99), revocation.Active)
		if d := f.Decide(feedtest.Claims(n)); d.State != revocation.Revoked {
			t.Fatalf("round %d: fresh, but what was revoked during the cut is %s", n, d.State)
		}
	}
}

// A connection that is held and not cut looks healthy.
func TestHeldConnectionIsStale(t *testing.T) {
	t.Parallel()
	h := start(t)
	p := newProxy(t, h.server.URL())
	f := h.verify(t, func(c *feed.Config) { c.Conn, c.StaleAfter = p.connect(t, h.server), 300*time.Millisecond })
	awaitState(t, f, feedtest.Claims(1), revocation.Active)
	p.hold()
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	if d := awaitState(t, f, feedtest.Claims(2), revocation.Unknown); d.Cause != revocation.CauseStale {
		t.Errorf("got %+v", d)
	}
	p.release()
	awaitState(t, f, feedtest.Claims(2), revocation.Active)
	if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Revoked {
		t.Errorf("got %+v", d)
	}
}

func TestCorruptSnapshotIsNotLoaded(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	old := h.verify(t)
	awaitState(t, old, feedtest.Claims(1), revocation.Revoked)
	h.stop() // and with it the last snapshot is stored
	bucket, err := natsdtest.JetStream(t, h.server, natsd.Projector).ObjectStore(t.Context(), stream.SnapshotBucket)
	if err != nil {
		t.Fatal(err)
	}
	good, err := bucket.GetBytes(t.Context(), revocation.SnapshotObject)
	if err != nil {
		t.Fatal(err)
	}
	bad := append([]byte(nil), good...)
	bad[len(bad)-10] ^= 1
	putObject(t, natsdtest.JetStream(t, h.server, natsd.Projector), bad)
	attempts := newWarningCount()
	cold := h.verify(t, func(c *feed.Config) { c.Log = slog.New(attempts) })
	feedtest.Eventually(t, "attempts", func() bool { return attempts.n.Load() > 2 })
	if d := cold.Decide(feedtest.Claims(1)); d.State != revocation.Unknown || d.Cause != revocation.CauseCold {
		t.Errorf("got %+v", d)
	}
	h.write(t) // which does not need it either, and replaces it
	awaitState(t, cold, feedtest.Claims(1), revocation.Revoked)
	awaitState(t, cold, feedtest.Claims(2), revocation.Active)
	awaitState(t, old, feedtest.Claims(2), revocation.Active)
}

// putObject makes data the snapshot, in one chunk.
func putObject(t *testing.T, js jetstream.JetStream, data []byte) {
	t.Helper()
	info, err := json.Marshal(jetstream.ObjectInfo{ObjectMeta: jetstream.ObjectMeta{Name: revocation.SnapshotObject}, NUID: "other", Size: uint64(len(data)), Chunks: 1})
	if err != nil {
		t.Fatal(err)
	}
	name := base64.URLEncoding.EncodeToString([]byte(revocation.SnapshotObject))
	for _, m := range []*nats.Msg{{Subject: "$O." + stream.SnapshotBucket + ".C.other", Data: data}, {Subject: "$O." + stream.SnapshotBucket + ".M." + name, Data: info, Header: nats.Header{"Nats-Rollup": {"sub"}}}} {
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNewKeyIsFetchedBeforePositionMoves(t *testing.T) {
	t.Parallel()
	h := start(t)
	f := h.verify(t)
	awaitState(t, f, feedtest.Claims(1), revocation.Active)
	h.keys.Down(true)
	h.log.Key = feedtest.Key(2)
	at := h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1), feedtest.Claims(2))
	d := awaitState(t, f, feedtest.Claims(1), revocation.Unknown)
	if d.Cause != revocation.CauseCold || d.Position >= at {
		t.Errorf("got %+v before the key", d)
	}
	stranger := feedtest.Claims(1)
	stranger.Tenant = "other"
	if d := f.Decide(stranger); d.State != revocation.Active {
		t.Errorf("another tenant: got %+v", d)
	}
	h.keys.Set(feedtest.Key(1), feedtest.Key(2))
	h.keys.Down(false)
	feedtest.Eventually(t, "position", func() bool { return f.Position() >= at })
	if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Revoked {
		t.Errorf("got %+v with the key", d)
	}
	awaitState(t, f, feedtest.Claims(3), revocation.Active)
}

func TestDestroyedKeyLeavesItsTenantUnknown(t *testing.T) {
	t.Parallel()
	h := start(t)
	f := h.verify(t)
	awaitState(t, f, feedtest.Claims(1), revocation.Active)
	h.log.Key = feedtest.Key(9) // never to be had
	at := h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	feedtest.Eventually(t, "position", func() bool { return f.Position() >= at })
	if d := f.Decide(feedtest.Claims(2)); d.State != revocation.Unknown || d.Cause != revocation.CauseCold {
		t.Errorf("got %+v", d)
	}
	if s := f.Status(); s.Missing != 1 || s.Doubt != "" {
		t.Errorf("got %+v", s)
	}
}

func TestRunStopsAndSaysWhy(t *testing.T) {
	t.Parallel()
	if err := feed.New(feed.Config{}).Run(t.Context()); err == nil {
		t.Error("no error for an empty configuration")
	}
	s := natsdtest.Start(t)
	conn := natsdtest.Connect(t, s, natsd.Verifier)
	f := feed.New(feed.Config{Conn: conn, PublicKey: feedtest.Public()})
	failed := make(chan error, 1)
	go func() { failed <- f.Run(t.Context()) }()
	conn.Close()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("no error for a closed connection")
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("still running on a closed connection")
	}
}
