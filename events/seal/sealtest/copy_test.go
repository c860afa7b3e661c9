package sealtest_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/rootdir"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// disk is the two folders of a keyring: that of its server, and that of its root.
type disk struct{ store, root string }

func newDisk(t *testing.T) disk {
	t.Helper()
	d := disk{t.TempDir(), filepath.Join(t.TempDir(), "root")}
	if err := os.Mkdir(d.root, 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

// running is a keyring over the folders, on a server of its own.
type running struct {
	server *natsd.Server
	ring   *seal.Keyring
	rotate *seal.Rotation
}

func (d disk) start(t *testing.T, now time.Time) running {
	t.Helper()
	r := running{server: natsdtest.StartIn(t, natsd.Config{Dir: d.store})}
	root, err := rootdir.Open(d.root)
	if err != nil {
		t.Fatal(err)
	}
	store := keyStore(t, r.server, natsd.Projector)
	if r.ring, err = seal.NewKeyring(seal.Config{Store: store, Root: root, Now: func() time.Time { return now }}); err != nil {
		t.Fatal(err)
	}
	r.rotate, err = seal.NewRotation(seal.RotationConfig{
		Keyring: r.ring, Revisions: store, Share: 100, Logger: slog.New(slog.DiscardHandler),
		Lock: func(ctx context.Context) (context.Context, func(), error) { return ctx, func() {}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error { // CopyFS does not keep modes
		if err == nil && e.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return errors.Join(err, os.Chmod(path, 0o600))
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func letterTo(t *testing.T, s seal.SubjectKey) seal.OpenRequest {
	t.Helper()
	sealed, err := s.Seal("acme", "src", "id", []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	return seal.OpenRequest{Tenant: "acme", Source: "src", ID: "id", Ref: s.Ref, Generation: s.Generation, Sealed: sealed}
}

// TestACopyOfTheDiskFromBeforeAnErasure copies the folder of a running
// deployment's server, forgets somebody, and lets the epoch end. Then the copy is
// put in the place of the folder: with all that is left, the root's folder too,
// it opens nothing. With the root's folder as it was, it opens all: that is what
// the copy was able to before.
func TestACopyOfTheDiskFromBeforeAnErasure(t *testing.T) {
	t.Parallel()
	d, now := newDisk(t), time.Unix(1_800_000_000, 0)
	r := d.start(t, now)
	people := make([]seal.Person, 50)
	for i := range people {
		people[i] = seal.Person{Tenant: "acme", Issuer: "https://issuer.example", Subject: fmt.Sprint("user-", i)}
	}
	keys, err := r.ring.Subjects(t.Context(), people)
	if err != nil {
		t.Fatal(err)
	}
	forgotten, survivor := letterTo(t, keys[7]), letterTo(t, keys[8])
	natsdtest.Stop(t, r.server)
	before := disk{copyOf(t, d.store), copyOf(t, d.root)}

	r = d.start(t, now)
	if _, err := r.ring.Destroy(t.Context(), "acme", keys[7].Ref); err != nil {
		t.Fatal(err)
	}
	natsdtest.Stop(t, r.server)
	for _, later := range []time.Duration{7 * 24 * time.Hour, 8 * 24 * time.Hour} {
		r = d.start(t, now.Add(later))
		if err := r.rotate.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if plain, err := r.ring.Open(t.Context(), survivor); err != nil || string(plain) != "text" {
			t.Fatalf("a survivor, %s later: %q, %v", later, plain, err)
		}
		natsdtest.Stop(t, r.server)
	}

	restored := disk{copyOf(t, before.store), d.root}.start(t, now)
	if plain, err := restored.ring.Open(t.Context(), forgotten); !errors.Is(err, seal.ErrEpoch) {
		t.Errorf("the copy opens %q, %v, want ErrEpoch", plain, err)
	}
	natsdtest.Stop(t, restored.server)
	able := disk{copyOf(t, before.store), before.root}.start(t, now)
	if plain, err := able.ring.Open(t.Context(), forgotten); err != nil || string(plain) != "text" {
		t.Errorf("as the root was, the copy opens %q, %v: this test shows nothing", plain, err)
	}
	natsdtest.Stop(t, able.server)
}
