package sealtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/rescindhq/rescind/events/seal"
)

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

// many is more than two entries for each record of the largest batch.
const many = 2200

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
