package feed_test

import (
	"bytes"
	"crypto/ed25519"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// The server is put back to a backup: log, feed and snapshots end before what the
// verifier has applied, and go on in another way. It takes the new history, and
// does not mix the two.
func TestServerRestoredFromABackup(t *testing.T) {
	t.Parallel()
	dir, backup := t.TempDir(), t.TempDir()
	h := &house{server: natsdtest.StartIn(t, natsd.Config{Dir: dir}), keys: feedtest.NewKeys()}
	port := portOf(t, h.server.URL())
	h.log = feedtest.OpenLog(t, h.server)
	h.write(t)
	f := h.verify(t)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	awaitState(t, f, feedtest.Claims(1), revocation.Revoked)
	h.stop()
	natsdtest.Stop(t, h.server)
	copyAll(t, backup, dir)
	next, last := *h.log, h.log.Next()
	h.server = natsdtest.StartIn(t, natsd.Config{Dir: dir, Port: port})
	h.log.Reopen(t, h.server)
	h.write(t)
	for n := 2; n < 6; n++ { // which the backup does not hold
		h.log.Revoke(t, events.ScopeToken, feedtest.Claims(n))
		awaitState(t, f, feedtest.Claims(n), revocation.Revoked)
	}
	before := f.Status().Head
	h.stop()
	natsdtest.Stop(t, h.server)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	copyAll(t, dir, backup)
	h.server = natsdtest.StartIn(t, natsd.Config{Dir: dir, Port: port})
	h.log = &next
	h.log.Reopen(t, h.server)
	h.write(t)
	at := h.log.Revoke(t, events.ScopeToken, feedtest.Claims(7))
	if at != last {
		t.Fatalf("the restored log goes on at %d, want %d", at, last)
	}
	awaitState(t, f, feedtest.Claims(7), revocation.Revoked)
	awaitState(t, f, feedtest.Claims(5), revocation.Active) // this history does not revoke it
	if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Revoked {
		t.Errorf("got %+v", d)
	}
	if after := f.Status(); after.Head.Position >= before.Position || after.Doubt != "" {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func copyAll(t *testing.T, to, from string) {
	t.Helper()
	err := os.CopyFS(to, os.DirFS(from))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chmod(path, 0o600) // as it was
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A snapshot that is not whole, not signed by the projector, or signed for
// something else is not loaded, and nothing is active until there is a good one.
func TestBadSnapshotsAreNotLoaded(t *testing.T) {
	t.Parallel()
	h := start(t)
	at := h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	good := h.snapshot(t, at)
	h.stop()
	js := natsdtest.JetStream(t, h.server, natsd.Projector)
	bucket, err := js.ObjectStore(t.Context(), stream.SnapshotBucket)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := bucket.GetBytes(t.Context(), revocation.SnapshotObject)
	if err != nil {
		t.Fatal(err)
	}
	delta := revocation.Delta{Head: good.Head}
	asDelta, err := delta.Sign(feedtest.Signer())
	if err != nil {
		t.Fatal(err)
	}
	payload := signed[ed25519.SignatureSize:]
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	for name, data := range map[string][]byte{
		"unsigned": payload, "no signature": append(make([]byte, ed25519.SignatureSize), payload...),
		"signature of another key": append(ed25519.Sign(other, payload), payload...),
		"cut off":                  signed[:len(signed)/2], "empty": {}, "a delta": asDelta,
		"followed by something": append(bytes.Clone(signed), 0),
	} {
		putObject(t, js, data)
		attempts := newWarningCount()
		f := h.verify(t, func(c *feed.Config) { c.Log = slog.New(attempts) })
		feedtest.Eventually(t, name, func() bool { return attempts.n.Load() > 1 })
		if d := f.Decide(feedtest.Claims(2)); d.State != revocation.Unknown || d.Cause != revocation.CauseCold {
			t.Errorf("%s: got %+v", name, d)
		}
	}
	last := h.verify(t)
	h.write(t)
	awaitState(t, last, feedtest.Claims(1), revocation.Revoked)
	awaitState(t, last, feedtest.Claims(2), revocation.Active)
}

// A verifier that starts while the bus is down and has nothing saved is cold;
// when the bus comes it needs no help.
func TestColdStartWithTheBusDown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := &house{server: natsdtest.StartIn(t, natsd.Config{Dir: dir}), keys: feedtest.NewKeys()}
	port := portOf(t, h.server.URL())
	h.log = feedtest.OpenLog(t, h.server)
	h.write(t)
	saved := t.TempDir()
	before := h.verify(t, func(c *feed.Config) { c.Dir = saved; c.SaveEvery = 100e6 })
	at := h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	h.snapshot(t, at)
	awaitState(t, before, feedtest.Claims(1), revocation.Revoked)
	opts := append(natsd.Options(natsd.Verifier, h.server.CredsFile(natsd.Verifier)), nats.RetryOnFailedConnect(true))
	feedtest.Eventually(t, "a saved snapshot", func() bool { data, err := os.ReadFile(saved + "/snapshot"); return err == nil && holds(data, at) })
	h.stop()
	natsdtest.Stop(t, h.server)

	start := func(dir string) *feed.Feed {
		nc, err := nats.Connect("nats://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		f := feed.New(feed.Config{Conn: nc, PublicKey: feedtest.Public(), Dir: dir, Name: "orders"})
		feedtest.Go(t, f.Run)
		return f
	}
	cold, warm := start(""), start(saved)
	awaitState(t, warm, feedtest.Claims(1), revocation.Revoked)
	for f, cause := range map[*feed.Feed]revocation.Cause{cold: revocation.CauseCold, warm: revocation.CauseStale} {
		if d := f.Decide(feedtest.Claims(2)); d.State != revocation.Unknown || d.Cause != cause || f.Check() == nil {
			t.Errorf("%s: got %+v", cause, d)
		}
	}
	h.server = natsdtest.StartIn(t, natsd.Config{Dir: dir, Port: port})
	h.write(t)
	for _, f := range []*feed.Feed{cold, warm} {
		awaitState(t, f, feedtest.Claims(2), revocation.Active)
		if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Revoked {
			t.Errorf("got %+v", d)
		}
	}
}

// holds reports whether a saved snapshot reaches a position.
func holds(data []byte, position uint64) bool {
	s, err := revocation.OpenSnapshot(feedtest.Public(), data)
	return err == nil && s.Position >= position
}
