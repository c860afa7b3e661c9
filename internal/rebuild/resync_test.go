package rebuild_test

import (
	"testing"
	"time"

	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/rebuild"
	"github.com/rescindhq/rescind/projector/audit"
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

// TestAProjectorThatComesBack has one insert into the old tables after the new
// ones have all that was logged: they are put in place only when they have that,
// too.
func TestAProjectorThatComesBack(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.publish(1, 100)
	b.clean()
	fenced := 0
	built, err := b.tables(t.Context(), func(c *rebuild.TablesConfig) {
		c.Progress = func(step string) {
			switch step {
			case "fence the projector":
				fenced++
			case "give up the fence of the new tables":
				if fenced == 1 {
					b.goesOn()
				}
			case "put the new tables in place":
				if was, is := b.count("rescind"), b.count("rescind_rebuild"); is < was || was < 150 {
					t.Errorf("readers saw %d events and will see %d", was, is)
				}
			}
		}
	})
	if err != nil || built.Records < 150 || fenced != 2 {
		t.Errorf("%+v after %d fences: %v", built, fenced, err)
	}
	b.clean()
}

// goesOn has the projector take the fence of the tables that are there, as one
// that is started does, and insert what is published then.
func (b *bench) goesOn() {
	b.t.Helper()
	cfg := audit.Config{Conn: b.db}
	if err := audit.Release(b.t.Context(), cfg); err != nil {
		b.t.Error(err)
	}
	b.publish(2, 50)
	devtest.Arrives(b.t, "50 more events", func() (uint64, bool, error) { n := b.count("rescind"); return n, n >= 150, nil })
}

func (b *bench) count(database string) (n uint64) {
	b.t.Helper()
	if err := b.db.QueryRow(b.t.Context(), "SELECT count() FROM "+database+".events").Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}
