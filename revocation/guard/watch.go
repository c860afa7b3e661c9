package guard

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

// Follower is a Decider that tells when decisions may have changed, as
// *feed.Feed does. Streams are cut as soon as it tells; with a Decider that is
// no Follower, within lookEvery.
type Follower interface {
	// Listen calls changed with the entries that decisions see from now on, or
	// with nil where any decision may be another one. changed does not block.
	Listen(changed func([]revocation.Entry)) (stop func())
	// AppendHashes appends to dst the hashes that entries about c have.
	AppendHashes(dst []events.Ref, c revocation.Claims) []events.Ref
}

const (
	// lookEvery is how often at least the token of every stream is decided anew,
	// told or not: ages, scheduled revocations and what was missed are seen then.
	// It is up to a quarter sooner, so that streams do not keep in step.
	lookEvery = time.Second
	// spread is within which the streams are looked at where it may be any.
	spread = 100 * time.Millisecond
	// firstLook is how long a call lasts before it counts as a stream. Most end
	// before and cost next to nothing.
	firstLook = 100 * time.Millisecond
)

// Watch is ctx for as long as t passes: when it is revoked, expires, or cannot
// be vouched for beyond StreamGrace, the context ends with the *Refusal as its
// cause. stop must be called when the stream has ended. Handler, guardecho and
// guardgrpc watch by themselves.
func (g *Guard) Watch(ctx context.Context, t *Token) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := g.watch(t, func(r *Refusal) { cancel(r) })
	return ctx, func() {
		w.stop()
		cancel(context.Canceled)
	}
}

// watch is one stream and the token that it lives by.
type watch struct {
	guard *Guard
	token *Token
	cut   func(*Refusal) // called once at most, from a goroutine of its own

	mu      sync.Mutex // taken before streams.mu, never the other way round
	timer   *time.Timer
	due     time.Time    // when timer fires
	vouched time.Time    // when the token was known to pass
	hashes  []events.Ref // under which it is in streams
	placed  bool         // whether hashes are those of the keys that there are
	over    bool
}

// watch watches t from firstLook on. cut is called when it no longer passes.
func (g *Guard) watch(t *Token, cut func(*Refusal)) *watch {
	now := time.Now()
	w := &watch{guard: g, token: t, cut: cut, vouched: now, due: now.Add(firstLook)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(firstLook, w.look)
	return w
}

// look decides anew.
func (w *watch) look() {
	at := w.guard.cfg.Now()
	w.mu.Lock()
	r := w.lookLocked()
	w.mu.Unlock()
	if r != nil {
		w.guard.reportCut(at, w.token, r)
		w.cut(r)
	}
}

func (w *watch) lookLocked() *Refusal {
	if w.over {
		return nil
	}
	if !w.placed { // before it decides: what is applied later is told
		w.guard.streams.place(w)
	}
	r := w.judge()
	if r == nil {
		w.schedule(time.Now().Add(min(lookEvery-rand.N(lookEvery/4), w.left())))
		return nil
	}
	w.end()
	return r
}

// judge is why the token no longer passes. One that nobody vouches for is given
// time: a feed that mends itself, or is served by another server, cuts nothing.
func (w *watch) judge() *Refusal {
	g := w.guard
	if w.left() <= 0 {
		return refuse(ReasonExpired)
	}
	d := g.ask(w.token)
	r := g.verdict(w.token, d)
	switch {
	case r == nil:
		w.vouched = time.Now()
		return nil
	case r.Reason == ReasonUnknown && time.Since(w.vouched) < g.cfg.StreamGrace:
		return nil
	}
	return r
}

// left is how long the token is still valid.
func (w *watch) left() time.Duration {
	return w.token.Claims.Expires.Time().Add(w.guard.cfg.Leeway).Sub(w.guard.cfg.Now())
}

// schedule has the next look at a time.
func (w *watch) schedule(at time.Time) {
	w.due = at
	w.timer.Reset(time.Until(at))
}

// hurry has a look within a time. One that is due before stays, so that who is told
// again and again does not look less often.
func (w *watch) hurry(within time.Duration, anew bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if anew {
		w.placed = false
	}
	if at := time.Now().Add(within); !w.over && at.Before(w.due) {
		w.schedule(at)
	}
}

// stop ends the watch. cut may be under way.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.end()
	}
}

func (w *watch) end() {
	w.over = true
	w.timer.Stop()
	w.guard.streams.remove(w)
}

// streams are those that are watched, by the hashes of the entries that would
// be about their tokens: a revocation costs a lookup, however many there are.
type streams struct {
	follower Follower // nil where nobody tells
	stop     func()   // ends that it tells

	mu     sync.Mutex
	all    map[*watch]struct{}
	byHash map[events.Ref]map[*watch]struct{}
}

func newStreams(feed Decider) *streams {
	s := &streams{stop: func() {}, all: make(map[*watch]struct{}), byHash: make(map[events.Ref]map[*watch]struct{})}
	if f, ok := feed.(Follower); ok {
		s.follower, s.stop = f, f.Listen(s.changed)
	}
	return s
}

// Streams is how many calls have lasted long enough to be watched and have not
// ended.
func (g *Guard) Streams() int {
	g.streams.mu.Lock()
	defer g.streams.mu.Unlock()
	return len(g.streams.all)
}

// place puts w where the entries about its token are looked up.
func (s *streams) place(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(w)
	s.all[w] = struct{}{}
	w.placed = true
	if s.follower == nil {
		return
	}
	w.hashes = s.follower.AppendHashes(w.hashes[:0], w.token.asked())
	for _, h := range w.hashes {
		if s.byHash[h] == nil {
			s.byHash[h] = make(map[*watch]struct{})
		}
		s.byHash[h][w] = struct{}{}
	}
}

func (s *streams) remove(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(w)
}

func (s *streams) take(w *watch) {
	delete(s.all, w)
	for _, h := range w.hashes {
		if delete(s.byHash[h], w); len(s.byHash[h]) == 0 {
			delete(s.byHash, h)
		}
	}
	w.hashes = w.hashes[:0]
}

// changed is told by the follower.
func (s *streams) changed(entries []revocation.Entry) {
	anew := entries == nil
	for _, w := range s.about(entries) {
		if anew {
			w.hurry(rand.N(spread), true)
		} else {
			w.hurry(0, false)
		}
	}
}

// about is the streams whose tokens entries are about: all where it is nil.
func (s *streams) about(entries []revocation.Entry) (out []*watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if entries == nil {
		for w := range s.all {
			out = append(out, w)
		}
		return out
	}
	for i := range entries {
		for w := range s.byHash[entries[i].Hash] {
			out = append(out, w)
		}
	}
	return out
}
