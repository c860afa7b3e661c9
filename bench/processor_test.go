package bench

import (
	"testing"
	"time"
)

func TestSpentIsUserAndSystemTime(t *testing.T) {
	t.Parallel()
	for stat, want := range map[string]time.Duration{
		"12 (exe) S 1 12 12 0 -1 4194304 900 0 3 0 250 50 7 8 20 0 9": 3 * time.Second,
		"12 (a ) b) S 1 12 12 0 -1 4194304 900 0 3 0 1 2 7 8 20 0 9":  30 * time.Millisecond,
		"":                0,
		"12 (exe) S 1 12": 0,
	} {
		if got := spent([]byte(stat)); got != want {
			t.Errorf("%q: %s, want %s", stat, got, want)
		}
	}
}
