package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// TestEveryDenylistIsMeasured runs the whole comparison on few tokens; it fails
// where one that is exact errs.
func TestEveryDenylistIsMeasured(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	args := []string{"--what", "revocation", "--keys", "3000", "--crowd", "2000", "--rounds", "3", "--revocations", "20", "--json"}
	if err := run(t.Context(), args, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	var lines []line
	if err := json.Unmarshal(out.Bytes(), &lines); err != nil {
		t.Fatal(err)
	}
	sides, all := 0, 0
	for _, l := range lines {
		sides += len(l.Sides)
		if len(l.Sides) == len(columnNames) {
			all++
		}
		for name, s := range l.Sides {
			if s.N < 1 || s.Least > s.Value || s.Value > s.Greatest || l.Unit == "ns" && s.Value <= 0 {
				t.Errorf("%s, %s: %+v", l.Figure, name, s)
			}
		}
	}
	if len(lines) != 15 || all != 10 || sides != 48 {
		t.Errorf("%d lines, %d of them with everybody, %d figures", len(lines), all, sides)
	}
}

func TestArgumentsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"--what else", "--events 0", "--what revocation --keys 0", "--what revocation --crowd 0", "--what revocation --rounds 0", "--what revocation --revocations 0"} {
		if err := run(t.Context(), strings.Fields(args), t.Output(), t.Output()); err == nil {
			t.Errorf("%s was accepted", args)
		}
	}
}

// memoryList is a denylist that errs as it is told to.
type memoryList struct {
	mu      sync.Mutex
	revoked map[string]bool
	forgets int              // each so manieth revocation; 0: none
	refuses func(n int) bool // the n-th check, whatever it is of
	checks  int
}

func (l *memoryList) revoke(_ context.Context, first, last int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := first; i < last; i++ {
		l.revoked[nameOf(i)] = l.forgets == 0 || i%l.forgets != 0
	}
	return nil
}

func (l *memoryList) check(_ context.Context, p *probe) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checks++
	return l.revoked[p.name] || l.refuses != nil && l.refuses(l.checks), nil
}

func (l *memoryList) decide(ctx context.Context, p *probe) (bool, error) { return l.check(ctx, p) }
func (l *memoryList) memory(context.Context) (float64, error)            { return 0, nil }
func (l *memoryList) close()                                             {}

// peerOf makes lists that err alike.
func peerOf(name string, forgets int, refuses func(int) bool) peer {
	return peer{name, 1, func(context.Context, int) (denylist, error) {
		return &memoryList{revoked: make(map[string]bool), forgets: forgets, refuses: refuses}, nil
	}}
}

