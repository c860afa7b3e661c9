package stream_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
)

// crowd is more new people than fit into one atomic batch of the server.
const crowd = 520

var errFault = errors.New("fault made on purpose")

// put is one put of a crowd into the keyring, and what can be done around it.
type put struct {
	server *child
	people []seal.Person
	rival  *seal.Keyring // over the same store, without faults
	write  func(ctx context.Context) error
}

// keyringFaults is what may become of a put. Each returns what the keyring is
// told. Made is how many people have a key after it: those numbers and no
// other.
var keyringFaults = map[string]struct {
	do   func(t *testing.T, ctx context.Context, p put) error
	made []int
}{
	"failed": {func(*testing.T, context.Context, put) error { return errFault }, []int{0}},
	"failed but applied": {func(t *testing.T, ctx context.Context, p put) error {
		return errors.Join(p.write(ctx), errFault)
	}, []int{crowd}},
	"killed before": {func(t *testing.T, ctx context.Context, p put) error {
		p.server.kill()
		return p.write(ctx)
	}, []int{0}},
	"killed while the server takes a batch": {func(t *testing.T, ctx context.Context, p put) error {
		written := make(chan error, 1)
		go func() { written <- p.write(ctx) }()
		eventually(t, "a batch is on the server's disk", func() bool { return staged(t, p.server.dir) })
		p.server.kill()
		return errors.Join(<-written, errFault)
	}, []int{0, 499, crowd}},
	"killed after": {func(t *testing.T, ctx context.Context, p put) error {
		err := p.write(ctx)
		p.server.kill()
		return errors.Join(err, errFault)
	}, []int{crowd}},
	"slow, and done when the caller is gone": {func(t *testing.T, ctx context.Context, p put) error {
		gone, leave := context.WithCancel(ctx)
		leave()
		if err := p.write(context.WithoutCancel(gone)); err != nil {
			t.Error(err)
		}
		return gone.Err()
	}, []int{crowd}},
	"slow, and another has made the keys": {func(t *testing.T, ctx context.Context, p put) error {
		if _, err := p.rival.Subjects(ctx, p.people); err != nil {
			t.Error(err)
		}
		return wantTaken(t, p.write(ctx))
	}, []int{crowd}},
	"slow, and another has made some of the keys": {func(t *testing.T, ctx context.Context, p put) error {
		if _, err := p.rival.Subjects(ctx, p.people[crowd-10:]); err != nil {
			t.Error(err)
		}
		return wantTaken(t, p.write(ctx))
	}, []int{509}}, // and the first batch, which none of them is in
}

func wantTaken(t *testing.T, err error) error {
	t.Helper()
	if !errors.Is(err, seal.ErrExists) {
		t.Errorf("written late: %v, want ErrExists", err)
	}
	return errFault
}

// staged reports whether the server holds a batch that is not committed.
func staged(t *testing.T, dir string) (found bool) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, "/batches/") && strings.HasSuffix(path, ".blk") {
			found = true
		}
		return nil // files come and go under a running server
	})
	return found
}

// TestKeyringPutSurvives has each fault happen to the put that makes a crowd's
// keys, opens the store again in a server of its own process, and reads back
// what is there.
func TestKeyringPutSurvives(t *testing.T) {
	t.Parallel()
	for name, fault := range keyringFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kek := seal.GenerateKEK()
			server := startKeyring(t, t.TempDir())
			store := server.keys(t)
			p := put{server: server, people: strangers(crowd), rival: keyring(t, store, kek)}
			if _, err := p.rival.Tenant(t.Context(), "acme"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			faulty := &faultyPut{Store: store, around: func(write func(context.Context) error) error {
				p.write = write
				return fault.do(t, ctx, p)
			}}
			if _, err := keyring(t, faulty, kek).Subjects(ctx, p.people); err == nil {
				t.Fatal("the keyring said nothing of the fault")
			}
			server.kill()
			checkKeyring(t, startKeyring(t, server.dir).keys(t), kek, p.people, fault.made)
		})
	}
}

