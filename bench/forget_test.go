package bench

import (
	"strings"
	"testing"
)

// TestForgetMeasuresEveryRow runs everything, small. No other test runs beside it:
// memory is how much the heap has grown.
func TestForgetMeasuresEveryRow(t *testing.T) {
	report, err := Forget(t.Context(), ForgetConfig{Dir: t.TempDir(), Events: []int{1, 20}, Runs: 1, People: 2000, Candidates: 1000, Known: 10, Calls: 20})
	if err != nil {
		t.Fatal(err)
	}
	floors := map[string]bool{
		"dictionary/bytes": false, "dictionary/rate": false, "dictionary/matches": false,
		"forget/unreadable_1": true, "forget/completed_1": false, "forget/unreadable_20": true, "forget/completed_20": false,
		"keyring/rate": false, "keyring/disk": false, "keyring/memory_nats": false, "keyring/memory_cached": false,
		"sealing/rate": true, "sealing/bytes": false,
	}
	for _, r := range report.Results {
		floor, known := floors[r.Name]
		small := r.Name == "dictionary/matches" || strings.HasPrefix(r.Name, "keyring/memory") // of so few it is lost in the rest
		if !known || floor != (r.Floor > 0 && r.FloorName != "") || r.Value <= 0 && !small || r.N < 1 || strings.TrimSpace(r.Unit) == "" {
			t.Errorf("got %+v", r)
		}
		delete(floors, r.Name)
	}
	for name := range floors {
		t.Errorf("%s is missing", name)
	}
}

func TestFaultsOfForgetAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []ForgetConfig{
		{Profiles: []string{"no-such"}}, {Events: []int{0}}, {Runs: -1}, {People: -1}, {Candidates: -1}, {Known: -1}, {Calls: -1}, {Known: 10, Candidates: 9},
	} {
		if _, err := Forget(t.Context(), c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}
