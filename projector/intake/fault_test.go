package intake

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

// fault is what a faulty log does with one append.
type fault int

const (
	pass      fault = iota
	fail            // it does not reach the log, and fails
	applied         // it takes effect, and fails
	late            // it fails, and takes effect once the writer has looked
	fenced          // it takes effect, and claims that another was there
	die             // it takes effect, and never answers
	dieUnsent       // it never reaches the log, and never answers
)

var errFault = errors.New("fault made on purpose")

// faultyLog is the real log with appends that fail on purpose.
type faultyLog struct {
	*stream.Log
	judge func(n int) fault // of the n-th append, from 1
	dead  chan struct{}     // closed when an append does not answer

	mu      sync.Mutex
	n       int
	delayed func()
}

func newFaultyLog(l *stream.Log, judge func(n int) fault) *faultyLog {
	return &faultyLog{Log: l, judge: judge, dead: make(chan struct{})}
}

func (l *faultyLog) Append(ctx context.Context, lane events.Lane, data []byte, expectLast uint64) (uint64, error) {
	l.mu.Lock()
	l.n++
	verdict := l.judge(l.n)
	l.mu.Unlock()
	apply := func() (uint64, error) { return l.Log.Append(ctx, lane, data, expectLast) }
	switch verdict {
	case pass:
		return apply()
	case late:
		l.mu.Lock()
		l.delayed = func() { _, _ = apply() }
		l.mu.Unlock()
		return 0, errFault
	case applied, fenced, die:
		if _, err := apply(); err != nil {
			return 0, err
		}
	}
	switch verdict {
	case fenced:
		return 0, fmt.Errorf("answer to an earlier attempt: %w", stream.ErrFenced)
	case die, dieUnsent:
		close(l.dead)
		<-ctx.Done()
	}
	return 0, errFault
}

func (l *faultyLog) Last(ctx context.Context) (stream.LogMessage, error) {
	m, err := l.Log.Last(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.delayed != nil {
		l.delayed()
		l.delayed = nil
	}
	return m, err
}

func onLog(judge func(n int) fault) func(*Config) {
	return func(c *Config) { c.Log = newFaultyLog(c.Log.(*stream.Log), judge) }
}

// TestAppendOfUnknownOutcome fails appends in every way and reads back what
// came of it, from the same writer and from the one after it.
func TestAppendOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{"failed": fail, "failed but applied": applied, "applied late": late, "fenced by itself": fenced} {
		for what, judge := range map[string]func(n int) fault{
			"first":       func(n int) fault { return map[bool]fault{true: f}[n == 1] },
			"later":       func(n int) fault { return map[bool]fault{true: f}[n == 3] },
			"every other": func(n int) fault { return map[bool]fault{true: f}[n%2 == 1] },
			"many":        func(n int) fault { return map[bool]fault{true: f}[n <= 4] },
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				in := r.start(onLog(judge))
				for i := range 4 {
					evs := issuedMany(fmt.Sprintf("batch%d", i), 30)
					r.publishBatch(evs...)
					r.publish(revoked(evs[0].ID))
					r.until("they are logged", func() bool { return in.Stats().Size >= uint64(31*(i+1)) })
				}
				r.drained()
				if got := len(r.facts()); got != 4*31 {
					t.Errorf("%d facts, want %d", got, 4*31)
				}
				if s := in.Stats(); s.Unsettled == 0 || s.Duplicates != 0 || s.Size != uint64(len(r.records())) {
					t.Errorf("%+v", s)
				}
				in.stop()
				again := r.start()
				r.publish(issued("after"))
				r.drained()
				if got := len(r.facts()); got != 4*31+1 {
					t.Errorf("%d facts after another start, want %d", got, 4*31+1)
				}
				if s := again.Stats(); s.Epoch <= in.Stats().Epoch {
					t.Errorf("epoch %d after %d", s.Epoch, in.Stats().Epoch)
				}
			})
		}
	}
}

// TestKilled stops an intake for good at an append, before or after it took
// effect, and lets another one take over.
func TestKilled(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{"before the append": dieUnsent, "between append and acknowledgement": die} {
		for at := 1; at <= 3; at++ {
			t.Run(fmt.Sprintf("%s %d", name, at), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				l := newFaultyLog(r.log, func(n int) fault { return map[bool]fault{true: f}[n == at] })
				r.publish(revoked("x"))
				r.publishBatch(issuedMany("big", 1100)...) // two batches
				victim := r.start(func(c *Config) { c.Log, c.Grace = l, time.Millisecond })
				<-l.dead
				victim.stop()

				r.start()
				r.publish(issued("after"))
				r.drained()
				if got := len(r.facts()); got != 1102 {
					t.Errorf("%d facts, want 1102", got)
				}
			})
		}
	}
}

