package app

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// TestEveryKeyringForgetsEpochs: as long as a keyring is open, something drops
// the keys of destroyed epochs from its memory, which nobody could see otherwise
// but in a dump of it. The test is not parallel: others have keyrings, too.
func TestEveryKeyringForgetsEpochs(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Profile, c.Environment, c.Roles, c.NATS.URL = config.Dev, "test", []string{config.RoleIntake}, "nats://unused"
	c.Keys.Root = config.Root("dir:" + root)
	a, err := open(Config{Config: c, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := natsdtest.Start(t)
	b := &bus{nc: natsdtest.Connect(t, server, natsd.Projector), js: natsdtest.JetStream(t, server, natsd.Projector)}
	if forgets() {
		t.Fatal("a keyring is open already")
	}
	if _, err := a.keyring(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	patience, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if <-when(patience, forgets); patience.Err() != nil {
		t.Error("nothing forgets the epochs of an open keyring")
	}
	if a.close(); forgets() {
		t.Error("it goes on when the keyring is closed")
	}
}

// forgets reports whether something forgets epochs.
func forgets() bool {
	stacks := make([]byte, 4<<20)
	return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), ".forgetEpochs")
}
