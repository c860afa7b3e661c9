package intake

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

// step is one thing that happens in a history.
type step struct {
	Do string
	N  int
}

// histories is what may happen, in any order.
var histories = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
	return step{
		Do: rapid.SampledFrom([]string{"publish", "publish", "publish", "again", "change", "stop", "kill before", "kill after", "fail", "jump", "fence", "end the term"}).Draw(t, "do"),
		N:  rapid.IntRange(1, 30).Draw(t, "n"),
	}
}), 4, 25)

// TestHistories lets histories happen to an intake whose source hands over
// messages twice, out of order and after they were acknowledged, and compares
// the log with the list of what was published.
func TestHistories(t *testing.T) {
	t.Parallel()
	for seed := range 12 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			steps := histories.Example(seed)
			t.Logf("%+v", steps)
			h := &history{rig: newRig(t), random: rand.New(rand.NewPCG(uint64(seed), 1)), contents: map[string]map[string]bool{}}
			h.begin()
			for _, s := range steps {
				h.happen(s)
			}
			h.verify()
		})
	}
}

// history is one intake with all that happens to it.
type history struct {
	*rig
	random   *rand.Rand
	ids      []string
	contents map[string]map[string]bool // of each id: the actors that it was published with

	in    *running
	fault atomic.Int64 // what the next append does
	ahead atomic.Int64 // ns that the clock is off
	// The source is opened by the intake's goroutine: the seed of each counts.
	opened atomic.Uint64
	mu     sync.Mutex
	end    context.CancelFunc // of the term
}

func (h *history) begin() {
	h.in = h.start(func(c *Config) {
		l := newFaultyLog(h.log, func(int) fault { return fault(h.fault.Swap(int64(pass))) })
		c.Log, c.Grace = l, 10*time.Millisecond
		c.Now = func() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }
		c.Policy.MaxAhead = 100 * 24 * time.Hour // a clock that is behind refuses what is true
		c.Elect = func(ctx context.Context) (context.Context, func(), error) {
			term, end := context.WithCancel(context.WithoutCancel(ctx))
			h.mu.Lock()
			defer h.mu.Unlock()
			h.end = end
			return term, end, nil
		}
	}, onSource(func(s Source) Source { return &unruly{Source: s, random: rand.New(rand.NewPCG(h.opened.Add(1), 2))} }))
}

func (h *history) happen(s step) {
	h.Helper()
	switch s.Do {
	case "publish":
		for i := range s.N {
			h.put(fmt.Sprint("e", len(h.ids)), "a", i%3 == 0)
		}
	case "again":
		for range min(s.N, len(h.ids)) {
			h.put(h.ids[h.random.IntN(len(h.ids))], "a", false)
		}
	case "change":
		if len(h.ids) > 0 {
			h.put(h.ids[h.random.IntN(len(h.ids))], "b", false)
		}
	case "stop":
		h.in.stop()
		h.begin()
	case "kill before":
		h.kill(dieUnsent)
	case "kill after":
		h.kill(die)
	case "fail":
		h.fault.Store(int64([]fault{fail, applied, late, fenced}[s.N%4]))
	case "jump":
		h.ahead.Store(int64(time.Duration(s.N-15) * 10 * time.Hour))
	case "fence":
		straggler := h.start(func(c *Config) { c.Policy.MaxAhead = 100 * 24 * time.Hour })
		<-straggler.Ready()
		straggler.stop()
	case "end the term":
		h.mu.Lock()
		if h.end != nil {
			h.end()
		}
		h.mu.Unlock()
	}
}

// kill stops the intake at an append that it never hears of.
func (h *history) kill(f fault) {
	h.fault.Store(int64(f))
	h.put(fmt.Sprint("e", len(h.ids)), "a", false)
	h.in.stop()
	h.fault.Store(int64(pass))
	h.begin()
}

func (h *history) put(id, actor string, control bool) {
	ev := issued(id)
	if h.contents[id] == nil {
		h.ids, h.contents[id] = append(h.ids, id), map[string]bool{}
	} else {
		ev.Type = h.typeOf(id)
	}
	if control {
		ev.Type = events.TokenRevoked
	}
	h.contents[id][actor+string(ev.Type)] = true
	ev.Time, ev.Data.IssuedAt, ev.Data.Expires = time.Unix(1_750_000_000, 0).UTC(), 0, 0
	ev.Data.Actor = actor
	h.publish(ev)
}

// typeOf is the type that id was published with first.
func (h *history) typeOf(id string) events.Type {
	for k := range h.contents[id] {
		return events.Type(k[1:])
	}
	return ""
}

// verify lets the intake finish and compares.
func (h *history) verify() {
	h.Helper()
	h.fault.Store(int64(pass))
	h.ahead.Store(0)
	h.drained()
	facts := h.facts() // and that each is there once
	for _, id := range h.ids {
		if e := facts[id]; e.Record == nil || !h.contents[id][e.Actor+string(e.Type)] {
			h.Errorf("%s: logged as %+v, published as %v", id, e.Record, h.contents[id])
		}
	}
	if len(facts) != len(h.ids) {
		h.Errorf("%d facts, want %d", len(facts), len(h.ids))
	}
	for _, q := range h.quarantined() {
		if q.Reason != events.ReasonConflict || len(h.contents[q.ID]) < 2 {
			h.Errorf("quarantined: %+v", q)
		}
	}
}

// unruly hands messages over again now and then, before or after they were
// acknowledged, and in another order.
type unruly struct {
	Source
	mu     sync.Mutex
	random *rand.Rand
	past   []stream.IntakeMessage
}

func (u *unruly) Next(ctx context.Context, lane events.Lane, maxBytes int) ([]stream.IntakeMessage, error) {
	out, err := u.Source.Next(ctx, lane, maxBytes)
	u.mu.Lock()
	defer u.mu.Unlock()
	fresh := len(out)
	u.past = append(u.past, out...)
	for range u.random.IntN(4) {
		if len(u.past) > 0 && fresh > 0 {
			out = append(out, u.past[u.random.IntN(len(u.past))])
		}
	}
	u.random.Shuffle(len(out), func(i, k int) { out[i], out[k] = out[k], out[i] })
	return out, err
}
