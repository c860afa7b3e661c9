package revocation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/rescindhq/rescind/events"
)

// operation is what is done to a set: an entry applied, or a decision asked.
type operation struct {
	entry  *Entry
	claims *Claims
}

// judged is a set as a list, which answers one after the other.
var judged = porcupine.Model{
	Init: func() any { return model(nil) },
	Step: func(state, input, output any) (bool, any) {
		m, in := state.(model), input.(operation)
		if in.entry != nil {
			return true, append(m[:len(m):len(m)], *in.entry)
		}
		return m.decide(*in.claims, []events.FeedKey{feedKey("acme", 1)}, t0) == output.(Decision), m
	},
	Equal: func(a, b any) bool { return slices.Equal(a.(model), b.(model)) },
}

// TestDecisionsAreLinearizable: whatever goroutines apply, lift and ask at the
// same time, there is an order, one after the other, in which all answers are
// those of the naive list. The set is full of others, so that its pages are
// divided meanwhile.
func TestDecisionsAreLinearizable(t *testing.T) {
	t.Parallel()
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	for round := range rounds {
		history := compete(t, uint64(round))
		if porcupine.CheckOperations(judged, history) {
			continue
		}
		for _, op := range history {
			in := op.Input.(operation)
			t.Logf("%d..%d by %d: entry %+v, answer %+v", op.Call, op.Return, op.ClientId, in.entry, op.Output)
		}
		t.Fatalf("round %d: no order explains these answers", round)
	}
}

func compete(t *testing.T, seed uint64) (history []porcupine.Operation) {
	t.Helper()
	s := setOf()
	began, key := time.Now(), feedKey("acme", 1)
	var mu sync.Mutex
	note := func(client int, in operation, do func() Decision) {
		op := porcupine.Operation{ClientId: client, Input: in, Call: int64(time.Since(began))}
		op.Output = do()
		op.Return = int64(time.Since(began))
		mu.Lock()
		defer mu.Unlock()
		history = append(history, op)
	}
	var all sync.WaitGroup
	for writer := range 2 {
		all.Go(func() {
			chance := rand.New(rand.NewPCG(seed, uint64(writer)))
			for n := range 6 {
				e := revoke(uint64(10*writer+n), key, Scopes()[chance.IntN(8)], someone, []events.Timestamp{0, ms(-time.Hour), ms(0), ms(time.Minute)}[chance.IntN(4)])
				note(writer, operation{entry: &e}, func() Decision { s.Apply(e); return Decision{} })
				if chance.IntN(2) == 0 {
					l := lift(e)
					note(writer, operation{entry: &l}, func() Decision { s.Apply(l); return Decision{} })
				}
			}
		})
	}
	for reader := range 3 {
		all.Go(func() {
			for range 12 {
				c := someone
				note(2+reader, operation{claims: &c}, func() Decision { return s.Decide(&c, t0) })
			}
		})
	}
	all.Go(func() { // others, which no answer is about
		for n := range uint64(400) {
			c := someone
			c.TokenID = fmt.Sprint("other", n)
			e := revoke(100+n, key, events.ScopeToken, c, 0)
			if n%2 == 0 {
				e.Expires = ms(-time.Hour)
			}
			s.Apply(e)
			if n%100 == 99 {
				s.Sweep(t0)
			}
		}
	})
	all.Wait()
	return history
}

// TestNoGapBetweenARevocationAndTheOneThatTakesItsPlace: at every moment one of
// two scopes revokes, and no decision is made of the moments between.
func TestNoGapBetweenARevocationAndTheOneThatTakesItsPlace(t *testing.T) {
	t.Parallel()
	key, turns := feedKey("acme", 1), []events.Scope{events.ScopeToken, events.ScopeTenant}
	for range 40 {
		before := revoke(1, key, turns[1], someone, 0)
		s := setOf(before)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n := range uint64(300) {
				e := revoke(n+2, key, turns[n%2], someone, 0)
				s.Apply(e)
				s.Apply(lift(before))
				before = e
			}
		}()
		for c := someone; ; {
			if d := s.Decide(&c, t0); d.State != Revoked {
				t.Fatalf("got %+v", d)
			}
			select {
			case <-done:
			default:
				continue
			}
			break
		}
	}
}

