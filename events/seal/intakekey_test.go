package seal_test

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

var (
	today    = time.Unix(1_800_000_000, 0)
	tomorrow = today.Add(24 * time.Hour)
)

func makeIntakeKey(t *testing.T, k *seal.Keyring, from time.Time) envelope.PrivateKey {
	t.Helper()
	if _, err := k.MakeIntakeKey(t.Context(), from, from.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, key := range intakeKeys(t, k) {
		if key.NotBefore.Equal(from) {
			return key
		}
	}
	t.Fatal("the key that was made is not there")
	panic("unreachable")
}

func intakeKeys(t *testing.T, k *seal.Keyring) []envelope.PrivateKey {
	t.Helper()
	keys, err := k.IntakeKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestIntakeKeysMadeAtOnceAreOne(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	var all sync.WaitGroup
	var makers atomic.Int64
	for range 8 {
		all.Go(func() {
			made, err := open(t, store).MakeIntakeKey(t.Context(), today, tomorrow)
			if err != nil {
				t.Error(err)
			}
			if made {
				makers.Add(1)
			}
		})
	}
	all.Wait()
	if n := makers.Load(); n != 1 {
		t.Errorf("%d were told that they have made it", n)
	}
	one, other := intakeKeys(t, open(t, store)), intakeKeys(t, open(t, store))
	if len(one) != 1 || len(other) != 1 || one[0].ID != other[0].ID || !one[0].Expires.Equal(tomorrow) {
		t.Fatalf("%v and %v", one, other)
	}
	two := makeIntakeKey(t, open(t, store), tomorrow)
	if keys := intakeKeys(t, open(t, store)); len(keys) != 2 || keys[0].ID != one[0].ID || keys[1].ID != two.ID {
		t.Fatalf("%v: want the earliest first", keys)
	}
}

func TestADestroyedIntakeKeyIsGone(t *testing.T) {
	t.Parallel()
	store, now := new(sealtest.Memory), today
	clocked := func() *seal.Keyring {
		k, err := seal.NewKeyring(seal.Config{Store: store, Root: kek, CacheTTL: time.Minute, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	here, elsewhere := clocked(), clocked()
	key, stays := makeIntakeKey(t, here, today), makeIntakeKey(t, here, tomorrow)
	secret, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range store.Dump() {
		if bytes.Contains(v, secret) || bytes.Contains(v, []byte(key.ID)) {
			t.Errorf("entry %s holds the key in clear", name)
		}
	}
	for _, k := range []*seal.Keyring{here, elsewhere} {
		wantIntakeKey(t, k, key.ID, true)
	}
	for range 2 {
		if err := here.DestroyIntakeKey(t.Context(), key.PublicKey); err != nil {
			t.Fatal(err)
		}
	}
	wantIntakeKey(t, here, key.ID, false)
	now = now.Add(time.Minute)
	wantIntakeKey(t, elsewhere, key.ID, false)
	if keys := intakeKeys(t, clocked()); len(keys) != 1 || keys[0].ID != stays.ID {
		t.Fatalf("%v: want the other one", keys)
	}
}

// TestAnIntakeKeyMadeElsewhereIsFoundAtOnce is what an intake needs that has
// read the keys just before.
func TestAnIntakeKeyMadeElsewhereIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	here := open(t, store)
	makeIntakeKey(t, here, today)
	later := makeIntakeKey(t, open(t, store), tomorrow)
	wantIntakeKey(t, here, later.ID, true)
}

func wantIntakeKey(t *testing.T, k *seal.Keyring, id string, there bool) {
	t.Helper()
	found, err := k.FindIntakeKeys(t.Context(), id)
	if _, ok := found[id]; err != nil || ok != there {
		t.Fatalf("found %v, %v; want it there: %v", found, err, there)
	}
}

// TestUnknownIntakeKeysCostOneReading bounds what a publisher can cost that
// makes ids up.
func TestUnknownIntakeKeysCostOneReading(t *testing.T) {
	t.Parallel()
	store, calls := new(sealtest.Memory), 0
	k := open(t, &sealtest.Fault{Store: store, Judge: func(string, string) sealtest.Verdict { calls++; return sealtest.Pass }})
	key := makeIntakeKey(t, open(t, store), today)
	ids := []string{key.ID}
	for i := range 1000 {
		ids = append(ids, fmt.Sprint(i))
	}
	found, err := k.FindIntakeKeys(t.Context(), ids...)
	if err != nil || len(found) != 1 || calls > 3 { // the names, the entries, and the key of an epoch that is new to k
		t.Fatalf("%d found in %d calls, %v", len(found), calls, err)
	}
	if calls = 0; len(found) == 1 {
		wantIntakeKey(t, k, key.ID, true)
	}
	if calls != 0 {
		t.Errorf("%d calls for a key that is known", calls)
	}
}

func TestAnIntakeKeyThatCannotBeReadIsNotGone(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	damaged, whole := makeIntakeKey(t, open(t, store), today), makeIntakeKey(t, open(t, store), tomorrow)
	var name string
	for n := range store.Dump() {
		if name == "" || n < name {
			name = n
		}
	}
	store.Tamper(name, []byte("no entry"))
	k := open(t, store)
	wantIntakeKey(t, k, whole.ID, true)
	found, err := open(t, store).FindIntakeKeys(t.Context(), damaged.ID, whole.ID)
	wantErr(t, err, seal.ErrSealed)
	if len(found) != 1 {
		t.Errorf("beside the damaged one: %v", found)
	}
	down := open(t, &sealtest.Fault{Store: store, Judge: func(string, string) sealtest.Verdict { return sealtest.Fail }})
	_, err = down.FindIntakeKeys(t.Context(), whole.ID)
	wantErr(t, err, sealtest.ErrFault)
}