// TestKilledWriterIsHarmless lets a writer go on, with what it had in hand,
// after another has taken its place: it is fenced, stands by, and writes again
// when the other is gone.
func TestKilledWriterIsHarmless(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(issued("first"))
	gate := &gatedLog{Log: r.log, at: 2, waiting: make(chan struct{}), open: make(chan struct{})}
	old := r.start(func(c *Config) { c.Log = gate })
	r.drained()
	r.publish(issued("second"))
	<-gate.waiting

	young := r.start()
	r.publish(issued("third"))
	r.until("the new writer has written", func() bool { return young.Stats().Records >= 1 })
	young.stop()
	close(gate.open)
	r.until("the old one was fenced", func() bool { return old.Stats().Terms >= 2 })
	r.publish(issued("fourth"))
	r.drained()
	if got := len(r.facts()); got != 4 {
		t.Errorf("%d facts, want 4", got)
	}
}

// gatedLog holds one append back until it is let go.
type gatedLog struct {
	*stream.Log
	at, n         int
	waiting, open chan struct{}
}

func (l *gatedLog) Append(ctx context.Context, lane events.Lane, data []byte, expectLast uint64) (uint64, error) {
	if l.n++; l.n == l.at {
		close(l.waiting)
		<-l.open
	}
	return l.Log.Append(ctx, lane, data, expectLast)
}

// TestTwoWritersNeverInterleave lets two that know nothing of each other, and
// that no lock keeps apart, write for a while. Each fences the other.
func TestTwoWritersNeverInterleave(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const n = 600
	ins := []*running{r.start(), r.start()}
	for _, in := range ins {
		<-in.Ready()
	}
	for i := range n {
		r.publish(issued(fmt.Sprint("e", i)))
	}
	r.until("one writer is fenced", func() bool { return ins[0].Stats().Terms+ins[1].Stats().Terms > 2 })
	ins[0].stop()
	r.drained()
	if got := len(r.facts()); got != n {
		t.Errorf("%d facts, want %d", got, n)
	}
}

// TestNewcomerReadsAgain appends in the name of an earlier writer after the
// newcomer has read the log: the newcomer goes on behind it.
func TestNewcomerReadsAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.start()
	r.publish(issued("first"))
	r.drained()
	first.stop()

	gate := &gatedLog{Log: r.log, at: 1, waiting: make(chan struct{}), open: make(chan struct{})}
	newcomer := r.start(func(c *Config) { c.Log = gate })
	r.publish(issued("second"))
	<-gate.waiting
	r.publish(issued("third"))
	straggler := r.start()
	r.until("the straggler has written", func() bool { return straggler.Stats().Records >= 1 })
	straggler.stop()
	close(gate.open)
	r.publish(issued("fourth"))
	r.drained()
	if got := len(r.facts()); got != 4 {
		t.Errorf("%d facts, want 4", got)
	}
	if err := newcomer.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("the newcomer stopped with %v", err)
	}
}

func TestWhatIsInHandIsFinished(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gate := &gatedLog{Log: r.log, at: 1, waiting: make(chan struct{}), open: make(chan struct{})}
	in := r.start(func(c *Config) { c.Log = gate })
	r.publish(revoked("x"), issued("e"))
	<-gate.waiting
	in.cancel()
	close(gate.open)
	if err := in.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped with %v", err)
	}
	facts := r.facts()
	if len(facts) == 0 {
		t.Fatal("nothing was written")
	}
	next := r.start()
	r.drained()
	if got := next.Stats().Messages; got != uint64(2-len(facts)) {
		t.Errorf("%d messages are delivered again, of which %d were written", got, len(facts))
	}
}

// TestRepeatWaitsForWhatItRepeats has each message delivered twice at once, and
// the writer killed before it appends: the second is not to be acknowledged
// because the first is about to be logged.
func TestRepeatWaitsForWhatItRepeats(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := newFaultyLog(r.log, func(int) fault { return dieUnsent })
	in := r.start(func(c *Config) { c.Log, c.Grace = l, 50*time.Millisecond }, onSource(func(s Source) Source { return twice{s} }))
	r.publish(issued("e"))
	<-l.dead
	in.cancel()
	in.wait()
	r.start()
	r.until("the event is logged", func() bool { return len(r.facts()) == 1 })
}

// twice delivers each message twice.
type twice struct{ Source }

func (t twice) Next(ctx context.Context, lane events.Lane, maxBytes int) ([]stream.IntakeMessage, error) {
	out, err := t.Source.Next(ctx, lane, maxBytes)
	return append(out, out...), err
}

func TestGraceEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := newFaultyLog(r.log, func(int) fault { return dieUnsent })
	in := r.start(func(c *Config) { c.Log, c.Grace = l, 50*time.Millisecond })
	r.publish(issued("e"))
	<-l.dead
	in.cancel()
	if err := in.wait(); err == nil {
		t.Error("stopped without an error")
	}
	if r.waiting() != 1 {
		t.Error("the message was acknowledged")
	}
}
