package sealtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
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

func testCreateGet(t *testing.T, s seal.Store) {
	values := map[string][]byte{
		"t.acme":       []byte("plain"),
		"t.A-b_9":      {0},
		"k.acme.00ff":  {0, 1, 0xff, '\r', '\n', 0x80, 0},
		"s.acme.0a":    bytes.Repeat([]byte{0xa5}, 4096),
		"f.acme.1":     []byte("first"),
		"f.acme.10":    []byte("tenth"),
		"e.other.00ff": []byte("fence"),
	}
	for key, v := range values {
		create(t, s, seal.Put{Key: key, Value: v})
	}
	for key, v := range values {
		wantValue(t, s, key, v)
	}
}

func testNotFound(t *testing.T, s seal.Store) {
	wantNone(t, s, "k.acme.00")
	create(t, s, seal.Put{Key: "k.acme.00ff", Value: []byte{1}})
	wantNone(t, s, "k.acme.00")
	wantNone(t, s, "k.acme")
	wantNone(t, s, "k.acme.00ff.1")
}

func testValueIsOwn(t *testing.T, s seal.Store) {
	v := []byte("value")
	create(t, s, seal.Put{Key: "t.acme", Value: v})
	v[0] = 'X'
	got, _ := get(t, s, "t.acme")
	got[1] = 'X'
	wantValue(t, s, "t.acme", []byte("value"))
}

func wantExists(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, seal.ErrExists) {
		t.Fatalf("create: %v, want ErrExists", err)
	}
}

func testExists(t *testing.T, s seal.Store) {
	create(t, s, seal.Put{Key: "t.acme", Value: []byte("first")})
	wantExists(t, s.Create(t.Context(), "", seal.Put{Key: "t.acme", Value: []byte("second")}))
	wantExists(t, s.Create(t.Context(), "", seal.Put{Key: "t.acme", Value: []byte("first")}))
	wantValue(t, s, "t.acme", []byte("first"))
}

// testExistsAmongOthers has one of five taken, each in turn.
func testExistsAmongOthers(t *testing.T, s seal.Store) {
	for taken := range 5 {
		var puts []seal.Put
		for i := range 5 {
			puts = append(puts, seal.Put{Key: fmt.Sprintf("k.acme.%d-%d", taken, i), Value: fmt.Append(nil, i)})
		}
		create(t, s, seal.Put{Key: puts[taken].Key, Value: []byte("first")})
		wantExists(t, s.Create(t.Context(), "", puts...))
		wantValue(t, s, puts[taken].Key, []byte("first"))
		wantBeginning(t, s, puts, taken)
	}
}

func testExistsAmongMany(t *testing.T, s seal.Store) {
	const taken = many - 100
	var puts []seal.Put
	for i := range many {
		puts = append(puts, seal.Put{Key: fmt.Sprintf("k.acme.%04x", i), Value: fmt.Append(nil, i)})
	}
	create(t, s, seal.Put{Key: puts[taken].Key, Value: []byte("first")})
	wantExists(t, s.Create(t.Context(), "", puts...))
	wantValue(t, s, puts[taken].Key, []byte("first"))
	wantBeginning(t, s, puts, taken)
}

