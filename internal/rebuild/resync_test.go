package rebuild_test

import (
	"testing"
	"time"
)

// resyncWithin is how soon a projector goes on in the new tables. It looks
// every second.
const resyncWithin = 8 * time.Second

// TestProjectorGoesOn: a projector at work is in the new tables soon after they
// are in their place, and does not wait for the one that made them.
func TestProjectorGoesOn(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.publish(1, 100)
	b.clean()
	if _, err := b.tables(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	b.publish(2, 10)
	began := time.Now()
	r := b.clean()[0]
	took := time.Since(began)
	t.Logf("%d records are in the new tables after %s", r.ClickHouse.Events, took.Round(time.Millisecond))
	if took > resyncWithin {
		t.Errorf("the projector went on only after %s", took)
	}
}
