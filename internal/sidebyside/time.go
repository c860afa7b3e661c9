package sidebyside

import (
	"slices"
	"syscall"
	"time"
)

// Timing is how long one call took, in ns: in the run that took least, and in
// the one in the middle.
type Timing struct{ Least, Median float64 }

// Time calls each function with i from 0 to rounds*calls, in runs of so many
// calls that take turns.
func Time(rounds, calls int, functions ...func(i int)) []Timing {
	runs := make([][]float64, len(functions))
	for round := range rounds {
		for k, f := range functions {
			began := time.Now()
			for i := round * calls; i < (round+1)*calls; i++ {
				f(i)
			}
			runs[k] = append(runs[k], float64(time.Since(began))/float64(calls))
		}
	}
	out := make([]Timing, len(functions))
	for k := range runs {
		slices.Sort(runs[k])
		out[k] = Timing{runs[k][0], runs[k][rounds/2]}
	}
	return out
}

// CPU is how much processor time f took, in this process.
func CPU(f func()) time.Duration {
	before := used()
	f()
	return used() - before
}

func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // the arguments are constant
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
