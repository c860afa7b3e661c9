package leak_test

import (
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/leak"
)

// TestJudge: a revocation at index 10, received at second 100, and a bound of
// five seconds.
func TestJudge(t *testing.T) {
	t.Parallel()
	const s = 1_000_000
	lift := &leak.Lift{Index: 20, Received: 200 * s}
	for name, c := range map[string]struct {
		time, received int64 // s
		view, index    uint64
		lift           *leak.Lift
		starts, expiry events.Timestamp // ms
		kind           leak.Kind
		after          time.Duration
	}{
		"in time":                                    {time: 99, received: 130, view: 9, index: 11},
		"at once":                                    {time: 100, received: 130, view: 9, index: 11, kind: leak.Within},
		"within":                                     {time: 105, received: 130, view: 9, index: 11, kind: leak.Within, after: 5 * time.Second},
		"late":                                       {time: 106, received: 130, view: 9, index: 11, kind: leak.Late, after: 6 * time.Second},
		"late, and says no position":                 {time: 106, received: 130, index: 11, kind: leak.Late, after: 6 * time.Second},
		"clock ahead":                                {time: 900, received: 103, view: 9, index: 11, kind: leak.Within, after: 3 * time.Second},
		"had applied it":                             {time: 101, received: 130, view: 10, index: 11, kind: leak.Ignored, after: time.Second},
		"had applied it, clock behind":               {time: 40, received: 130, view: 10, index: 11, kind: leak.Ignored, after: -time.Minute},
		"logged before it":                           {time: 106, received: 130, view: 12, index: 9},
		"lifted, had applied the lift":               {time: 110, received: 230, view: 20, index: 30, lift: lift},
		"lifted, had applied the revocation":         {time: 250, received: 250, view: 19, index: 30, lift: lift, kind: leak.Ignored, after: 150 * time.Second},
		"lifted, accepted before":                    {time: 199, received: 250, view: 9, index: 30, lift: lift, kind: leak.Late, after: 99 * time.Second},
		"lifted, accepted after":                     {time: 200, received: 250, view: 9, index: 30, lift: lift},
		"expired by then":                            {time: 300, received: 300, view: 12, index: 30, expiry: 299_001},
		"not expired yet, by whole seconds":          {time: 299, received: 300, view: 12, index: 30, expiry: 299_001, kind: leak.Ignored, after: 199 * time.Second},
		"scheduled, before":                          {time: 110, received: 130, view: 10, index: 30, starts: 111_900},
		"scheduled, after, by whole seconds":         {time: 111, received: 130, view: 10, index: 30, starts: 111_900, kind: leak.Ignored},
		"scheduled, not applied, within after start": {time: 114, received: 130, view: 9, index: 30, starts: 111_900, kind: leak.Within, after: 3 * time.Second},
	} {
		r := leak.Revoked{Index: 10, Lift: c.lift, Record: &events.Record{Received: 100 * s, Revocation: &events.Revocation{Starts: c.starts, Expires: c.expiry}}}
		a := leak.Accepted{Index: c.index, Record: &events.Record{Time: c.time * s, Received: c.received * s, View: c.view}}
		if kind, after := r.Judge(&a, 5*time.Second); kind != c.kind || after != c.after {
			t.Errorf("%s: %q after %s, want %q after %s", name, kind, after, c.kind, c.after)
		}
	}
	first := leak.Revoked{Index: 0, Record: &events.Record{Received: 100 * s, Revocation: &events.Revocation{}}}
	if kind, _ := first.Judge(&leak.Accepted{Index: 1, Record: &events.Record{Time: 99 * s, Received: 130 * s}}, time.Second); kind != "" {
		t.Errorf("a position of 0 says nothing, but was taken for one: %s", kind)
	}
}

// TestCovers: iat counts in whole seconds, and none is covered.
func TestCovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cutoff, iat events.Timestamp
		want        bool
	}{{0, 9000, true}, {5000, 5999, true}, {5999, 5000, true}, {5999, 6000, false}, {5000, 0, true}} {
		r := leak.Revoked{Record: &events.Record{Revocation: &events.Revocation{IssuedBefore: c.cutoff}}}
		if got := r.Covers(&leak.Accepted{Record: &events.Record{IssuedAt: c.iat}}); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}