// TestWhatOutranksIsNotSeenAfterWhatCameLater: of two revocations the first to
// come outranks the second, so that the second never decides. They are looked
// at in that order, with time between them.
func TestWhatOutranksIsNotSeenAfterWhatCameLater(t *testing.T) {
	t.Parallel()
	var keys []events.FeedKey // looked at one after the other
	for generation := range uint32(8) {
		keys = append(keys, feedKey("acme", generation+1))
	}
	s := NewSet(1)
	s.SetKeys(keys)
	var at atomic.Uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range uint64(20_000) {
			c := numbered(n)
			at.Store(n)
			s.Apply(revoke(2*n, keys[0], events.ScopeToken, c, 0))
			s.Apply(revoke(2*n+1, keys[7], events.ScopeGrant, c, 0))
		}
	}()
	for {
		c := numbered(at.Load())
		if d := s.Decide(&c, t0); d.State == Revoked && d.Scope != events.ScopeToken {
			t.Fatalf("got %+v", d)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

// TestABatchOfAPageAndItsCrowdsIsLinearizable: one Apply changes a row of a page,
// then crowds that have theirs in the same page, then adds a row of another kind.
// Each of its entries is an operation of its own, as entries of a batch become
// visible one by one. The row has another kind each time, and is revoked
// throughout.
func TestABatchOfAPageAndItsCrowdsIsLinearizable(t *testing.T) {
	t.Parallel()
	for round := range 3 {
		if history := competeInAPage(t, uint64(round)); !porcupine.CheckOperations(judged, history) {
			for _, op := range history {
				if op.Output.(Decision).State != Revoked && op.Input.(operation).claims != nil {
					t.Logf("%d..%d by %d: answer %+v", op.Call, op.Return, op.ClientId, op.Output)
				}
			}
			t.Fatalf("round %d: no order explains these answers", round)
		}
	}
}

func competeInAPage(t *testing.T, round uint64) (history []porcupine.Operation) {
	t.Helper()
	key, s := feedKey("acme", 1), setOf()
	of := inOrder(key, round) // the row, two crowds, the row that is added
	const many, each = 1000, 100
	crowd := func(c Claims, from uint64) (out []Entry) {
		for n := range uint64(many) {
			out = append(out, revoke(from+n, key, events.ScopeToken, c, 0))
		}
		return out
	}
	one, two := crowd(of[1], 10_000), crowd(of[2], 20_000)
	s.Apply(one...)
	s.Apply(two...)
	told := func(n int) Entry {
		e := revoke(1, key, events.ScopeToken, of[0], 0)
		e.Reason = fmt.Sprintf("told %03d", 999-n) // the least counts
		return e
	}
	first, began := told(0), time.Now()
	s.Apply(first)
	history = append(history, porcupine.Operation{Input: operation{entry: &first}, Output: Decision{}})
	var mu sync.Mutex
	var all sync.WaitGroup
	var done atomic.Bool
	for reader := range 2 {
		all.Go(func() {
			var mine []porcupine.Operation
			for n := 0; !done.Load(); n++ {
				c := of[3*(n%8/7)] // mostly the row
				op := porcupine.Operation{ClientId: reader, Input: operation{claims: &c}, Call: int64(time.Since(began))}
				op.Output = s.Decide(&c, t0)
				op.Return = int64(time.Since(began))
				mine = append(mine, op)
			}
			mu.Lock()
			defer mu.Unlock()
			history = append(history, mine...)
		})
	}
	for n := range many / each {
		again, added := told(n+1), revoke(uint64(100+n), key, events.ScopeToken, of[3], 0)
		batch := []Entry{again, added}
		for i := n * each; i < (n+1)*each; i++ {
			batch = append(batch, lift(one[i]), lift(two[i]))
		}
		call := int64(time.Since(began))
		s.Apply(batch...)
		back := int64(time.Since(began))
		mu.Lock()
		for _, e := range []*Entry{&again, &added} {
			history = append(history, porcupine.Operation{ClientId: 2, Input: operation{entry: e}, Output: Decision{}, Call: call, Return: back})
		}
		mu.Unlock()
	}
	done.Store(true)
	all.Wait()
	return history
}

// inOrder is claims whose tokens' hashes are one after the other.
func inOrder(key events.FeedKey, round uint64) []Claims {
	var out []Claims
	for n := range uint64(4) {
		out = append(out, numbered(4*round+n))
	}
	hashed := func(c Claims) hash { h := key.Hash(events.ScopeToken, c.Issuer, c.TokenID); return hashOf(&h) }
	slices.SortFunc(out, func(a, b Claims) int { return hashed(a).compare(hashed(b)) })
	return out
}

func numbered(n uint64) Claims {
	return Claims{Tenant: "acme", Issuer: "i", TokenID: fmt.Sprint("t", n), GrantID: fmt.Sprint("g", n)}
}
