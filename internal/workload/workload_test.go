package workload_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/workload"
)

func TestSameSeedSameEvents(t *testing.T) {
	t.Parallel()
	cfg := workload.Config{Seed: 7, Start: time.Unix(1_700_000_000, 0)}
	if d := cmp.Diff(workload.New(cfg).Batch(200), workload.New(cfg).Batch(200)); d != "" {
		t.Fatal(d)
	}
	other := cfg
	other.Seed = 8
	if cmp.Equal(workload.New(cfg).Batch(5), workload.New(other).Batch(5)) {
		t.Fatal("another seed gave the same events")
	}
}

func TestEventsAreValid(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, ev := range workload.New(workload.Config{}).Batch(5000) {
		if r := (events.Policy{Environment: "dev", RequireEnvironment: true}).Validate(&ev, time.Now()); r != nil {
			t.Fatalf("%s: %v", ev.Type, r)
		}
		if seen[ev.ID] {
			t.Fatalf("id %s twice", ev.ID)
		}
		seen[ev.ID] = true
	}
}