// wantBeginning checks that those of puts that are there are the first, none of
// them from taken on, where another entry is.
func wantBeginning(t *testing.T, s seal.Store, puts []seal.Put, taken int) {
	t.Helper()
	var keys []string
	for _, p := range puts {
		keys = append(keys, p.Key)
	}
	got, err := s.Get(t.Context(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	missing := false
	for i, p := range puts {
		v, there := got[p.Key]
		switch {
		case i == taken:
		case there && (missing || i > taken):
			t.Fatalf("entry %d of %d is there and one before it is not (the taken one is %d)", i, len(puts), taken)
		case there && !bytes.Equal(v, p.Value):
			t.Fatalf("entry %d: %q, want %q", i, v, p.Value)
		}
		missing = missing || !there
	}
}

func testRace(t *testing.T, s seal.Store) {
	const rivals = 8
	for round := range 10 {
		key := fmt.Sprintf("s.acme.%d", round)
		var won atomic.Int32
		var winner atomic.Pointer[string]
		var wg sync.WaitGroup
		for i := range rivals {
			wg.Go(func() {
				mine := fmt.Sprint(i)
				switch err := s.Create(t.Context(), "", seal.Put{Key: key, Value: []byte(mine)}); {
				case err == nil:
					won.Add(1)
					winner.Store(&mine)
				case !errors.Is(err, seal.ErrExists):
					t.Errorf("create: %v, want ErrExists", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d creators won", round, won.Load())
		}
		wantValue(t, s, key, []byte(*winner.Load()))
	}
}

// testRaceOfMany has rivals create, at once, a batch each of which one entry is
// everybody's, at another place in each. One of them has written that entry,
// and whoever was told of success has written all of his own.
func testRaceOfMany(t *testing.T, s seal.Store) {
	for _, size := range []int{8, 30} {
		raceOf(t, s, size)
	}
}

func raceOf(t *testing.T, s seal.Store, size int) {
	const rivals = 8
	for round := range 5 {
		var wg sync.WaitGroup
		batches, errs := make([][]seal.Put, rivals), make([]error, rivals)
		for i := range rivals {
			for j := range size {
				key := fmt.Sprintf("k.acme.%d-%d-%d-%d", size, round, i, j)
				if j == i*size/rivals {
					key = fmt.Sprintf("k.acme.%d-%d", size, round)
				}
				batches[i] = append(batches[i], seal.Put{Key: key, Value: fmt.Append(nil, i)})
			}
			wg.Go(func() { errs[i] = s.Create(t.Context(), "x.never", batches[i]...) })
		}
		wg.Wait()
		won := 0
		for i, err := range errs {
			if err != nil {
				wantExists(t, err)
				wantBeginning(t, s, batches[i], i*size/rivals)
				continue
			}
			won++
			for _, p := range batches[i] {
				wantValue(t, s, p.Key, p.Value)
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d creators won", round, won)
		}
	}
}

// many is more than two entries for each record of the largest batch.
const many = 2200

func testMany(t *testing.T, s seal.Store) {
	puts := make([]seal.Put, many)
	for i := range puts {
		puts[i] = seal.Put{Key: fmt.Sprintf("k.acme.%04x", i), Value: fmt.Appendf(nil, "%0100d", i)}
	}
	create(t, s, puts...)
	for _, i := range []int{0, 1, many / 2, many - 1} {
		wantValue(t, s, puts[i].Key, puts[i].Value)
	}
	all, want := make([]string, many), map[string][]byte{}
	for i, p := range puts {
		all[i], want[p.Key] = p.Key, p.Value
	}
	wantValues(t, s, all, want)
	keys, err := s.List(t.Context(), "k.acme.")
	if err != nil || len(keys) != many {
		t.Fatalf("list: %d keys, %v; want %d", len(keys), err, many)
	}
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

// testGetSeesWrites has several write and each read its own at once, among
// what the others are writing.
func testGetSeesWrites(t *testing.T, s seal.Store) {
	const writers, rounds = 8, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var mine []string
			for round := range rounds {
				fence, key := fmt.Sprintf("e.acme.%d-%d", w, round), fmt.Sprintf("k.acme.%d-%d", w, round)
				mine = append(mine, fence, key)
				if err := s.Create(t.Context(), "", seal.Put{Key: fence, Value: []byte("e")}, seal.Put{Key: key, Value: []byte("k")}); err != nil {
					t.Errorf("create: %v", err)
					return
				}
				if err := s.Erase(t.Context(), key); err != nil {
					t.Errorf("erase: %v", err)
					return
				}
				got, err := s.Get(t.Context(), mine...)
				if err != nil || len(got) != round+1 {
					t.Errorf("writer %d has read %d entries, %v; want %d", w, len(got), err, round+1)
					return
				}
			}
		})
	}
	wg.Wait()
}

func wantRetired(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, seal.ErrRetired) || errors.Is(err, seal.ErrExists) {
		t.Fatalf("error %v, want ErrRetired", err)
	}
}

func testUnless(t *testing.T, s seal.Store) {
	put := func(key string) seal.Put { return seal.Put{Key: key, Value: []byte(key)} }
	for _, keys := range [][]seal.Put{{put("k.acme.1")}, {put("k.acme.2"), put("k.acme.3")}} {
		if err := s.Create(t.Context(), "x.2", keys...); err != nil {
			t.Fatal(err)
		}
	}
	wantExists(t, s.Create(t.Context(), "x.2", put("k.acme.1")))
	wantExists(t, s.Create(t.Context(), "x.2", put("k.acme.2"), put("k.acme.4")))
	create(t, s, put("x.2"))
	wantRetired(t, s.Create(t.Context(), "x.2", put("k.acme.5")))
	wantRetired(t, s.Create(t.Context(), "x.2", put("k.acme.1")))
	wantRetired(t, s.Create(t.Context(), "x.2", put("k.acme.6"), put("k.acme.7")))
	wantNone(t, s, "k.acme.5")
	wantNone(t, s, "k.acme.6")
	wantNone(t, s, "k.acme.7")
	if err := s.Create(t.Context(), "x.3", put("k.acme.8")); err != nil {
		t.Fatal(err)
	}
	wantValue(t, s, "k.acme.8", []byte("k.acme.8"))
	wantList(t, s, "", "k.acme.1", "k.acme.2", "k.acme.3", "k.acme.8", "x.2")
}

// testUnlessRace has several write while another puts the entry that ends it:
// what is there when it returns is all that there will be.
func testUnlessRace(t *testing.T, s seal.Store) {
	const writers, rounds = 6, 8
	for round := range rounds {
		end := fmt.Sprintf("x.%d", round)
		begun, done := make(chan struct{}, writers), make(chan struct{})
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for i := 0; ; i++ {
					key := fmt.Sprintf("k.acme.%d-%d-%d", round, w, i)
					err := s.Create(t.Context(), end, seal.Put{Key: key, Value: []byte("v")}, seal.Put{Key: key + "-", Value: []byte("v")})
					if i == 0 {
						begun <- struct{}{}
					}
					if errors.Is(err, seal.ErrRetired) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range writers {
			<-begun
		}
		create(t, s, seal.Put{Key: end, Value: []byte("end")})
		before, err := s.List(t.Context(), "k.acme.")
		if err != nil {
			t.Fatal(err)
		}
		go func() { writing.Wait(); close(done) }()
		<-done
		wantList(t, s, "k.acme.", before...)
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

func testCancelled(t *testing.T, s seal.Store) {
	create(t, s, seal.Put{Key: "t.acme", Value: []byte("v")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"get":          func() error { _, err := s.Get(ctx, "t.acme"); return err },
		"get of none":  func() error { _, err := s.Get(ctx, "t.none"); return err },
		"get of two":   func() error { _, err := s.Get(ctx, "t.acme", "t.none"); return err },
		"create":       func() error { return s.Create(ctx, "", seal.Put{Key: "t.new", Value: []byte("v")}) },
		"create taken": func() error { return s.Create(ctx, "", seal.Put{Key: "t.acme", Value: []byte("v")}) },
		"list":         func() error { _, err := s.List(ctx, "t."); return err },
	}
	for name, call := range calls {
		if err := call(); err == nil || errors.Is(err, seal.ErrExists) {
			t.Errorf("%s on a cancelled context: %v, want an error that says nothing of the entry", name, err)
		}
	}
}
