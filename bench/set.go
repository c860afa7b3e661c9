package bench

import (
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/sidebyside"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation"
)

const (
	setRuns   = 3
	setRounds = 60 // of a run
	setProbes = 1 << 14
	inMap     = "one lookup in a Go map of as many 16-byte keys"
)

// sets times lookups and whole decisions in a set of n against lookups in a Go
// map of the same keys, in turns: each sample is the round of a run that was
// disturbed least, calls of each together. Decisions look for every scope, as
// many revocations of each are there; beside that stands what they take where
// only tokens are revoked, and where there is one revocation of each other scope.
func sets(n, calls int) []Result {
	of := workload.NewRevocations(time.Now())
	before := heapInUse()
	set := of.Set(n)
	size := float64(heapInUse()-before) / float64(n)
	plain := make(map[events.Ref]uint32, n)
	for i := range n {
		plain[of.Hash(i)] = uint32(i)
	}
	t := newSetTimes(of, n)
	t.runDecide(set, plain, calls, &t.tokens, &t.tokensMap)
	set.Apply(of.Others(1)...)
	t.runDecide(set, plain, calls, &t.few, &t.fewMap)
	set.Apply(of.Others(1000)...) // from here on every scope has to be looked for
	for range setRuns {
		t.run(set, plain, calls)
	}
	return append(t.results(), alone("set/memory", "bytes an entry", size))
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// setTimes are what is asked of a set, and the least times of each run.
type setTimes struct {
	now               time.Time
	there, absent     []events.Ref
	claims            []revocation.Claims // of tokens that are not revoked
	hit, miss, decide []float64
	mapHit, mapMiss   []float64
	tokens, tokensMap []float64 // whole decisions while only tokens are revoked
	few, fewMap       []float64 // and one of each other scope
}

func newSetTimes(of *workload.Revocations, n int) *setTimes {
	t := &setTimes{now: of.Now}
	for range setProbes {
		at := rand.IntN(n)
		t.there, t.absent, t.claims = append(t.there, of.Hash(at)), append(t.absent, of.Hash(n+at)), append(t.claims, of.Claims(n+at))
	}
	return t
}

func (t *setTimes) run(set *revocation.Set, plain map[events.Ref]uint32, calls int) {
	times := sidebyside.Time(setRounds, calls,
		func(i int) { set.Holds(t.there[i%setProbes], t.now) },
		func(i int) { _ = plain[t.there[i%setProbes]] },
		func(i int) { set.Holds(t.absent[i%setProbes], t.now) },
		func(i int) { _ = plain[t.absent[i%setProbes]] },
		func(i int) { set.Decide(&t.claims[i%setProbes], t.now) })
	for k, to := range []*[]float64{&t.hit, &t.mapHit, &t.miss, &t.mapMiss, &t.decide} {
		*to = append(*to, times[k].Least)
	}
}

// runDecide times nothing but whole decisions.
func (t *setTimes) runDecide(set *revocation.Set, plain map[events.Ref]uint32, calls int, decide, inMap *[]float64) {
	for range setRuns {
		times := sidebyside.Time(setRounds, calls,
			func(i int) { set.Decide(&t.claims[i%setProbes], t.now) },
			func(i int) { _ = plain[t.absent[i%setProbes]] })
		*decide, *inMap = append(*decide, times[0].Least), append(*inMap, times[1].Least)
	}
}

func (t *setTimes) results() []Result {
	return []Result{
		compare("set/check hit", "ns", t.hit, inMap, t.mapHit),
		compare("set/check miss", "ns", t.miss, inMap, t.mapMiss),
		compare("set/decide", "ns", t.decide, inMap, t.mapMiss),
		compare("set/decide only tokens revoked", "ns", t.tokens, inMap, t.tokensMap),
		compare("set/decide one of each other scope revoked", "ns", t.few, inMap, t.fewMap),
	}
}
