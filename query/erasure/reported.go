package erasure

import (
	"slices"
	"strconv"

	"github.com/rescindhq/rescind/events"
)

// isReport reports whether the record says what telling whoever asked came to.
func isReport(record *events.Record) bool {
	return record.Type == events.RequestReported && record.Attributes[attrAsk] != ""
}

// reported folds that one URL needs a step, and those before, no more.
func (b *book) reported(r *Request, record *events.Record) {
	ref, err := events.ParseRef(record.Attributes[attrAsk])
	a := r.asking(ref)
	n, errN := strconv.Atoi(record.Attributes[attrCallback])
	step, errStep := strconv.ParseUint(record.Attributes[attrStep], 10, 64)
	if err != nil || errN != nil || errStep != nil || a == nil || n < 0 || n >= len(a.done) {
		return
	}
	a.done[n] = max(a.done[n], step)
	if !slices.ContainsFunc(r.Asks, func(a Asked) bool { return !r.finished(&a) }) {
		delete(b.called, r)
	}
}

// steps is those of r that whoever asked a is told of: each that led to another
// state or deadline, from when they asked until they took it back.
func (r *Request) steps(a *Asked) (out []Step) {
	for i, h := range r.History {
		if h.Position <= a.position || i == 0 || a.Withdrawn && h.Position > a.ended {
			continue
		}
		if a.Withdrawn && h.Position == a.ended {
			h.State = Cancelled // for them
		}
		if h.State != r.History[i-1].State || h.What == StepExtended || h.sooner {
			out = append(out, h)
		}
	}
	return out
}

// finished reports whether there is nothing to tell of a, now or later.
func (r *Request) finished(a *Asked) bool {
	steps := r.steps(a)
	if !r.ended() && !a.Withdrawn || len(steps) == 0 {
		return a.Callbacks == 0
	}
	last := steps[len(steps)-1].Position
	return !slices.ContainsFunc(a.done, func(done uint64) bool { return done < last })
}

// next is what the nth URL of a is told next, and whether more comes after it.
func (r *Request) next(a *Asked, n int) (s Step, more, found bool) {
	steps := r.steps(a)
	i := slices.IndexFunc(steps, func(s Step) bool { return s.Position > a.done[n] })
	if i < 0 {
		return Step{}, false, false
	}
	return steps[i], i < len(steps)-1, true
}
