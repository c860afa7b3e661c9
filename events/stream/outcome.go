package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/rescindhq/rescind/events"
)

// ErrUnconfirmed says that the intake did not confirm an event in time. It may
// be there all the same: publish it again under the same id, which is safe.
var ErrUnconfirmed = errors.New("not confirmed by the intake")

// ErrNotPermitted says that the server refuses this type from these
// credentials.
var ErrNotPermitted = errors.New("the credentials do not permit to publish this type")

// NotAccepted is the events that were not accepted, and why. All others of the
// call were.
type NotAccepted struct {
	Of     int // how many events the call was about
	Events []Failure
}

// Failure is one event that was not accepted: with the id, time and source that
// it was given, so that it can be published again. Err wraps a *events.Refusal
// (the event itself is at fault), ErrNotPermitted, ErrClosed, ErrUnconfirmed or
// the error of a context.
type Failure struct {
	Event events.Event
	Err   error
}

// Error names no event: its text is logged.
func (n *NotAccepted) Error() string {
	return fmt.Sprintf("%d of %d events were not accepted, the first because: %v", len(n.Events), n.Of, n.Events[0].Err)
}

// Unwrap is the reason of each failure.
func (n *NotAccepted) Unwrap() []error {
	errs := make([]error, len(n.Events))
	for i := range n.Events {
		errs[i] = n.Events[i].Err
	}
	return errs
}

// item is one event on its way.
type item struct {
	ev  *events.Event // nil where raw alone says it: many that wait are not held twice
	raw []byte        // encoded; nil before
	of  *group

	// Under the mutex of its group.
	settled bool
	err     error
}

// failure is the event, so that it can be published again, and why it was not.
func (it *item) failure(err error) Failure { return Failure{Event: it.event(), Err: err} }

func (it *item) event() events.Event {
	if it.ev != nil {
		return *it.ev
	}
	decoded, err := events.Decode(events.Message{ContentType: events.ContentTypeProtobuf, Body: it.raw})
	if err != nil {
		panic(err) // we encoded it
	}
	return decoded[0].Event
}

// weight is what it counts for in MaxPendingBytes: itself and its encoding.
func (it *item) weight() int64 { return int64(len(it.raw)) }

// unreported is how much has failed of what was queued, until a Flush reports it.
type unreported struct{ events, bytes atomic.Int64 }

func (u *unreported) add(events, bytes int64) {
	u.events.Add(events)
	u.bytes.Add(bytes)
}

// group is events whose outcomes are reported together: those of one Publish,
// or all that were queued between two flushes.
type group struct {
	kept *unreported // counts failed; nil where the caller waits for them

	mu     sync.Mutex
	total  int
	left   int
	sealed bool // nothing more will be added
	failed []*item
	done   chan struct{} // closed when sealed and nothing is left
}

func newGroup(kept *unreported) *group { return &group{kept: kept, done: make(chan struct{})} }

func (g *group) add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total += n
	g.left += n
}

// report takes the outcome that items share.
func report(items []*item, err error) {
	for len(items) > 0 {
		n, g := 1, items[0].of
		for n < len(items) && items[n].of == g {
			n++
		}
		g.settle(items[:n], err)
		items = items[n:]
	}
}

// settle takes the outcome of items, which are of g.
func (g *group) settle(items []*item, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, it := range items {
		it.settled, it.err = true, err
	}
	if err != nil {
		g.keep(items)
	}
	g.left -= len(items)
	g.closeIfDone()
}

// keep has items reported as failed.
func (g *group) keep(items []*item) {
	g.failed = append(g.failed, items...)
	if g.kept != nil {
		g.kept.add(int64(len(items)), weight(items))
	}
}

// withdraw takes back an event that was added and never sent.
func (it *item) withdraw() {
	g := it.of
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	g.left--
	g.closeIfDone()
}

func (g *group) seal() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sealed = true
	g.closeIfDone()
}

func (g *group) closeIfDone() {
	if g.sealed && g.left == 0 {
		close(g.done)
	}
}

// wait returns when every event of g has its outcome, or ctx is done.
func (g *group) wait(ctx context.Context) error {
	select {
	case <-g.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// outcome is nil, or a *NotAccepted of all groups, which are done. It is asked for
// once.
func outcome(groups ...*group) error {
	n := new(NotAccepted)
	for _, g := range groups {
		n.Of += g.total
		for _, it := range g.failed {
			n.Events = append(n.Events, it.failure(it.err))
		}
		if g.kept != nil {
			g.kept.add(-int64(len(g.failed)), -weight(g.failed))
		}
	}
	if len(n.Events) == 0 {
		return nil
	}
	return n
}

// outcomeSoFar is a *NotAccepted of items, of which those without an outcome
// count as not confirmed because of cause.
func outcomeSoFar(g *group, items []*item, cause error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := &NotAccepted{Of: len(items)}
	for _, it := range items {
		switch {
		case !it.settled:
			n.Events = append(n.Events, it.failure(fmt.Errorf("%w: %w", ErrUnconfirmed, cause)))
		case it.err != nil:
			n.Events = append(n.Events, it.failure(it.err))
		}
	}
	if len(n.Events) == 0 {
		return nil
	}
	return n
}
