package erasure

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events/stream"
)

// toldAtOnce is how many recipients are told at once, each one thing after the
// other. Those of whom the last attempt failed are at most failingAtOnce of them, so that
// however many do not answer, there is room for who does.
const (
	toldAtOnce    = 64
	failingAtOnce = 32
)

// turn is how long one recipient is told one thing after the other while others may
// wait for the room.
const turn = 10 * time.Second

// notifier sends notices. Its maps are what it remembers of the outbox.
type notifier struct {
	*Workflow
	*Notifying

	under sync.WaitGroup // who is being told
	ended chan struct{}  // has one element when that ended for somebody

	mu     sync.Mutex // for the rest
	later  map[stream.Notice]time.Time
	away   map[string]time.Time    // recipients who are left alone until then
	failed map[string]int          // how often in a row
	said   map[stream.Notice]reply // what is not on the log yet
	busy   map[string]bool         // who is being told: whether their last attempt failed
	turns  map[string]int          // when each was told last, in turns of all
	taken  int                     // turns
}

func (w *Workflow) newNotifier() *notifier {
	return &notifier{
		Workflow: w, Notifying: w.cfg.Notifying, ended: make(chan struct{}, 1), later: map[stream.Notice]time.Time{}, away: map[string]time.Time{},
		failed: map[string]int{}, said: map[stream.Notice]reply{}, busy: map[string]bool{}, turns: map[string]int{},
	}
}

// notify tells recipients until ctx ends.
func (w *Workflow) notify(ctx context.Context) {
	if w.cfg.Notifying == nil {
		return
	}
	n := w.newNotifier()
	tick := time.NewTicker(w.cfg.Retry)
	defer tick.Stop()
	for {
		if err := n.session(ctx, tick.C); err != nil && ctx.Err() == nil {
			w.cfg.Logger.WarnContext(ctx, "notices delayed", slog.Any("err", err))
		}
		if !n.pause(ctx, tick.C) {
			return
		}
	}
}

// pause waits until there may be somebody to tell.
func (n *notifier) pause(ctx context.Context, tick <-chan time.Time) bool {
	select {
	case <-ctx.Done():
	case <-tick:
	case <-n.post:
	case <-n.ended:
	}
	return ctx.Err() == nil
}

// session sends what is due, and what becomes due meanwhile: who is slow is waited for by
// nobody else. It first reads what is on the log, as another process may have been here, and
// ends when it has the lock no more.
func (n *notifier) session(ctx context.Context, tick <-chan time.Time) error {
	if len(n.due()) == 0 {
		return nil
	}
	term, release, err := n.Notifying.Lock(ctx)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer release()
	ctx, end := inTerm(ctx, term)
	defer end()
	defer n.forget()
	defer n.under.Wait()
	if err := n.cfg.Lane.Sync(ctx); err != nil {
		return err
	}
	for n.start(ctx) && n.pause(ctx, tick) {
	}
	return nil
}

// start begins to tell those of whom something is due and for whom there is room,
// first who has waited longest for a turn. It reports whether anybody is being told.
func (n *notifier) start(ctx context.Context) bool {
	due := n.due()
	for _, to := range n.inTurn(due) {
		if !n.take(to) {
			continue
		}
		n.under.Go(func() {
			defer n.give(to)
			if err := n.tellAll(ctx, due[to]); err != nil && ctx.Err() == nil {
				n.rest(to)
				n.cfg.Logger.WarnContext(ctx, "notices to a recipient delayed", slog.String("recipient", to), slog.Any("err", err))
			}
		})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.busy) > 0
}

func (n *notifier) inTurn(due map[string][]notice) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.SortedFunc(maps.Keys(due), func(a, b string) int {
		return cmp.Or(cmp.Compare(n.turns[a], n.turns[b]), cmp.Compare(a, b))
	})
}

// take takes room to tell one recipient, where there is some and nobody tells them.
func (n *notifier) take(to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	failing, fails := 0, n.failed[to] > 0
	for _, is := range n.busy {
		if is {
			failing++
		}
	}
	if _, is := n.busy[to]; is || len(n.busy) >= toldAtOnce || fails && failing >= failingAtOnce {
		return false
	}
	n.busy[to] = fails
	n.taken++
	n.turns[to] = n.taken
	return true
}

// give gives it back.
func (n *notifier) give(to string) {
	n.mu.Lock()
	delete(n.busy, to)
	n.mu.Unlock()
	signal(n.ended)
}

// rest leaves a recipient alone for a moment: not they have failed, but we.
func (n *notifier) rest(to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away[to] = n.cfg.Now().Add(n.cfg.Retry)
}

// due is what may be sent now to those who are not being told, by recipient, the
// oldest first.
func (n *notifier) due() map[string][]notice {
	now := n.cfg.Now()
	out := map[string][]notice{}
	n.Workflow.mu.RLock()
	defer n.Workflow.mu.RUnlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	for r := range n.book.telling {
		if r.State != Partial {
			continue // the key is not known to be gone
		}
		for _, id := range r.unanswered() { // who may be told, first: a place is a hash
			if n.mayTell(id, now) && !now.Before(n.later[noticeTo(r, id)]) {
				out[id] = append(out[id], notice{r.clone(), id})
			}
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b notice) int { return a.request.Received.Compare(b.request.Received) })
	}
	return out
}

// mayTell reports whether a recipient can be told something now. n.mu is held.
func (n *notifier) mayTell(id string, now time.Time) bool {
	to, there := n.Registry.Get(id)
	_, busy := n.busy[id]
	return there && to.URL != "" && !busy && !now.Before(n.away[id])
}

// forget lets go of what is remembered of notices that nobody waits for any more.
func (n *notifier) forget() {
	n.Workflow.mu.RLock()
	defer n.Workflow.mu.RUnlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.later)+len(n.said) == 0 {
		return
	}
	waiting := map[stream.Notice]bool{}
	for r := range n.book.telling {
		for _, id := range r.unanswered() {
			waiting[noticeTo(r, id)] = true
		}
	}
	maps.DeleteFunc(n.later, func(place stream.Notice, _ time.Time) bool { return !waiting[place] })
	maps.DeleteFunc(n.said, func(place stream.Notice, _ reply) bool { return !waiting[place] })
}

// tellAll sends notices to one recipient until an attempt fails, and then they are
// left alone for a while, whatever waits for them; or until their turn is over.
func (n *notifier) tellAll(ctx context.Context, list []notice) error {
	over := time.Now().Add(turn)
	for i := range list {
		answered, err := n.tellOne(ctx, &list[i].request, list[i].to)
		if err != nil || !answered || time.Now().After(over) {
			return err
		}
	}
	return nil
}
