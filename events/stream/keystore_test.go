package stream_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func TestKeyStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	w := start(t)
	sealtest.TestStore(t, func(t *testing.T) seal.Store { return w.newKeys(t) })
	sealtest.TestRevisions(t, func(t *testing.T) sealtest.RevisionStore { return w.newKeys(t) })
}

// Without direct gets a KeyStore that asks for one gets no answer.
func TestKeyStoreAsksTheLeaderAlone(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.denyDirect(t)
	sealtest.TestStore(t, func(t *testing.T) seal.Store { return w.newKeys(t) })
	sealtest.TestRevisions(t, func(t *testing.T) sealtest.RevisionStore { return w.newKeys(t) })
}

// newKeys is a store over an empty keyring. It is emptied and not made anew: the
// server may still find files of a stream that was just deleted.
func (w world) newKeys(t *testing.T) *stream.KeyStore {
	t.Helper()
	s, err := w.operator.Stream(t.Context(), stream.KeyringStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w.keys(t)
}

// A batch leaves its guard in the stream, a few entries leave none.
func TestFewEntriesAreNoBatch(t *testing.T) {
	t.Parallel()
	w := start(t)
	k := w.newKeys(t)
	create := func(name string, n int) (guard uint64) {
		t.Helper()
		puts := make([]seal.Put, n)
		for i := range puts {
			puts[i] = seal.Put{Key: fmt.Sprintf("k.acme.%s%d", name, i), Value: []byte{1}}
		}
		if err := k.Create(t.Context(), "x.2", puts...); err != nil {
			t.Fatal(err)
		}
		s, err := w.operator.Stream(t.Context(), stream.KeyringStream)
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.GetLastMsgForSubject(t.Context(), stream.KeyringGuard)
		if err != nil {
			t.Fatal(err)
		}
		return m.Sequence
	}
	first := create("first", 1) // nobody can say what is not in an empty stream
	if guard := create("few", 8); guard != first {
		t.Errorf("a batch for eight entries: guard at %d, before at %d", guard, first)
	}
	if guard := create("more", 9); guard == first {
		t.Error("no batch for nine entries")
	}
}

func (w world) denyDirect(t *testing.T) {
	t.Helper()
	s, err := w.operator.Stream(t.Context(), stream.KeyringStream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.AllowDirect = false
	if _, err := w.operator.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// A KeyStore that expects an answer to direct gets, and gets none, must not
// take that for "no such entry".
func TestKeyStoreWithoutAnswerIsAnError(t *testing.T) {
	t.Parallel()
	w := start(t)
	k := w.keys(t)
	if err := k.Create(t.Context(), "", seal.Put{Key: "k.acme.1", Value: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	w.denyDirect(t)
	if got, err := k.Get(t.Context(), "k.acme.1", "k.acme.2"); err == nil {
		t.Errorf("got %v and no error", got)
	}
}

// TestKeyStoreReadsManyAfterRestart erases at the end, the beginning and in the
// middle of a stream of several files, and asks before and after a restart.
func TestKeyStoreReadsManyAfterRestart(t *testing.T) {
	t.Parallel()
	const all, size = 1100, 20_000 // 22 MB: three files, and more than are asked for at once
	dir := t.TempDir()
	s := natsdtest.StartIn(t, natsd.Config{Dir: dir})
	k := world{Server: s, projector: natsdtest.JetStream(t, s, natsd.Projector)}.keys(t)
	keys, want := make([]string, all), map[string]byte{}
	var puts []seal.Put
	for i := range keys {
		keys[i] = fmt.Sprintf("k.acme.%d", i)
		want[keys[i]] = byte(i)
		puts = append(puts, seal.Put{Key: keys[i], Value: bytes.Repeat([]byte{byte(i)}, size)})
		if len(puts) == 100 {
			if err := k.Create(t.Context(), "", puts...); err != nil {
				t.Fatal(err)
			}
			puts = nil
		}
	}
	check := func(k *stream.KeyStore) {
		t.Helper()
		got, err := k.Get(t.Context(), keys...)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d entries, %v; want %d", len(got), err, len(want))
		}
		for key, b := range want {
			if v := got[key]; len(v) != size || v[0] != b {
				t.Fatalf("%s: %d bytes", key, len(v))
			}
		}
	}
	check(k)
	for _, i := range []int{all - 1, all - 2, 0, 1, all / 2, 7} {
		if err := k.Erase(t.Context(), keys[i]); err != nil {
			t.Fatal(err)
		}
		delete(want, keys[i])
		check(k)
	}
	natsdtest.Stop(t, s)
	s = natsdtest.StartIn(t, natsd.Config{Dir: dir})
	check(world{Server: s, projector: natsdtest.JetStream(t, s, natsd.Projector)}.keys(t))
}

func (w world) keys(t *testing.T) *stream.KeyStore {
	t.Helper()
	k, err := stream.OpenKeyStore(t.Context(), w.projector)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyStoreCreatesMoreThanOneServerBatch(t *testing.T) {
	t.Parallel()
	k := start(t).keys(t)
	puts := make([]seal.Put, 2345)
	for i := range puts {
		puts[i] = seal.Put{Key: fmt.Sprintf("k.acme.%d", i), Value: []byte{byte(i)}}
	}
	if err := k.Create(t.Context(), "", puts...); err != nil {
		t.Fatal(err)
	}
	keys, err := k.List(t.Context(), "k.acme.")
	if err != nil || len(keys) != len(puts) {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
}

// Of one batch of the server none is written where one exists.
func TestKeyStoreCreatesAllOrNone(t *testing.T) {
	t.Parallel()
	k := start(t).keys(t)
	there := seal.Put{Key: "k.acme.7", Value: []byte("first")}
	if err := k.Create(t.Context(), "", there); err != nil {
		t.Fatal(err)
	}
	var puts []seal.Put
	for i := range 10 {
		puts = append(puts, seal.Put{Key: fmt.Sprintf("k.acme.%d", i), Value: []byte("second")})
	}
	if err := k.Create(t.Context(), "", puts...); !errors.Is(err, seal.ErrExists) {
		t.Fatalf("create: %v, want ErrExists", err)
	}
	if keys, err := k.List(t.Context(), ""); err != nil || len(keys) != 1 {
		t.Fatalf("%v, %v: want only what was there", keys, err)
	}
}

func TestE06KeyStoreErasesFromDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := natsdtest.StartIn(t, natsd.Config{Dir: dir})
	w := world{Server: s, projector: natsdtest.JetStream(t, s, natsd.Projector)}
	k := w.keys(t)
	secret, kept := bytes.Repeat([]byte("SECRET-VALUE"), 20), bytes.Repeat([]byte("OTHER-VALUE"), 20)
	if err := k.Create(t.Context(), "", seal.Put{Key: "k.acme.1", Value: secret}, seal.Put{Key: "k.acme.2", Value: kept}); err != nil {
		t.Fatal(err)
	}
	if !onDisk(t, dir, secret) {
		t.Fatal("the value was not on disk to begin with: this test sees nothing")
	}
	if err := k.Erase(t.Context(), "k.acme.1"); err != nil {
		t.Fatal(err)
	}
	if onDisk(t, dir, secret) || onDisk(t, dir, []byte("SECRET-VALUE")) {
		t.Error("the value is on disk after Erase returned")
	}
	if !onDisk(t, dir, kept) {
		t.Error("the neighbour is gone")
	}
	natsdtest.Stop(t, s)
	if onDisk(t, dir, []byte("SECRET-VALUE")) {
		t.Error("the value is on disk after the server stopped")
	}
}

// onDisk reports whether any file under dir holds value, plain or in base64.
func onDisk(t *testing.T, dir string, value []byte) (found bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // files come and go under a running server
		}
		data, err := os.ReadFile(path)
		if err == nil {
			found = found || bytes.Contains(data, value) || bytes.Contains(data, []byte(base64.StdEncoding.EncodeToString(value)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestFenceIsAnnouncedWithoutItsValue(t *testing.T) {
	t.Parallel()
	w := start(t)
	nc := natsdtest.Connect(t, w.Server, natsd.API)
	announced := make(chan *nats.Msg, 10)
	if _, err := nc.ChanSubscribe(stream.LiveErasures+".>", announced); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	k := w.keys(t)
	for _, key := range []string{"k.acme.1", "s.acme.00ff", "e.acme.00ff"} {
		if err := k.Create(t.Context(), "", seal.Put{Key: key, Value: []byte("wrapped")}); err != nil {
			t.Fatal(err)
		}
	}
	m := <-announced
	if m.Subject != stream.LiveErasures+".acme.00ff" || len(m.Data) != 0 {
		t.Fatalf("announced %s with %d bytes", m.Subject, len(m.Data))
	}
	if len(announced) != 0 {
		t.Error("more than the fence was announced")
	}
}

func TestKeyStoreTakesNoWildcard(t *testing.T) {
	t.Parallel()
	k := start(t).keys(t)
	if err := k.Create(t.Context(), "", seal.Put{Key: "k.acme.1", Value: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "k.>", "k.acme.*", ".k", "k.", "k..a", "k a", ">"} {
		for _, keys := range [][]string{{key}, {"k.acme.1", key}} {
			if _, err := k.Get(t.Context(), keys...); err == nil {
				t.Errorf("get %q succeeded", keys)
			}
		}
		if err := k.Erase(t.Context(), key); err == nil {
			t.Errorf("erase %q succeeded", key)
		}
		if err := k.Create(t.Context(), "", seal.Put{Key: key}); err == nil {
			t.Errorf("create %q succeeded", key)
		}
	}
}
