package main

import (
	"slices"
	"time"
)

// turn is one of several functions that are timed beside each other.
type turn struct {
	calls int // in one run
	call  func(i int) error
}

// inTurns runs each function so many times, in turns, so that what slows the
// machine down slows all of them down. It returns ns a call, of each run. i goes
// on from run to run.
func inTurns(rounds int, turns []turn) ([][]float64, error) {
	out := make([][]float64, len(turns))
	for round := range rounds {
		for k, t := range turns {
			began := time.Now()
			for i := round * t.calls; i < (round+1)*t.calls; i++ {
				if err := t.call(i); err != nil {
					return nil, err
				}
			}
			out[k] = append(out[k], float64(time.Since(began))/float64(t.calls))
		}
	}
	return out, nil
}

// each is like inTurns, but times every call by itself.
func each(rounds int, turns []turn) ([][]float64, error) {
	out := make([][]float64, len(turns))
	for k, t := range turns {
		turns[k].call = func(i int) error {
			began := time.Now()
			err := t.call(i)
			out[k] = append(out[k], float64(time.Since(began)))
			return err
		}
	}
	_, err := inTurns(rounds, turns)
	return out, err
}

// spread is the median of several figures, and how far they are apart.
type spread struct {
	Value    float64 `json:"value"`
	Least    float64 `json:"least"`
	Greatest float64 `json:"greatest"`
	P99      float64 `json:"p99"`
	N        int     `json:"n"`
}

func spreadOf(figures []float64) spread {
	m := latencies(slices.Clone(figures))
	return spread{Value: m.Value, P99: m.P99, Least: slices.Min(figures), Greatest: slices.Max(figures), N: m.N}
}

// one is a figure that there is once.
func one(value float64, n int) spread {
	return spread{Value: value, Least: value, Greatest: value, P99: value, N: n}
}
