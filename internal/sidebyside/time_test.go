package sidebyside_test

import (
	"slices"
	"testing"
	"time"

	"github.com/rescindhq/rescind/internal/sidebyside"
)

func TestFunctionsTakeTurns(t *testing.T) {
	t.Parallel()
	var calls []string
	var seen [2][]int
	times := sidebyside.Time(2, 2,
		func(i int) { calls, seen[0] = append(calls, "a"), append(seen[0], i) },
		func(i int) { calls, seen[1] = append(calls, "b"), append(seen[1], i) })
	if !slices.Equal(calls, []string{"a", "a", "b", "b", "a", "a", "b", "b"}) || !slices.Equal(seen[0], []int{0, 1, 2, 3}) || !slices.Equal(seen[1], seen[0]) {
		t.Errorf("%v, %v", calls, seen)
	}
	for _, one := range times {
		if one.Least < 0 || one.Median < one.Least {
			t.Errorf("%+v", one)
		}
	}
}

func TestCPUIsWhatWasUsed(t *testing.T) {
	t.Parallel()
	if took := sidebyside.CPU(func() {
		for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
		}
	}); took <= 0 {
		t.Errorf("took %s", took)
	}
}
