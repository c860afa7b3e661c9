package intake

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
)

// errDefect says that our own code panicked.
var errDefect = errors.New("a defect of ours")

// defect logs a panic. What it says is not logged: it may quote the event.
func (in *Intake) defect(step string, v any) {
	in.stats.count(func(s *Stats) { s.Defects++ })
	in.cfg.Logger.Error("defect", "step", step, "kind", fmt.Sprintf("%T", v), "trace", string(debug.Stack()))
}

// guard does one thing, whose panic is an error that wraps errDefect.
func (in *Intake) guard(step string, do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			in.defect(step, v)
			err = fmt.Errorf("%s: %w", step, errDefect)
		}
	}()
	return do()
}

// each does one step on 0 to n-1, in no order, on as many processors as there
// are shares, and returns when all are done. Where do panics on one, failed is
// called for it, and the others go on.
func (in *Intake) each(step string, n, share int, do, failed func(i int)) {
	workers := max(1, min(runtime.GOMAXPROCS(0), n/share))
	if workers == 1 {
		in.eachOf(step, 0, n, do, failed)
		return
	}
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() { in.eachOf(step, k*n/workers, (k+1)*n/workers, do, failed) })
	}
	wg.Wait()
}

func (in *Intake) eachOf(step string, from, to int, do, failed func(i int)) {
	for from < to {
		from = in.upTo(step, from, to, do, failed)
	}
}

// upTo goes as far as it comes without a panic, and is where to go on. One
// recover is for all of them: one for each event would cost more than some steps.
func (in *Intake) upTo(step string, i, to int, do, failed func(i int)) (next int) {
	defer func() {
		if v := recover(); v != nil {
			in.defect(step, v)
			failed(i)
			next = i + 1
		}
	}()
	for ; i < to; i++ {
		do(i)
	}
	return to
}
