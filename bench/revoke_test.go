package bench

import (
	"strings"
	"testing"
	"time"
)

// TestRevokeMeasuresEveryRow runs everything, small. No other test runs beside
// it: memory is how much the heap has grown.
func TestRevokeMeasuresEveryRow(t *testing.T) {
	report, err := Revoke(t.Context(), RevokeConfig{Dir: t.TempDir(), Revocations: 3, Verifiers: 3, Rate: 100, Entries: 2000, Bulk: 1500, Calls: 100, Reading: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	floors := map[string]bool{"revoke/propagate": true, "revoke/propagate_from_ack": true, "revoke/position_from_ack": true,
		"fanout/from_ack": false, "fanout/worst_verifier_p99": false, "fanout/rate": false,
		"bulk/durable_1500": false, "bulk/refused_1500": false, "bulk/rate": false,
		"set/memory": false, "set/check hit": true, "set/check miss": true, "set/decide": true, "set/decide only tokens revoked": true,
		"set/decide one of each other scope revoked": true,
		"set/readers_p99.9":                          true, "set/readers_applied": false,
		"cold/start_2000": false, "cold/snapshot": false}
	for _, r := range report.Results {
		floor, known := floors[r.Name]
		if !known || floor != (r.Floor > 0 && r.FloorName != "") || r.Value <= 0 || r.N < 1 || strings.TrimSpace(r.Unit) == "" {
			t.Errorf("got %+v", r)
		}
		delete(floors, r.Name)
	}
	for name := range floors {
		t.Errorf("%s is missing", name)
	}
}

func TestFaultsOfRevokeAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []RevokeConfig{{Profiles: []string{"no-such"}}, {Revocations: -1}, {Verifiers: -1}, {Rate: -1}, {Entries: -1}, {Bulk: -1}, {Calls: -1}, {Reading: -1}} {
		if _, err := Revoke(t.Context(), c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}
