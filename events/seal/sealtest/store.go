package sealtest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rescindhq/rescind/events/seal"
)

// TestStore runs the contract of seal.Store against the stores that open
// gives. Each is used by one subtest, and must be empty.
func TestStore(t *testing.T, open func(t *testing.T) seal.Store) {
	for name, test := range map[string]func(*testing.T, seal.Store){
		"what was created is got":               testCreateGet,
		"what is not there is not found":        testNotFound,
		"a value is the caller's own":           testValueIsOwn,
		"an entry is never replaced":            testExists,
		"what is written is a beginning":        testExistsAmongOthers,
		"a taken key far into many":             testExistsAmongMany,
		"one of many creators wins":             testRace,
		"creators of some of the same":          testRaceOfMany,
		"many entries in one call":              testMany,
		"several are got in one call":           testGetSeveral,
		"several are got as one by one":         testGetAgainstModel,
		"a read sees what has returned":         testGetSeesWrites,
		"erased is gone and can be made anew":   testErase,
		"erasing twice is no error":             testEraseTwice,
		"erasing spares the neighbours":         testEraseNeighbours,
		"a list holds the prefix and only that": testList,
		"a list forgets what was erased":        testListErased,
		"nothing is created after an end":       testUnless,
		"a writer that slept writes nothing":    testUnlessRace,
		"a cut call never says what is there":   testCancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func create(t *testing.T, s seal.Store, puts ...seal.Put) {
	t.Helper()
	if err := s.Create(t.Context(), "", puts...); err != nil {
		t.Fatalf("create: %v", err)
	}
}

func wantValue(t *testing.T, s seal.Store, key string, want []byte) {
	t.Helper()
	if got, there := get(t, s, key); !there || !bytes.Equal(got, want) {
		t.Fatalf("get %s: there %t, %x; want %x", key, there, got, want)
	}
}

func get(t *testing.T, s seal.Store, key string) (value []byte, there bool) {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	value, there = got[key]
	if len(got) > 1 || len(got) == 1 && !there {
		t.Fatalf("get %s: %d entries, not only the one", key, len(got))
	}
	return value, there
}

// wantValues asks for keys in one call.
func wantValues(t *testing.T, s seal.Store, keys []string, want map[string][]byte) {
	t.Helper()
	got, err := s.Get(t.Context(), keys...)
	if err != nil {
		t.Fatalf("get %d entries: %v", len(keys), err)
	}
	if !maps.EqualFunc(want, got, bytes.Equal) {
		t.Fatalf("get %d entries:\n%s", len(keys), cmp.Diff(want, got, cmpopts.EquateEmpty()))
	}
}

func wantNone(t *testing.T, s seal.Store, key string) {
	t.Helper()
	if v, there := get(t, s, key); there {
		t.Fatalf("get %s: value of %d bytes, want none", key, len(v))
	}
}

func testNotFound(t *testing.T, s seal.Store) {
	wantNone(t, s, "k.acme.00")
	create(t, s, seal.Put{Key: "k.acme.00ff", Value: []byte{1}})
	wantNone(t, s, "k.acme.00")
	wantNone(t, s, "k.acme")
	wantNone(t, s, "k.acme.00ff.1")
}

func testGetSeveral(t *testing.T, s seal.Store) {
	wantValues(t, s, nil, nil)
	wantValues(t, s, []string{"k.acme.1", "k.acme.2"}, nil) // of an empty store
	v := func(s string) []byte { return []byte(s) }
	create(t, s, seal.Put{Key: "k.acme.1", Value: v("1")}, seal.Put{Key: "k.acme.10", Value: v("10")}, seal.Put{Key: "e.acme.1", Value: v("e")})
	wantValues(t, s, nil, nil)
	wantValues(t, s, []string{"k.acme.1"}, map[string][]byte{"k.acme.1": v("1")})
	wantValues(t, s, []string{"k.acme.10", "k.acme", "e.acme.1", "k.acme.2"}, map[string][]byte{"k.acme.10": v("10"), "e.acme.1": v("e")})
	wantValues(t, s, []string{"k.acme.1", "k.acme.1", "k.acme.2", "k.acme.2"}, map[string][]byte{"k.acme.1": v("1")})
	wantValues(t, s, []string{"k.acme", "k.acme.2"}, nil) // of others
}

// testGetAgainstModel writes and erases at random, so that what is asked for
// begins, ends and lies between what is gone.
func testGetAgainstModel(t *testing.T, s seal.Store) {
	const names, steps = 12, 150
	random := rand.New(rand.NewPCG(1, 2))
	model := map[string][]byte{}
	for step := range steps {
		key := fmt.Sprintf("k.acme.%d", random.IntN(names))
		if _, there := model[key]; there {
			if err := s.Erase(t.Context(), key); err != nil {
				t.Fatalf("erase: %v", err)
			}
			delete(model, key)
		} else {
			model[key] = fmt.Appendf(nil, "value %d", step)
			create(t, s, seal.Put{Key: key, Value: model[key]})
		}
		var keys []string
		want := map[string][]byte{}
		for _, i := range random.Perm(names)[:2+random.IntN(names-2)] {
			name := fmt.Sprintf("k.acme.%d", i)
			keys = append(keys, name)
			if v, there := model[name]; there {
				want[name] = v
			}
		}
		wantValues(t, s, keys, want)
	}
}

func testErase(t *testing.T, s seal.Store) {
	ctx := t.Context()
	for round := range 3 {
		v := fmt.Appendf(nil, "round %d", round)
		create(t, s, seal.Put{Key: "k.acme.1", Value: v})
		wantValue(t, s, "k.acme.1", v)
		if err := s.Erase(ctx, "k.acme.1"); err != nil {
			t.Fatalf("erase: %v", err)
		}
		wantNone(t, s, "k.acme.1")
	}
}

func testEraseTwice(t *testing.T, s seal.Store) {
	ctx := t.Context()
	if err := s.Erase(ctx, "k.acme.1"); err != nil {
		t.Fatalf("erase what never was: %v", err)
	}
	create(t, s, seal.Put{Key: "k.acme.1", Value: []byte("v")})
	for range 2 {
		if err := s.Erase(ctx, "k.acme.1"); err != nil {
			t.Fatalf("erase: %v", err)
		}
	}
	wantNone(t, s, "k.acme.1")
}

func testEraseNeighbours(t *testing.T, s seal.Store) {
	keys := []string{"k.acme.1", "k.acme.10", "k.acme", "k.other.1", "s.acme.1"}
	for _, key := range keys {
		create(t, s, seal.Put{Key: key, Value: []byte(key)})
	}
	if err := s.Erase(t.Context(), keys[0]); err != nil {
		t.Fatal(err)
	}
	wantNone(t, s, keys[0])
	for _, key := range keys[1:] {
		wantValue(t, s, key, []byte(key))
	}
}

func wantList(t *testing.T, s seal.Store, prefix string, want ...string) {
	t.Helper()
	got, err := s.List(t.Context(), prefix)
	if err != nil {
		t.Fatalf("list %q: %v", prefix, err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(got)+len(want) > 0 && !slices.Equal(got, want) {
		t.Fatalf("list %q:\n%s", prefix, cmp.Diff(want, got))
	}
}

func testList(t *testing.T, s seal.Store) {
	wantList(t, s, "")
	wantList(t, s, "t.")
	keys := []string{"t.acme", "t.acme2", "t.ACME", "f.acme.1", "f.acme.2", "f.acme2.1", "k.acme.00"}
	for _, key := range keys {
		create(t, s, seal.Put{Key: key, Value: []byte("v")})
	}
	wantList(t, s, "", keys...)
	wantList(t, s, "t.", "t.acme", "t.acme2", "t.ACME")
	wantList(t, s, "f.acme.", "f.acme.1", "f.acme.2")
	wantList(t, s, "k.acme.", "k.acme.00")
	wantList(t, s, "e.")
}

func testListErased(t *testing.T, s seal.Store) {
	create(t, s, seal.Put{Key: "f.acme.1", Value: []byte("1")}, seal.Put{Key: "f.acme.2", Value: []byte("2")})
	if err := s.Erase(t.Context(), "f.acme.1"); err != nil {
		t.Fatal(err)
	}
	wantList(t, s, "f.acme.", "f.acme.2")
	wantList(t, s, "", "f.acme.2")
}
