package erasure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/callback"
)

// What telling somebody came to, beside the verdicts of package callback.
const (
	answerForbidden = "forbidden" // the URL must not be called
	answerGivenUp   = "given_up"  // there was no answer for as long as For
	answerOvertaken = "overtaken" // there was no answer before the next step
	answerGone      = "gone"      // where it is told is not known any more
)

const (
	tellingAtOnce = 16          // asks that are told at a time
	tellingRound  = 256         // asks before it is looked again who comes first
	tellingPause  = time.Minute // after which it is looked at again, at the latest
)

// call is one ask that is told something.
type call struct {
	tenant string
	ref    events.Ref
	failed int // attempts at what it is told, until now
}

// attempts is how often a URL did not answer, and when it is tried again.
type attempts struct {
	failed int
	next   time.Time
}

// teller is the state of tell. Only it uses it, but for tries.
type teller struct {
	*Workflow
	mu    sync.Mutex
	tries map[string]attempts // by id of the message
}

// tell tells whoever asked of each step, until ctx ends.
func (w *Workflow) tell(ctx context.Context) {
	if w.cfg.Telling == nil {
		return
	}
	t := &teller{Workflow: w, tries: make(map[string]attempts)}
	signal(w.news)
	for t.wait(ctx) {
		if err := t.all(ctx); err != nil && ctx.Err() == nil {
			w.cfg.Logger.WarnContext(ctx, "callbacks delayed", slog.Any("err", err))
		}
	}
}

// wait waits for news, or until something is to be tried again.
func (t *teller) wait(ctx context.Context) bool {
	pause := tellingPause
	t.mu.Lock()
	for _, a := range t.tries {
		pause = min(pause, max(0, a.next.Sub(t.cfg.Now())))
	}
	t.mu.Unlock()
	timer := time.NewTimer(max(pause, t.cfg.Telling.Retry/4))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-t.news:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// all tells all that is due. It first reads what is on the log: another process
// may have told it.
func (t *teller) all(ctx context.Context) error {
	if len(t.due()) == 0 {
		return nil
	}
	term, release, err := t.cfg.Telling.Lock(ctx)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer release()
	ctx, end := inTerm(ctx, term)
	defer end()
	if err := t.cfg.Lane.Sync(ctx); err != nil {
		return err
	}
	due := t.due()
	if len(due) > tellingRound {
		due = due[:tellingRound]
		defer signal(t.news) // there is more
	}
	errs := make([]error, len(due))
	var telling sync.WaitGroup
	places := make(chan struct{}, tellingAtOnce)
	for i, c := range due {
		places <- struct{}{}
		telling.Go(func() {
			errs[i] = t.one(ctx, c)
			<-places
		})
	}
	telling.Wait()
	if ctx.Err() != nil {
		return errors.New("the lock is lost: another process tells them")
	}
	return errors.Join(errs...)
}

// due is the asks of which a URL is to be called now, first those that did not fail
// before: nobody waits long for receivers that do not answer. What it does not find to
// be told, now or later, is tried no more.
func (t *teller) due() (out []call) {
	t.Workflow.mu.RLock()
	defer t.Workflow.mu.RUnlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	tries := make(map[string]attempts, len(t.tries))
	for r := range t.book.called {
		for i := range r.Asks {
			if failed, is := r.isDue(&r.Asks[i], t.cfg.Now(), t.tries, tries); is {
				out = append(out, call{r.Tenant, r.Asks[i].Ref, failed})
			}
		}
	}
	t.tries = tries
	slices.SortFunc(out, func(a, b call) int { return cmp.Compare(a.failed, b.failed) })
	return out
}

// isDue reports whether a URL of a is to be called now, and how often one failed, and
// moves what was tried of it from one list to another.
func (r *Request) isDue(a *Asked, now time.Time, from, to map[string]attempts) (failed int, due bool) {
	for n := range a.done {
		s, _, found := r.next(a, n)
		if !found {
			continue
		}
		id := messageID(a, n, s)
		if tried, was := from[id]; was {
			to[id] = tried
		}
		failed = max(failed, from[id].failed)
		due = due || !now.Before(from[id].next)
	}
	return failed, due
}

func (t *teller) resting(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cfg.Now().Before(t.tries[id].next)
}

// messageID is the same each time that a step is told to a URL.
func messageID(a *Asked, n int, s Step) string {
	return "callback-" + a.Ref.String() + "-" + strconv.Itoa(n) + "-" + strconv.FormatUint(s.Position, 10)
}

// one tells each URL of an ask all that it can be told now.
func (t *teller) one(ctx context.Context, c call) error {
	var faults []error
	for n := range MaxCallbacks {
		for again := true; again; {
			var err error
			if again, err = t.step(ctx, c, n); err != nil {
				faults = append(faults, fmt.Errorf("tell of a request: %w", err))
				break
			}
		}
	}
	return errors.Join(faults...)
}

// step tells a URL the next step, and says whether another may follow now.
func (t *teller) step(ctx context.Context, c call, n int) (again bool, err error) {
	r, a, err := t.findAsk(c.tenant, c.ref)
	if err != nil || n >= len(a.done) {
		return false, err
	}
	s, more, found := r.next(&a, n)
	id := messageID(&a, n, s)
	if !found || t.resting(id) {
		return false, nil
	}
	answer, err := t.call(ctx, &r, &a, n, s, id)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, errNoAnswer):
		answer = t.final(s, more)
	}
	if answer == "" {
		t.rest(id)
		return false, unlessSilent(err)
	}
	return true, t.conclude(ctx, &r, &a, n, s, answer)
}

