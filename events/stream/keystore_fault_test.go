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

// How many new people the puts are of: few are written one after the other, a
// crowd is more than fits into one atomic batch of the server.
const few, crowd = 3, 520

var errFault = errors.New("fault made on purpose")

// put is one put of few or of a crowd into the keyring, and what can be done around
// it.
type put struct {
	server *child
	store  *stream.KeyStore
	people []seal.Person
	rival  *seal.Keyring // over the same store, without faults
	write  func(ctx context.Context) error
}

// keyringFaults is what may become of a put. Each returns what the keyring is
// told. Made is how many people have a key after it, by how many are new: those
// numbers and no other.
var keyringFaults = map[string]struct {
	do   func(t *testing.T, ctx context.Context, p put) error
	made map[int][]int
}{
	"failed": {func(*testing.T, context.Context, put) error { return errFault }, map[int][]int{few: {0}, crowd: {0}}},
	"failed but applied": {func(t *testing.T, ctx context.Context, p put) error {
		return errors.Join(p.write(ctx), errFault)
	}, map[int][]int{few: {few}, crowd: {crowd}}},
	"killed before": {func(t *testing.T, ctx context.Context, p put) error {
		p.server.kill()
		return p.write(ctx)
	}, map[int][]int{few: {0}, crowd: {0}}},
	"killed while the server takes them": {func(t *testing.T, ctx context.Context, p put) error {
		written := make(chan error, 1)
		go func() { written <- p.write(ctx) }()
		eventually(t, "the server has some of it", func() bool { return p.begun(t) })
		p.server.kill()
		return errors.Join(<-written, errFault)
	}, map[int][]int{few: {0, 1, 2, few}, crowd: {0, 499, crowd}}},
	"killed after": {func(t *testing.T, ctx context.Context, p put) error {
		err := p.write(ctx)
		p.server.kill()
		return errors.Join(err, errFault)
	}, map[int][]int{few: {few}, crowd: {crowd}}},
	"slow, and done when the caller is gone": {func(t *testing.T, ctx context.Context, p put) error {
		gone, leave := context.WithCancel(ctx)
		leave()
		if err := p.write(context.WithoutCancel(gone)); err != nil {
			t.Error(err)
		}
		return gone.Err()
	}, map[int][]int{few: {few}, crowd: {crowd}}},
	"slow, and another has made the keys": {func(t *testing.T, ctx context.Context, p put) error {
		if _, err := p.rival.Subjects(ctx, p.people); err != nil {
			t.Error(err)
		}
		return wantTaken(t, p.write(ctx))
	}, map[int][]int{few: {few}, crowd: {crowd}}},
	"slow, and another has made some of the keys": {func(t *testing.T, ctx context.Context, p put) error {
		if _, err := p.rival.Subjects(ctx, p.people[max(1, len(p.people)-10):]); err != nil {
			t.Error(err)
		}
		return wantTaken(t, p.write(ctx))
	}, map[int][]int{few: {2}, crowd: {509}}}, // of a crowd the first batch too, which none of them is in
}

func wantTaken(t *testing.T, err error) error {
	t.Helper()
	if !errors.Is(err, seal.ErrExists) {
		t.Errorf("written late: %v, want ErrExists", err)
	}
	return errFault
}

// begun reports whether the server has some of the put, and may not have the rest.
func (p put) begun(t *testing.T) bool {
	t.Helper()
	if len(p.people) == crowd {
		return staged(t, p.server.dir)
	}
	seats, err := p.store.List(t.Context(), "s.acme.")
	if err != nil {
		t.Fatal(err)
	}
	return len(seats) > 0
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

// TestKeyringPutSurvives has each fault happen to the put that makes the keys of
// few people and of a crowd, opens the store again in a server of its own process,
// and reads back what is there.
func TestKeyringPutSurvives(t *testing.T) {
	t.Parallel()
	for name, fault := range keyringFaults {
		for n, made := range fault.made {
			t.Run(fmt.Sprintf("%s, %d people", name, n), func(t *testing.T) {
				t.Parallel()
				survives(t, n, made, fault.do)
			})
		}
	}
}

func survives(t *testing.T, n int, made []int, do func(*testing.T, context.Context, put) error) {
	kek, server := seal.GenerateKEK(), startKeyring(t, t.TempDir())
	store := server.keys(t)
	p := put{server: server, store: store, people: strangers(n), rival: keyring(t, store, kek)}
	if _, err := p.rival.Tenant(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	faulty := &faultyPut{Store: store, around: func(write func(context.Context) error) error {
		p.write = write
		return do(t, ctx, p)
	}}
	if _, err := keyring(t, faulty, kek).Subjects(ctx, p.people); err == nil {
		t.Fatal("the keyring said nothing of the fault")
	}
	if ctx.Err() != nil {
		t.Error("the put waited for as long as its caller could")
	}
	server.kill()
	checkKeyring(t, startKeyring(t, server.dir).keys(t), kek, p.people, made)
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
	wantSeats(t, store, keyring(t, store, kek), people)
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

// wantSeats checks that nobody has a key without a seat.
func wantSeats(t *testing.T, store seal.Store, k *seal.Keyring, people []seal.Person) {
	t.Helper()
	seats, err := store.List(t.Context(), "s.acme.")
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range people {
		s, err := k.Lookup(t.Context(), p)
		switch {
		case errors.Is(err, seal.ErrNotFound):
		case err != nil:
			t.Fatal(err)
		case !slices.Contains(seats, "s.acme."+s.Ref.String()):
			t.Errorf("person %d has a key and no seat", i)
		}
	}
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
