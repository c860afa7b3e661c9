package sealtest_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func keyStore(t testing.TB, s *natsd.Server, role natsd.Role) *stream.KeyStore {
	t.Helper()
	store, err := stream.OpenKeyStore(t.Context(), natsdtest.JetStream(t, s, role))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestKeyStore(t *testing.T) {
	t.Parallel()
	sealtest.TestStore(t, func(t *testing.T) seal.Store {
		return keyStore(t, natsdtest.Start(t), natsd.Projector)
	})
}

func keyring(t *testing.T, store seal.Store, kek seal.KEK) *seal.Keyring {
	t.Helper()
	k, err := seal.NewKeyring(seal.Config{Store: store, Root: kek})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestForgottenOnDisk forgets people through the real store and the role that
// does so in production, starts the server again, and reads every byte that it
// keeps.
func TestForgottenOnDisk(t *testing.T) {
	t.Parallel()
	const all, forgotten = 60, 20
	dir := t.TempDir()
	server := natsdtest.StartIn(t, natsd.Config{Dir: dir})
	kek, ctx := seal.GenerateKEK(), t.Context()
	writer := keyring(t, keyStore(t, server, natsd.Projector), kek)
	people := make([]seal.Person, all)
	for i := range people {
		people[i] = seal.Person{Tenant: "acme", Issuer: "https://issuer.example", Subject: fmt.Sprintf("canary-%d@example.org", i)}
	}
	keys, err := writer.Subjects(ctx, people)
	if err != nil {
		t.Fatal(err)
	}

	raw := keyStore(t, server, natsd.API)
	eraser := keyring(t, raw, kek)
	before := dataKeys(t, raw)
	for name, v := range before {
		if n := occurrences(t, dir, v); n == 0 {
			t.Fatalf("%s: the wrapped key is not found on disk while it is there: the search is blind", name)
		}
	}
	for _, s := range keys[:forgotten] {
		if _, err := eraser.Destroy(ctx, "acme", s.Ref); err != nil {
			t.Fatal(err)
		}
	}
	for name := range dataKeys(t, raw) {
		delete(before, name)
	}
	wrapped := slices.Collect(maps.Values(before))
	if len(wrapped) != forgotten {
		t.Fatalf("%d data keys are gone, want %d", len(wrapped), forgotten)
	}
	wantGone(t, dir, wrapped, keys[:forgotten])
	natsdtest.Stop(t, server)
	wantGone(t, dir, wrapped, keys[:forgotten])
	again := keyring(t, keyStore(t, natsdtest.StartIn(t, natsd.Config{Dir: dir}), natsd.Projector), kek)
	after, err := again.Subjects(ctx, people)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range after {
		if s.Erased != (i < forgotten) || !s.Erased && s.Ref != keys[i].Ref {
			t.Errorf("person %d: %v, was %v", i, s, keys[i])
		}
	}
	if n := occurrences(t, dir, []byte("canary")); n != 0 {
		t.Errorf("an identifier is on disk %d times", n)
	}
}

// dataKeys is every wrapped data key of the store, by the name of its entry.
func dataKeys(t *testing.T, store seal.Store) map[string][]byte {
	t.Helper()
	names, err := store.List(t.Context(), "k.acme.")
	if err != nil {
		t.Fatal(err)
	}
	got, err := store.Get(t.Context(), names...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func wantGone(t *testing.T, dir string, wrapped [][]byte, keys []seal.SubjectKey) {
	t.Helper()
	for i, v := range wrapped {
		if n := occurrences(t, dir, v); n != 0 {
			t.Errorf("a wrapped key is on disk %d times", n)
		}
		if n := occurrences(t, dir, []byte(keys[i].Ref.String())); n != 0 {
			t.Errorf("person %d: the reference is on disk %d times", i, n)
		}
	}
}

// occurrences counts how often needle is in the files under dir and in their
// names.
func occurrences(t *testing.T, dir string, needle []byte) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreMissing(err)
		}
		b, err := os.ReadFile(path)
		n += bytes.Count(b, needle) + strings.Count(path, string(needle))
		return ignoreMissing(err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ignoreMissing: a running server replaces its files.
func ignoreMissing(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
