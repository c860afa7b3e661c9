package sealtest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rescindhq/rescind/events/seal"
)

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
