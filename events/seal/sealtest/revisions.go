package sealtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events/seal"
)

// RevisionStore is what TestRevisions tests.
type RevisionStore interface {
	seal.Store
	seal.Revisions
}

// TestRevisions runs the contract of seal.Revisions against the stores that
// open gives. Each is used by one subtest, and must be empty.
func TestRevisions(t *testing.T, open func(t *testing.T) RevisionStore) {
	for name, test := range map[string]func(*testing.T, RevisionStore){
		"what was written before":             testBefore,
		"before nothing is an error":          testBeforeNothing,
		"none of many is left out":            testBeforeMany,
		"what is replaced is what was read":   testReplace,
		"all are replaced or none":            testReplaceAllOrNone,
		"what was erased is not written":      testReplaceErased,
		"nothing is replaced after an end":    testReplaceUnless,
		"one of many that replace wins":       testReplaceRace,
		"erased while it is replaced is gone": testEraseWhileReplacing,
		"a cut call says nothing":             testRevisionsCancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// before is every entry before the one named key, read page by page.
func before(t *testing.T, s RevisionStore, key string) (all []seal.Stored) {
	t.Helper()
	for from, pages := uint64(0), 0; ; pages++ {
		page, next, err := s.Before(t.Context(), key, from)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if next == 0 {
			return all
		}
		if next <= from || len(page) == 0 || page[len(page)-1].Revision >= next {
			t.Fatalf("page of %d from %d, and then from %d", len(page), from, next)
		}
		from = next
	}
}

func wantBefore(t *testing.T, s RevisionStore, key string, want ...string) {
	t.Helper()
	var got []string
	last := uint64(0)
	for _, e := range before(t, s, key) {
		if e.Revision <= last {
			t.Fatalf("revision %d after %d", e.Revision, last)
		}
		last = e.Revision
		got = append(got, e.Key+"="+string(e.Value))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("before %s:\n%s", key, cmp.Diff(want, got))
	}
}

func entry(n int) seal.Put {
	return seal.Put{Key: fmt.Sprintf("k.acme.%d", n), Value: fmt.Append(nil, n)}
}

func testBefore(t *testing.T, s RevisionStore) {
	create(t, s, entry(1))
	create(t, s, entry(2), entry(3))
	create(t, s, seal.Put{Key: "x.2", Value: []byte("end")})
	create(t, s, entry(4))
	wantBefore(t, s, "k.acme.1")
	wantBefore(t, s, "x.2", "k.acme.1=1", "k.acme.2=2", "k.acme.3=3")
	if err := s.Erase(t.Context(), "k.acme.2"); err != nil {
		t.Fatal(err)
	}
	wantBefore(t, s, "x.2", "k.acme.1=1", "k.acme.3=3")
	wantBefore(t, s, "k.acme.4", "k.acme.1=1", "k.acme.3=3", "x.2=end")
}

func testBeforeNothing(t *testing.T, s RevisionStore) {
	create(t, s, entry(1))
	if _, _, err := s.Before(t.Context(), "x.2", 0); !errors.Is(err, seal.ErrNotFound) {
		t.Fatalf("error %v, want ErrNotFound", err)
	}
}

func testBeforeMany(t *testing.T, s RevisionStore) {
	var puts []seal.Put
	var want []string
	for i := range many {
		puts = append(puts, entry(i))
	}
	create(t, s, puts...)
	create(t, s, seal.Put{Key: "x.2", Value: []byte("end")})
	for i := range many {
		switch {
		case i%700 < 25: // some in a row
			if i%700 == 0 {
				eraseSome(t, s, puts[i:i+25])
			}
		default:
			want = append(want, fmt.Sprintf("k.acme.%d=%d", i, i))
		}
	}
	wantBefore(t, s, "x.2", want...)
}

func eraseSome(t *testing.T, s RevisionStore, puts []seal.Put) {
	t.Helper()
	var wg sync.WaitGroup
	for _, p := range puts {
		wg.Go(func() {
			if err := s.Erase(t.Context(), p.Key); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// stored is the entries of those keys as they are.
func stored(t *testing.T, s RevisionStore, keys ...string) (out []seal.Stored) {
	t.Helper()
	end := fmt.Sprint("x.", len(keys), "-", keys[0])
	create(t, s, seal.Put{Key: end, Value: []byte("end")})
	for _, e := range before(t, s, end) {
		if slices.Contains(keys, e.Key) {
			out = append(out, e)
		}
	}
	if len(out) != len(keys) {
		t.Fatalf("%d entries of %v", len(out), keys)
	}
	if err := s.Erase(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	return out
}

func again(entries []seal.Stored) (out []seal.Stored) {
	for _, e := range entries {
		e.Value = append(slices.Clone(e.Value), " again"...)
		out = append(out, e)
	}
	return out
}

func testReplace(t *testing.T, s RevisionStore) {
	create(t, s, entry(1), entry(2), entry(3))
	was := stored(t, s, "k.acme.1", "k.acme.2")
	if err := s.Replace(t.Context(), "", again(was)...); err != nil {
		t.Fatal(err)
	}
	wantValue(t, s, "k.acme.1", []byte("1 again"))
	wantValue(t, s, "k.acme.2", []byte("2 again"))
	wantValue(t, s, "k.acme.3", []byte("3"))
	create(t, s, seal.Put{Key: "x.2", Value: []byte("end")})
	wantBefore(t, s, "x.2", "k.acme.3=3", "k.acme.1=1 again", "k.acme.2=2 again")
	if err := s.Replace(t.Context(), "x.3", again(stored(t, s, "k.acme.3"))...); err != nil {
		t.Fatal(err)
	}
	wantValue(t, s, "k.acme.3", []byte("3 again"))
}

func wantChanged(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, seal.ErrChanged) {
		t.Fatalf("error %v, want ErrChanged", err)
	}
}

func testReplaceAllOrNone(t *testing.T, s RevisionStore) {
	create(t, s, entry(1), entry(2), entry(3))
	was := stored(t, s, "k.acme.1", "k.acme.2", "k.acme.3")
	if err := s.Replace(t.Context(), "", again(was[1:2])...); err != nil {
		t.Fatal(err)
	}
	wantChanged(t, s.Replace(t.Context(), "", again(was)...))
	wantChanged(t, s.Replace(t.Context(), "x.2", again(was)...))
	wantChanged(t, s.Replace(t.Context(), "", again(was[1:2])...))
	wantValue(t, s, "k.acme.1", []byte("1"))
	wantValue(t, s, "k.acme.2", []byte("2 again"))
	wantValue(t, s, "k.acme.3", []byte("3"))
}

func testReplaceErased(t *testing.T, s RevisionStore) {
	create(t, s, entry(1), entry(2))
	was := stored(t, s, "k.acme.1", "k.acme.2")
	if err := s.Erase(t.Context(), "k.acme.1"); err != nil {
		t.Fatal(err)
	}
	wantChanged(t, s.Replace(t.Context(), "", again(was)...))
	wantChanged(t, s.Replace(t.Context(), "", again(was[:1])...))
	wantNone(t, s, "k.acme.1")
	create(t, s, entry(1)) // another one, of the same name
	wantChanged(t, s.Replace(t.Context(), "", again(was[:1])...))
	wantValue(t, s, "k.acme.1", []byte("1"))
}

func testReplaceUnless(t *testing.T, s RevisionStore) {
	create(t, s, entry(1), entry(2))
	was := stored(t, s, "k.acme.1", "k.acme.2")
	create(t, s, seal.Put{Key: "x.2", Value: []byte("end")})
	wantRetired(t, s.Replace(t.Context(), "x.2", again(was)...))
	wantRetired(t, s.Replace(t.Context(), "x.2", again(was[:1])...))
	wantValue(t, s, "k.acme.1", []byte("1"))
}

func testReplaceRace(t *testing.T, s RevisionStore) {
	const rivals = 6
	create(t, s, entry(1), entry(2), entry(3))
	for round := range 5 {
		was := stored(t, s, "k.acme.1", "k.acme.2", "k.acme.3")
		errs := make([]error, rivals)
		var wg sync.WaitGroup
		for i := range rivals {
			mine := again(was)
			for j := range mine {
				mine[j].Value = fmt.Append(nil, round, i, j)
			}
			wg.Go(func() { errs[i] = s.Replace(t.Context(), "x.2", mine[i%2:]...) })
		}
		wg.Wait()
		won := 0
		for i, err := range errs {
			if err != nil {
				wantChanged(t, err)
				continue
			}
			won++
			wantValue(t, s, "k.acme.3", fmt.Append(nil, round, i, 2))
		}
		if won != 1 {
			t.Fatalf("round %d: %d won", round, won)
		}
	}
}

// testEraseWhileReplacing has one erase and another replace the same entry, both
// until they are done: in the end it is gone.
func testEraseWhileReplacing(t *testing.T, s RevisionStore) {
	for round := range 20 {
		create(t, s, entry(round), entry(1000+round))
		was := stored(t, s, entry(round).Key, entry(1000+round).Key)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Erase(t.Context(), was[0].Key); err != nil {
				t.Errorf("erase: %v", err)
			}
		})
		wg.Go(func() {
			if err := s.Replace(t.Context(), "", again(was)...); err != nil && !errors.Is(err, seal.ErrChanged) {
				t.Errorf("replace: %v", err)
			}
		})
		wg.Wait()
		wantNone(t, s, was[0].Key)
	}
}

func testRevisionsCancelled(t *testing.T, s RevisionStore) {
	create(t, s, entry(1), entry(2))
	was := stored(t, s, "k.acme.1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Before(ctx, "k.acme.2", 0); err == nil || errors.Is(err, seal.ErrNotFound) {
		t.Errorf("before on a cancelled context: %v", err)
	}
	if err := s.Replace(ctx, "", again(was)...); err == nil || errors.Is(err, seal.ErrChanged) || errors.Is(err, seal.ErrRetired) {
		t.Errorf("replace on a cancelled context: %v", err)
	}
}
