package crash_test

import (
	"testing"
	"time"

	"github.com/rescindhq/rescind/internal/crash"
)

// TestWires disturbs the network between the roles and publishers and NATS, and
// between the roles and ClickHouse, under load. After each disturbance
// everything goes on.
func TestWires(t *testing.T) {
	t.Parallel()
	s := crash.NewSite(t, crash.Options{Wires: true})
	l := crash.StartLoad(s, 1)
	s.Await("records", s.Records(5))
	for _, disturb := range []struct {
		name string
		do   func(*crash.Wire)
	}{
		{"cut", func(w *crash.Wire) { repeat(t, 6, 150*time.Millisecond, w.Cut) }},
		{"half closed", func(w *crash.Wire) { repeat(t, 6, 150*time.Millisecond, w.HalfClose) }},
		{"slow", func(w *crash.Wire) {
			w.Delay(150 * time.Millisecond)
			repeat(t, 2, time.Second, func() {})
			w.Delay(0)
		}},
		{"down", func(w *crash.Wire) {
			w.Down()
			repeat(t, 2, time.Second, func() {})
			w.Up()
		}},
	} {
		for server, w := range map[string]*crash.Wire{"nats": s.NATSWire, "clickhouse": s.ClickHouseWire} {
			disturb.do(w)
			s.Await("events after "+server+" was "+disturb.name, l.More(100))
			s.Await("records after "+server+" was "+disturb.name, s.Records(2))
		}
	}
	s.Verify(l)
	s.Sound()
}

// repeat does something every so often.
func repeat(t *testing.T, times int, every time.Duration, do func()) {
	t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range times {
		do()
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}