// faultyPut is a store with around between the keyring and its first put of
// more than one entry.
type faultyPut struct {
	seal.Store
	around func(write func(context.Context) error) error
}

func (f *faultyPut) Create(ctx context.Context, unless string, puts ...seal.Put) error {
	write := func(ctx context.Context) error { return f.Store.Create(ctx, unless, puts...) }
	if len(puts) == 1 || f.around == nil {
		return write(ctx)
	}
	around := f.around
	f.around = nil
	return around(write)
}

// checkKeyring reads the invariants from the store: whoever has a key can be
// found by reference, everybody agrees, and nobody has two.
func checkKeyring(t *testing.T, store seal.Store, kek seal.KEK, people []seal.Person, made []int) {
	t.Helper()
	wantKeys(t, store, made...)
	before, err := keyring(t, store, kek).Subjects(t.Context(), people)
	if err != nil {
		t.Fatal(err)
	}
	after, err := keyring(t, store, kek).Subjects(t.Context(), people)
	if err != nil {
		t.Fatal(err)
	}
	reader := keyring(t, store, kek)
	for i, s := range before {
		if s.Ref != after[i].Ref {
			t.Fatalf("person %d: %v, then %v", i, s, after[i])
		}
		sealed, err := s.Seal("acme", "src", "id", []byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := reader.Open(t.Context(), seal.OpenRequest{
			Tenant: "acme", Source: "src", ID: "id", Ref: after[i].Ref, Generation: after[i].Generation, Sealed: sealed,
		})
		if err != nil || string(plain) != "text" {
			t.Fatalf("person %d: what was sealed does not open: %v", i, err)
		}
	}
	wantKeys(t, store, len(people))
}

// wantKeys checks that as many people have keys as one of want.
func wantKeys(t *testing.T, store seal.Store, want ...int) {
	t.Helper()
	names, err := store.List(t.Context(), "k.acme.")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range want {
		if len(names) == n {
			return
		}
	}
	t.Fatalf("%d people have keys, want one of %d", len(names), want)
}

func startKeyring(t *testing.T, dir string) *child {
	t.Helper()
	c := startChild(t, dir)
	if err := stream.Ensure(t.Context(), c.connect(t, natsd.Operator), stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *child) keys(t *testing.T) *stream.KeyStore {
	t.Helper()
	return world{projector: c.connect(t, natsd.Projector)}.keys(t)
}

func keyring(t *testing.T, store seal.Store, kek seal.KEK) *seal.Keyring {
	t.Helper()
	k, err := seal.NewKeyring(seal.Config{Store: store, Root: kek})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func strangers(n int) []seal.Person {
	out := make([]seal.Person, n)
	for i := range out {
		out[i] = seal.Person{Tenant: "acme", Issuer: "https://id.example", Subject: fmt.Sprint("user-", i)}
	}
	return out
}

// TestKeyringsMeetOnOneServer has several make the keys of one crowd at once,
// each beginning elsewhere, so that every batch meets another's.
func TestKeyringsMeetOnOneServer(t *testing.T) {
	t.Parallel()
	const rivals = 4
	store, kek := start(t).keys(t), seal.GenerateKEK()
	if _, err := keyring(t, store, kek).Tenant(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	all := make([]map[string]events.Ref, rivals)
	var wg sync.WaitGroup
	for i := range rivals {
		k, people := keyring(t, store, kek), strangers(crowd)
		slices.Reverse(people[:i*crowd/rivals])
		wg.Go(func() {
			keys, err := k.Subjects(t.Context(), people)
			if err != nil {
				t.Error(err)
				return
			}
			all[i] = map[string]events.Ref{}
			for j, s := range keys {
				all[i][people[j].Subject] = s.Ref
			}
		})
	}
	wg.Wait()
	for i := range all {
		if !maps.Equal(all[i], all[0]) {
			t.Errorf("keyring %d has other references", i)
		}
	}
	wantKeys(t, store, crowd)
	if seats, err := store.List(t.Context(), "s.acme."); err != nil || len(seats) != crowd {
		t.Errorf("%d references, %v; want one for each of %d people", len(seats), err, crowd)
	}
}
