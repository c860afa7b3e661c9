package bench

import (
	"slices"
	"testing"
)

func TestQuartersOfALongRun(t *testing.T) {
	t.Parallel()
	for n, want := range map[int][2][]float64{
		1: {{1}, {1}}, 3: {{1}, {3}}, 4: {{1}, {4}}, 9: {{1, 2}, {8, 9}},
	} {
		var parts []Growth
		for i := range n {
			parts = append(parts, Growth{Rate: float64(i + 1)})
		}
		if first, last := quarters(parts); !slices.Equal(first, want[0]) || !slices.Equal(last, want[1]) {
			t.Errorf("of %d: %v and %v, want %v", n, first, last, want)
		}
	}
}