// errNoAnswer says that a URL was called, and did not answer as it should.
var errNoAnswer = errors.New("no answer")

// unlessSilent is err where it is a fault of ours.
func unlessSilent(err error) error {
	if errors.Is(err, errNoAnswer) {
		return nil
	}
	return err
}

// call makes one attempt, and says what it came to: nothing, and an error, where it
// is to be tried again.
func (t *teller) call(ctx context.Context, r *Request, a *Asked, n int, s Step, id string) (string, error) {
	target, err := t.target(ctx, r, a)
	if errors.Is(err, errGone) || err == nil && n >= len(target.URLs) {
		return answerGone, nil
	}
	if err != nil {
		return "", err
	}
	m, err := t.cfg.Telling.Message(r, s, target.ID, target.URLs[n])
	if err != nil {
		return "", err
	}
	m.ID, m.URL = id, target.URLs[n]
	got, err := t.cfg.Telling.Posts.Send(ctx, m)
	switch {
	case errors.Is(err, callback.ErrForbidden), errors.Is(err, callback.ErrInvalid):
		return answerForbidden, nil
	case err != nil:
		return "", errNoAnswer // the cause may name the host, which is theirs
	case got.Verdict() == callback.Again:
		return "", errNoAnswer
	default:
		return string(got.Verdict()), nil
	}
}

// final is what a step that was not answered came to: nothing where it is tried
// again.
func (t *teller) final(s Step, more bool) string {
	switch {
	case more:
		return answerOvertaken
	case t.cfg.Now().Sub(s.At) > t.cfg.Telling.For:
		return answerGivenUp
	default:
		return ""
	}
}

// rest puts off the next attempt.
func (t *teller) rest(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tried := t.tries[id]
	tried.failed++
	tried.next = t.cfg.Now().Add(callback.Backoff(tried.failed, t.cfg.Telling.Retry, t.cfg.Telling.Most))
	t.tries[id] = tried
}

// conclude records what telling a URL came to. Where it was the last, the key of
// what a was told by goes first: a record that says so then has nothing behind it.
func (t *teller) conclude(ctx context.Context, r *Request, a *Asked, n int, s Step, answer string) error {
	a.done[n] = s.Position
	if r.finished(a) {
		if err := t.dropTarget(ctx, r, a); err != nil {
			return err
		}
	}
	id, err := newID()
	if err != nil {
		return err
	}
	ev := t.event(events.RequestReported, id, r.Tenant, events.Data{Actor: Worker, Attributes: map[string]string{
		attrRequest: r.ID, attrAsk: a.Ref.String(), attrCallback: strconv.Itoa(n), attrStep: strconv.FormatUint(s.Position, 10), attrAnswer: answer,
	}})
	if err := t.publish(ctx, ev); err != nil {
		return err
	}
	_, err = t.logged(ctx, ev)
	return err
}
