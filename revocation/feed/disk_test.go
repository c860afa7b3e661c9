package feed

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// offline is a connection to a server that is not there and may come.
func offline(t *testing.T) *nats.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	nc, err := nats.Connect("nats://"+addr, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// saved is a directory that a verifier left behind, which knew that token 1
// was revoked.
func saved(t *testing.T) string {
	t.Helper()
	l := startLine(t)
	l.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	l.await(t, 1, revocation.Revoked)
	l.stop() // and with it the snapshot is stored
	dir := filepath.Join(t.TempDir(), "feed")
	f := New(Config{Conn: natsdtest.Connect(t, l.server, natsd.Verifier), PublicKey: feedtest.Public(), Dir: dir})
	f.keys = []events.FeedKey{feedtest.Key(1)}
	page := revocation.KeysReply{Keys: f.keys}
	body, signature, err := page.Sign(feedtest.Signer())
	if err != nil {
		t.Fatal(err)
	}
	f.saveKeys([]savedPage{{Body: body, Signature: signature}})
	if err := f.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func restoredFrom(t *testing.T, dir string) *Feed {
	t.Helper()
	f := New(Config{Conn: offline(t), PublicKey: feedtest.Public(), Dir: dir})
	f.restore()
	return f
}

func TestStartWithoutServerRefusesWhatWasRevoked(t *testing.T) {
	t.Parallel()
	f := restoredFrom(t, saved(t))
	feedtest.Go(t, f.Run)
	if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Revoked {
		t.Errorf("revoked before: got %+v", d)
	}
	if d := f.Decide(feedtest.Claims(2)); d.State != revocation.Unknown || d.Cause != revocation.CauseStale {
		t.Errorf("another: got %+v", d)
	}
	select {
	case <-f.Ready():
		t.Error("ready without a server")
	default:
	}
}

// TestListenersAreToldOfTheFirstView: at once, also where nobody can say what came
// behind it.
func TestListenersAreToldOfTheFirstView(t *testing.T) {
	t.Parallel()
	l := startLine(t)
	l.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	l.await(t, 1, revocation.Revoked)
	l.stop() // and with it the snapshot is stored
	deltas, err := natsdtest.JetStream(t, l.server, natsd.Operator).Stream(t.Context(), stream.RevocationsStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := deltas.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	stored := New(Config{Conn: natsdtest.Connect(t, l.server, natsd.Verifier), PublicKey: feedtest.Public()})
	stored.keys = []events.FeedKey{feedtest.Key(1)}
	for name, f := range map[string]*Feed{"stored": stored, "saved": New(Config{Conn: offline(t), PublicKey: feedtest.Public(), Dir: saved(t)})} {
		var told atomic.Bool
		f.Listen(func(entries []revocation.Entry) {
			if entries == nil && f.Decide(feedtest.Claims(1)).State == revocation.Revoked {
				told.Store(true)
			}
		})
		feedtest.Go(t, f.Run)
		feedtest.Eventually(t, "told of what was "+name, told.Load)
	}
}

func TestSavedFilesAreForTheirOwnerAlone(t *testing.T) {
	t.Parallel()
	dir := saved(t)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestSavedFilesThatWereChangedAreIgnored(t *testing.T) {
	t.Parallel()
	good := saved(t)
	for _, name := range []string{snapshotFile, keysFile} {
		for what, change := range map[string]func([]byte) []byte{
			"bit":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			"cut":   func(b []byte) []byte { return b[:len(b)/2] },
			"empty": func([]byte) []byte { return nil },
		} {
			dir := t.TempDir()
			for _, file := range []string{snapshotFile, keysFile} {
				b, err := os.ReadFile(filepath.Join(good, file))
				if err != nil {
					t.Fatal(err)
				}
				if file == name {
					b = change(bytes.Clone(b))
				}
				if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			f := restoredFrom(t, dir)
			if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Unknown {
				t.Errorf("%s, %s: got %+v", name, what, d)
			}
		}
	}
}

func TestNewerSnapshotIsSaved(t *testing.T) {
	t.Parallel()
	l := startLine(t)
	dir := t.TempDir()
	f := New(Config{Conn: natsdtest.Connect(t, l.server, natsd.Verifier), PublicKey: feedtest.Public(), Dir: dir, SaveEvery: 100 * time.Millisecond})
	feedtest.Go(t, f.Run)
	<-f.Ready()
	l.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	feedtest.Eventually(t, "a saved snapshot with the revocation", func() bool {
		return restoredFrom(t, dir).Decide(feedtest.Claims(1)).State == revocation.Revoked
	})
}

func TestDirectoryThatCannotBeWrittenStopsNothing(t *testing.T) {
	t.Parallel()
	l := startLine(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := New(Config{Conn: natsdtest.Connect(t, l.server, natsd.Verifier), PublicKey: feedtest.Public(), Dir: filepath.Join(file, "below")})
	feedtest.Go(t, f.Run)
	<-f.Ready()
	if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Active {
		t.Errorf("got %+v", d)
	}
}
