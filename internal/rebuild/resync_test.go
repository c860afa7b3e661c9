package rebuild_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

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
					b.goesOn(150)
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

// TestProjectorsThatKeepComingBack ends the rebuild, which puts nothing in place.
func TestProjectorsThatKeepComingBack(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.publish(1, 100)
	b.clean()
	events := uint64(100)
	_, err := b.tables(t.Context(), func(c *rebuild.TablesConfig) {
		c.Progress = func(step string) {
			if step == "give up the fence of the new tables" {
				events += 50
				b.goesOn(events)
			}
		}
	})
	if all := strings.Join(b.databases(), " "); err == nil || !strings.Contains(err.Error(), "took their fence back 5 times") || all != "rescind rescind_rebuild" {
		t.Errorf("databases %s, err %v", all, err)
	}
	if built, err := b.tables(t.Context(), nil); err != nil || built.Records < events || !built.Resumed {
		t.Errorf("run again: %+v, %v", built, err)
	}
	b.clean()
}

// goesOn has the projector take the fence of the tables that are there, as one
// that is started does, and insert what is published then: now it has as many. Of
// two who take the fence in one moment the greater name has it, and the rebuild
// keeps it by taking it again: then it is tried once more.
func (b *bench) goesOn(events uint64) {
	b.t.Helper()
	err := audit.Release(b.t.Context(), audit.Config{Conn: b.db})
	for tries := 1; err != nil && tries < 5; tries++ {
		err = audit.Release(b.t.Context(), audit.Config{Conn: b.db})
	}
	if err != nil {
		b.t.Error(err)
	}
	b.publish(events, 50)
	devtest.Arrives(b.t, "50 more events", func() (uint64, bool, error) { n := b.count("rescind"); return n, n >= events, nil })
}

func (b *bench) count(database string) (n uint64) {
	b.t.Helper()
	if err := b.db.QueryRow(b.t.Context(), "SELECT count() FROM "+database+".events").Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// TestAProjectorThatIsStartedBeforeTheRenames takes the fence of the old tables
// and inserts after it was last asked for: the new ones are put in place only when
// they have that, too.
func TestAProjectorThatIsStartedBeforeTheRenames(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.publish(1, 100)
	b.clean()
	swaps := 0
	built, err := b.tables(t.Context(), func(c *rebuild.TablesConfig) {
		c.Progress = func(step string) {
			if step == "put the new tables in place" {
				if swaps++; swaps == 1 {
					b.goesOn(150)
				}
			}
		}
	})
	if err != nil || built.Records < 150 || swaps != 2 {
		t.Errorf("%+v after %d swaps: %v", built, swaps, err)
	}
	if n := b.count(built.Kept); n < 150 {
		t.Errorf("%d events in the old tables: want that more came", n)
	}
	b.clean()
}

// TestOnlyWhatARebuildNamedIsDropped: a database that is named much like one
// that was replaced is left alone.
func TestOnlyWhatARebuildNamedIsDropped(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.publish(1, 10)
	b.clean()
	kept := []string{"rescind_old_drop", "rescind_old_20260101000000", "rescind_old_before_the_drop", "rescind_old_20260101000000_old_20260101000000_drop"}
	server := b.root()
	for _, name := range append(kept, "rescind_old_20260101000000_drop") {
		if err := server.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
			t.Fatal(err)
		}
	}
	built, err := b.tables(t.Context(), func(c *rebuild.TablesConfig) { c.DropOld = true })
	if err != nil || !built.Dropped {
		t.Fatalf("%+v, %v", built, err)
	}
	want := append(kept, "rescind")
	slices.Sort(want)
	if got := b.databases(); !slices.Equal(got, want) {
		t.Errorf("databases %q, want %q", got, want)
	}
}

// root is a connection outside any database, of an account that may make them.
func (b *bench) root() driver.Conn {
	b.t.Helper()
	o := b.rebuilder()
	o.Auth.Database = ""
	conn, err := clickhouse.Open(o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	return conn
}
