package intake

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/projector/controls"
	"github.com/rescindhq/rescind/projector/ledger"
)

// writer is one stay at the end of the log. All of it belongs to the goroutine
// of Run. Its state is that of the log up to seq, and of the batch that is being
// made: a writer that is fenced is thrown away.
type writer struct {
	in  *Intake
	cfg *Config

	epoch   uint64
	seq     uint64 // of the last message of the log
	written uint64 // batches appended by this writer

	tree     *ledger.Tree
	window   *window
	covered  covered
	controls *controls.Engine
}

// run takes messages while ctx lives, and deals with what it took while work
// does.
func (w *writer) run(ctx, work context.Context) error {
	for failures := 0; ; {
		if err := w.deal(work); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return stopped(ctx)
		}
		messages, err := w.cfg.Source.Next(ctx, maxFetch)
		if err == nil {
			failures = 0
			w.in.hand = messages
			w.count(func(s *Stats) { s.Messages += uint64(len(messages)) })
			continue
		}
		if ctx.Err() == nil {
			w.cfg.Logger.Warn("cannot take messages", "stream", stream.IntakeStream, "err", err)
		}
		if pause(ctx, failures) != nil {
			return stopped(ctx)
		}
		failures++
	}
}

// arrival is one message in hand.
type arrival struct {
	*stream.IntakeMessage
	waiting int  // events of it that are neither in the log nor in quarantine
	held    bool // an event of it cannot be dealt with now: it is to come again
	done    bool // it was acknowledged, or counted as held
}

// chunkBytes bounds what is decoded at once.
const chunkBytes = 2 << 20

// deal deals with what is in hand, control first, and empties it. An error
// means that this writer must not go on.
func (w *writer) deal(ctx context.Context) error {
	for _, lane := range []events.Lane{events.Control, events.Access} {
		var chunk []*arrival
		size := 0
		for i := range w.in.hand {
			m := &w.in.hand[i]
			if m.Message.Type.Lane() != lane {
				continue
			}
			if size += len(m.Message.Body); size > chunkBytes && len(chunk) > 0 {
				if err := w.dealWith(ctx, lane, chunk); err != nil {
					return err
				}
				chunk, size = nil, len(m.Message.Body)
			}
			chunk = append(chunk, &arrival{IntakeMessage: m})
		}
		if err := w.dealWith(ctx, lane, chunk); err != nil {
			return err
		}
	}
	w.in.hand = nil
	return nil
}

// dealWith takes messages of one lane through all steps.
func (w *writer) dealWith(ctx context.Context, lane events.Lane, arrivals []*arrival) error {
	arrivals = w.skipCovered(arrivals)
	if len(arrivals) == 0 {
		return nil
	}
	received := w.cfg.Now()
	candidates := w.decode(arrivals, received)
	w.identify(ctx, candidates)
	w.compare(candidates)
	w.seal(ctx, candidates, received)
	w.refuse(ctx, candidates, received)
	if err := w.write(ctx, lane, candidates, received); err != nil {
		return err
	}
	for _, a := range arrivals {
		w.settled(a)
		w.acknowledge(a)
	}
	return nil
}

// skipCovered acknowledges the messages that were dealt with before, and is
// the others.
func (w *writer) skipCovered(arrivals []*arrival) []*arrival {
	rest := arrivals[:0]
	for _, a := range arrivals {
		if !w.covered.has(a.Seq, a.Received) {
			rest = append(rest, a)
			continue
		}
		w.count(func(s *Stats) { s.Skipped++ })
		w.acknowledge(a)
	}
	return rest
}

// settled notes that nothing of a waits any more, if that is so.
func (w *writer) settled(a *arrival) bool {
	if a.waiting > 0 || a.held {
		return false
	}
	w.covered.add(a.Seq, a.Received)
	return true
}

// acknowledge acknowledges a, once, if nothing of it waits. A message that is
// held is left alone.
func (w *writer) acknowledge(a *arrival) {
	switch {
	case a.done:
	case a.held:
		a.done = true
		w.count(func(s *Stats) { s.Held++ })
	case a.waiting == 0:
		a.done = true
		if err := a.Ack(); err != nil { // it is delivered again and skipped
			w.count(func(s *Stats) { s.Acks++ })
			w.cfg.Logger.Debug("cannot acknowledge", "stream", stream.IntakeStream, "seq", a.Seq, "err", err)
		}
	}
}

func (w *writer) count(change func(*Stats)) { w.in.stats.count(change) }

// attempt runs one step on one event and reports whether it came to its end. A
// panic is a fault of ours, of which only this event shall suffer. What the
// panic says is not logged: it may quote the event.
func (w *writer) attempt(step string, do func()) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			w.cfg.Logger.Error("defect", "step", step, "kind", fmt.Sprintf("%T", v), "trace", string(debug.Stack()))
		}
	}()
	do()
	return true
}

// lag is how long the oldest of the messages has waited.
func lag(now time.Time, groups []*group) time.Duration {
	var longest time.Duration
	for _, g := range groups {
		longest = max(longest, now.Sub(g.from.Received))
	}
	return longest
}
