package rebuild

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/rescindhq/rescind/projector/audit"
)

// kept is the fences of all shards in the tables that are there, kept from their
// projectors.
type kept struct {
	conn   driver.Conn // to those tables; nil where there are none
	fences []*audit.Kept
}

// end keeps the fences no longer. It may be called again.
func (k *kept) end() {
	for _, f := range k.fences {
		f.End()
	}
	if k.conn != nil {
		k.conn.Close()
	}
	*k = kept{}
}

// still reports whether nobody has taken one of the fences since.
func (k *kept) still(ctx context.Context) (bool, error) {
	for _, f := range k.fences {
		if still, err := f.Still(ctx); !still {
			return false, err
		}
	}
	return true, nil
}

// catchUp reads the rest of the logs while nothing is inserted into the tables
// that are there, and again where something was all the same: a projector that
// is started takes its fence. So nobody reads of an event that is not in the new
// tables.
func (t *tables) catchUp(ctx context.Context, conn driver.Conn) error {
	for {
		for _, s := range []step{
			{"fence the projector", t.fence},
			{"read the rest", t.project},
			{"give up the fence of the new tables", t.release},
		} {
			if err := t.do(ctx, s, conn); err != nil {
				return err
			}
		}
		if still, err := t.live.still(ctx); still || err != nil {
			return err
		}
	}
}

// maxFences is how often a rebuild takes the fence of the tables that are there.
const maxFences = 5

// fence ends what projectors are inserting into the tables that are there, and
// keeps them from it until those are replaced.
func (t *tables) fence(ctx context.Context, _ driver.Conn) error {
	t.live.end()
	if t.fenced++; t.fenced > maxFences {
		return fmt.Errorf("projectors took their fence back %d times: end what restarts them, and run this again", maxFences)
	}
	if there, err := t.hasTables(ctx); err != nil || !there {
		return err
	}
	var err error
	if t.live.conn, err = t.open(t.name); err != nil {
		return err
	}
	for _, log := range t.Logs {
		f, err := audit.Keep(ctx, t.config(t.live.conn, log))
		if err != nil {
			return fmt.Errorf("shard=%d: %w", log.Shard(), err)
		}
		t.live.fences = append(t.live.fences, f)
	}
	return nil
}

// release lets whoever comes next have the fence of the new tables, without
// waiting to see whether we still use it.
func (t *tables) release(ctx context.Context, conn driver.Conn) error {
	for _, log := range t.Logs {
		if err := audit.Release(ctx, t.config(conn, log)); err != nil {
			return fmt.Errorf("shard=%d: %w", log.Shard(), err)
		}
	}
	return nil
}

func (t *tables) hasTables(ctx context.Context) (bool, error) {
	var n uint64
	err := t.root.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = {name:String} AND name = 'fences'", clickhouse.Named("name", t.name)).Scan(&n)
	return n > 0, err
}
