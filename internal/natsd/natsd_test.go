package natsd_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConfigReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	err := (&natsd.Config{Port: -1, Shards: -1, SyncEvery: -1, MaxStore: -1}).Validate()
	for _, name := range []string{"dir", "port", "shards", "sync", "store"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not reported in: %v", name, err)
		}
	}
	if _, err := natsd.Start(t.Context(), natsd.Config{}); err == nil {
		t.Error("a server without a directory was started")
	}
}

func TestKeysAreForNobodyElseAndFoundAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := natsdtest.StartIn(t, natsd.Config{Dir: dir})
	before := secrets(t, dir)
	if len(before) != 5+2*len(natsd.Roles()) {
		t.Errorf("%d secrets in %s", len(before), dir)
	}
	if _, err := natsdtest.JetStream(t, s, natsd.Projector).Publish(t.Context(), stream.LogSubject(events.Control), []byte("kept")); err != nil {
		t.Fatal(err)
	}
	natsdtest.Stop(t, s)
	s = natsdtest.StartIn(t, natsd.Config{Dir: dir})
	for name, content := range secrets(t, dir) {
		if before[name] != content {
			t.Errorf("%s was made anew", name)
		}
	}
	l, err := stream.OpenLog(t.Context(), natsdtest.JetStream(t, s, natsd.Projector))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := l.Last(t.Context()); err != nil || string(m.Data) != "kept" {
		t.Errorf("after a restart the log ends with %q, %v", m.Data, err)
	}
}

// secrets is the key and credential files by name; none may be readable by
// others.
func secrets(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "nats", "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", f, info.Mode().Perm())
		}
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(f)] = string(data)
	}
	return found
}

func TestKeyThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	natsdtest.Stop(t, natsdtest.StartIn(t, natsd.Config{Dir: dir}))
	key := filepath.Join(dir, "nats", "operator.nk")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := natsd.Start(t.Context(), natsd.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("start with a key that others can read: %v", err)
	}
	if err := os.WriteFile(key, []byte("not a seed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := natsd.Start(t.Context(), natsd.Config{Dir: dir}); err == nil || strings.Contains(err.Error(), "not a seed") {
		t.Errorf("start with a broken key: %v", err)
	}
}

// Credentials carry no permissions of their own, so a change of a role reaches
// those that were handed out before.
func TestCredentialsCarryNoPermissions(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	for _, r := range natsd.Roles() {
		data, err := os.ReadFile(s.CredsFile(r))
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.ParseDecoratedJWT(data)
		if err != nil {
			t.Fatal(err)
		}
		claims, err := jwt.DecodeUserClaims(token)
		if err != nil || !claims.HasEmptyPermissions() {
			t.Errorf("%s: %v, permissions %+v", r, err, claims.Permissions)
		}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	if nc, err := nats.Connect(s.URL()); err == nil {
		nc.Close()
		t.Error("a client without credentials was let in")
	}
	other := natsdtest.Start(t)
	if nc, err := nats.Connect(s.URL(), nats.UserCredentials(other.CredsFile(natsd.Operator))); err == nil {
		nc.Close()
		t.Error("a client of another deployment was let in")
	}
	if _, err := s.Connect("root"); err == nil {
		t.Error("a role that does not exist was let in")
	}
}

func TestStartAndShutdownEndWithTheirContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := natsd.Start(ctx, natsd.Config{Dir: t.TempDir()}); err == nil { // it may have been ready at once
		natsdtest.Stop(t, s)
	}
	s := natsdtest.Start(t)
	natsdtest.Stop(t, s)
	natsdtest.Stop(t, s)
	if nc, err := s.Connect(natsd.Issuer); err == nil {
		nc.Close()
		t.Error("a server that was shut down accepts connections")
	}
}

func TestServerListensWhereItIsTold(t *testing.T) {
	t.Parallel()
	s, err := natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir(), Host: "0.0.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { natsdtest.Stop(t, s) })
	natsdtest.Connect(t, s, natsd.Operator)
}
