package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/internal/sleep"
)

// patience is how long ClickHouse may stand still while rows are missing.
const patience = time.Minute

// askEvery is how often ClickHouse is asked how far it is at the end of a run:
// the answer costs the run it measures one or two percent of a core.
const askEvery = 25 * time.Millisecond

// place is where the audit side was before a run.
type place struct {
	position uint64 // records that are recorded
	rows     uint64 // published events among them
}

// mark is the place now. Nothing of ours may be under way.
func (r *rig) mark(ctx context.Context) (p place, err error) {
	if p.position, err = r.recorded(ctx); err == nil {
		p.rows, err = r.rows(ctx)
	}
	return p, err
}

// recorded is how many records ClickHouse holds by its own account. It reads
// one row a batch, so that asking often costs little.
func (r *rig) recorded(ctx context.Context) (n uint64, err error) {
	err = r.db.QueryRow(ctx, "SELECT toUInt64(sum(next)) FROM (SELECT max(first + count) AS next FROM batches GROUP BY shard)").Scan(&n)
	return n, err
}

// rows is how many published events have a row: findings are not counted.
func (r *rig) rows(ctx context.Context) (n uint64, err error) {
	err = r.db.QueryRow(ctx, "SELECT count() FROM events WHERE type LIKE 'dev.rescind.token.%'").Scan(&n)
	return n, err
}

// untilRows waits until exactly n more events have a row than there were. More
// is an error, and so is standing still with less.
func (r *rig) untilRows(ctx context.Context, from place, n uint64) error {
	seen, since := from.position, time.Now()
	return poll(ctx, askEvery, func(ctx context.Context) (bool, error) {
		at, err := r.recorded(ctx)
		if err != nil {
			return false, err
		}
		if at > seen {
			seen, since = at, time.Now()
		}
		late := time.Since(since) > r.patience
		if at < from.position+n && !late {
			return false, nil
		}
		rows, err := r.rows(ctx)
		switch got := rows - from.rows; {
		case err != nil:
			return false, err
		case got > n:
			return false, fmt.Errorf("%d rows for %d events", got, n)
		case got < n && late:
			return false, fmt.Errorf("%d of %d events have no row: %w", n-got, n, errLost)
		default:
			return got == n, nil
		}
	})
}

// errLost says that what was acknowledged did not arrive.
var errLost = errors.New("nothing has arrived for too long")

// askRow is how often a query looks for a single row. It costs ClickHouse some 4 ms
// of the processor, which the insert that it looks for would lack.
const askRow = 5 * time.Millisecond

// untilRow waits until a query finds the row of an event, and first asks once the
// least time has passed in which it can be there: what floors took.
func (r *rig) untilRow(ctx context.Context, id string, least time.Duration) error {
	since := time.Now()
	if err := sleep.For(ctx, least); err != nil {
		return err
	}
	return poll(ctx, askRow, func(ctx context.Context) (bool, error) {
		var n uint64
		err := r.db.QueryRow(ctx, "SELECT count() FROM events WHERE id = {id:String}", clickhouse.Named("id", id)).Scan(&n)
		if err == nil && n == 0 && time.Since(since) > r.patience {
			err = fmt.Errorf("a lone event has no row: %w", errLost)
		}
		return n == 1, err
	})
}

// untilMigrated waits for the tables, which the audit role makes beside
// everything else.
func (r *rig) untilMigrated(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.patience, errors.New("the tables were not made in time"))
	defer cancel()
	return poll(ctx, 20*time.Millisecond, func(ctx context.Context) (bool, error) {
		var n uint64
		err := r.db.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name IN ('events', 'payloads', 'batches')").Scan(&n)
		return n == 3, err
	})
}

func poll(ctx context.Context, every time.Duration, done func(context.Context) (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