func TestMistakesAreCounted(t *testing.T) {
	t.Parallel()
	const n = 2500 // not a multiple of a chunk
	third := func(n int) bool { return n%3 == 0 }
	for _, c := range []struct {
		name    string
		forgets int
		refuses func(int) bool
		want    []float64
	}{
		{"exact", 0, nil, []float64{0, 0, 0, 0}},
		{"forgetful", 10, nil, []float64{250, 4 * 63, 0, 0}}, // four readers, each of 626 probes
		{"suspicious", 0, third, []float64{0, 0, n / 3, n / 3}},
	} {
		lines, err := compareErrors(t.Context(), revocationConfig{crowd: n, progress: t.Logf}, newTokens(), []peer{peerOf(nameBloom, c.forgets, c.refuses)})
		if err != nil {
			t.Fatal(err)
		}
		var got []float64
		for _, l := range lines {
			got = append(got, l.Sides[nameBloom].Value)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestOneThatIsExactMayNotErr(t *testing.T) {
	t.Parallel()
	cfg := revocationConfig{crowd: 2500, progress: t.Logf}
	for _, name := range []string{nameSet, nameRedis, nameLocal} {
		if _, err := compareErrors(t.Context(), cfg, newTokens(), []peer{peerOf(name, 10, nil)}); err == nil {
			t.Errorf("%s may forget", name)
		}
	}
}

func TestProbesAreOfTheirRangeAndDiffer(t *testing.T) {
	t.Parallel()
	of := newTokens()
	seen := make(map[string]int)
	for _, p := range of.probes(100, 1100, 1000) {
		seen[p.name]++
		if p.name != "jti:"+p.claims.TokenID || p.hash.IsZero() {
			t.Errorf("%+v", p)
		}
	}
	for i := 100; i < 1100; i++ {
		if seen[nameOf(i)] != 1 {
			t.Errorf("%s is there %d times", nameOf(i), seen[nameOf(i)])
		}
	}
}

func TestFunctionsTakeTurns(t *testing.T) {
	t.Parallel()
	var calls []string
	of := func(name string) func(int) error {
		return func(i int) error { calls = append(calls, fmt.Sprint(name, i)); return nil }
	}
	turns := []turn{{2, of("a")}, {1, of("b")}}
	runs, err := inTurns(2, turns)
	if err != nil || len(runs) != 2 || len(runs[0]) != 2 || len(runs[1]) != 2 {
		t.Fatalf("%v, %v", runs, err)
	}
	if want := []string{"a0", "a1", "b0", "a2", "a3", "b1"}; !slices.Equal(calls, want) {
		t.Errorf("%v, want %v", calls, want)
	}
	singles, err := each(2, turns)
	if err != nil || len(singles[0]) != 4 || len(singles[1]) != 2 {
		t.Errorf("%v, %v", singles, err)
	}
	broken := errors.New("broken")
	if _, err := inTurns(1, []turn{{1, func(int) error { return broken }}}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// deafWay hears only some revocations, and those late.
type deafWay struct {
	hears func(i int) bool
	heard map[string]int // looks until it is refused
	sent  int
	cuts  int
}

func (w *deafWay) revoke(_ context.Context, jti string) error {
	if w.hears(w.sent) {
		w.heard[jti] = 3
	}
	w.sent++
	return nil
}

func (w *deafWay) refuses(jti string) bool {
	left, ok := w.heard[jti]
	w.heard[jti] = max(left-1, 0)
	if !ok {
		delete(w.heard, jti)
	}
	return ok && left == 0
}

func (w *deafWay) cut(context.Context) error { w.cuts++; return nil }
func (w *deafWay) close()                    {}

func TestWhatNeverArrivesIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &deafWay{hears: func(i int) bool { return i%4 != 0 }, heard: make(map[string]int)}
		missing, err := cutOff(t.Context(), w, 100)
		if err != nil || missing != 25 || w.cuts != cuts {
			t.Errorf("%d are missing after %d cuts, %v", missing, w.cuts, err)
		}
	})
}

func TestTheWayIsTimedUntilItIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &deafWay{hears: func(int) bool { return true }, heard: make(map[string]int)}
		times, err := onTheirWay(t.Context(), []way{w}, 5)
		if want := []float64{.15, .15, .15, .15, .15}; err != nil || !slices.Equal(times[0], want) {
			t.Errorf("%v ms, want %v, %v", times, want, err)
		}
		clear(w.heard)
		w.hears = func(int) bool { return false }
		if _, err := onTheirWay(t.Context(), []way{w}, 1); err == nil {
			t.Error("what did not arrive was timed")
		}
	})
}

func TestTheTableSaysWhatWasNotMeasured(t *testing.T) {
	t.Parallel()
	l := newLine("memory", "B")
	l.Sides[nameSet], l.Sides[nameRedis] = spreadOf([]float64{3, 1, 2}), one(7, 1)
	var out bytes.Buffer
	if err := sideBySide(&out, []line{l}); err != nil {
		t.Fatal(err)
	}
	_, row, _ := strings.Cut(out.String(), "\n")
	if got, want := strings.Fields(row), []string{"memory", "B", "2", "1…3", "7", "–", "–"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
