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

func numbered(n uint64) Claims {
	return Claims{Tenant: "acme", Issuer: "i", TokenID: fmt.Sprint("t", n), GrantID: fmt.Sprint("g", n)}
}
