package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// errFenced says that another holder has taken the fence.
var errFenced = errors.New("another projector has taken over")

// errLingers says that an insert of an earlier holder would not end.
var errLingers = errors.New("an earlier insert is still running")

const (
	// takeFence makes holder the last one. Two at once may count to the same
	// epoch: then the greater name has it.
	takeFence = `INSERT INTO fences (shard, epoch, holder)
SELECT {shard:UInt16}, max(epoch) + 1, {holder:String} FROM fences WHERE shard = {shard:UInt16}`

	// fenced is the condition of every insert, evaluated by the server once it
	// has listed the insert as running. So an insert that was let through is
	// either in the list that quiet looks at or has ended before, and one that
	// comes later finds the new fence.
	fenced = `
WHERE throwIf((SELECT argMax(holder, (epoch, holder)) FROM fences WHERE shard = {shard:UInt16}) != {holder:String}, 'fenced') = 0`

	// fencedCode is FUNCTION_THROW_IF_VALUE_IS_NON_ZERO, which no other part
	// of our inserts can raise.
	fencedCode = 395

	killOthers  = `KILL QUERY WHERE startsWith(query_id, {prefix:String}) AND NOT startsWith(query_id, {own:String}) ASYNC`
	countOthers = `SELECT count() FROM system.processes WHERE startsWith(query_id, {prefix:String}) AND NOT startsWith(query_id, {own:String})`
)

// fence is the right to insert, as one holder has it.
type fence struct {
	conn   driver.Conn
	shard  uint16
	holder string // random
	lane   string // tells apart the ids of what the holder does at once
	prefix string // of the query ids of every holder for this shard
	calls  atomic.Uint64
	open   *open
	stall  time.Duration
	grace  time.Duration
}

// newFence prepares a holder. The database is in the prefix because query ids
// are the server's, not the database's.
func newFence(ctx context.Context, cfg *Config, open *open) (*fence, error) {
	f := &fence{conn: cfg.Conn, shard: cfg.Shard, holder: rand.Text(), open: open, stall: cfg.Stall, grace: cfg.Grace}
	var database string
	err := f.query(ctx, "SELECT currentDatabase()", func(scan func(...any) error) error { return scan(&database) })
	if err != nil {
		return nil, fmt.Errorf("fence shard=%d: ask for the database: %w", cfg.Shard, err)
	}
	f.prefix = fmt.Sprintf("rescind-audit.%s.%d.", database, cfg.Shard)
	return f, nil
}

// beside is the same right for work that goes on beside the inserts. It may
// take its time, and is given up at once.
func (f *fence) beside(lane string) *fence {
	return &fence{conn: f.conn, shard: f.shard, holder: f.holder, lane: lane, prefix: f.prefix, open: new(open), stall: f.stall}
}

// acquire takes the fence and returns when no insert of an earlier holder is
// running any more.
func (f *fence) acquire(ctx context.Context) error {
	if err := f.exec(ctx, takeFence); err != nil {
		return fmt.Errorf("take fence shard=%d: %w", f.shard, err)
	}
	if err := f.quiet(ctx); err != nil {
		return fmt.Errorf("fence shard=%d: %w", f.shard, err)
	}
	return nil
}

// quiet ends the queries of earlier holders and waits until they are gone.
func (f *fence) quiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, f.stall, errLingers)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		running, err := f.others(ctx)
		if err != nil || running == 0 {
			return err
		}
		if err := f.exec(ctx, killOthers, f.prefixes()...); err != nil {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// others is how many queries of other holders are running.
func (f *fence) others(ctx context.Context) (n uint64, err error) {
	err = f.query(ctx, countOthers, func(scan func(...any) error) error { return scan(&n) }, f.prefixes()...)
	return n, err
}

func (f *fence) prefixes() []any {
	return []any{clickhouse.Named("prefix", f.prefix), clickhouse.Named("own", f.prefix+f.holder)}
}

// exec runs a statement that shard and holder are bound into.
func (f *fence) exec(ctx context.Context, sql string, args ...any) error {
	ctx, cancel := f.watch(ctx)
	defer cancel()
	args = append(args, clickhouse.Named("shard", f.shard), clickhouse.Named("holder", f.holder))
	err := f.conn.Exec(f.named(ctx), sql, args...)
	if exception, ok := errors.AsType[*clickhouse.Exception](err); ok && exception.Code == fencedCode {
		return errFenced
	}
	return why(ctx, err)
}

// query runs a SELECT for one shard and gives each of its rows to scan.
func (f *fence) query(ctx context.Context, sql string, scan func(scan func(...any) error) error, args ...any) error {
	ctx, cancel := f.watch(ctx)
	defer cancel()
	rows, err := f.conn.Query(f.named(ctx), sql, append(args, clickhouse.Named("shard", f.shard))...)
	if err != nil {
		return why(ctx, err)
	}
	for rows.Next() {
		if err := scan(rows.Scan); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return why(ctx, errors.Join(rows.Err(), rows.Close()))
}

// why is err, or what ended ctx where that was the reason for it.
func why(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// named gives the next call its id and settings. Each call has a token of its
// own, so that no deduplication can take it for another.
func (f *fence) named(ctx context.Context) context.Context {
	id := fmt.Sprintf("%s%s.%s%d", f.prefix, f.holder, f.lane, f.calls.Add(1))
	return clickhouse.Context(ctx, clickhouse.WithQueryID(id), clickhouse.WithSettings(clickhouse.Settings{
		"async_insert": 0, "insert_deduplication_token": id, "max_insert_threads": 1,
	}))
}

// watch is ctx for one call, ended after stall, and after grace once ctx has
// ended. It has no deadline, as the driver would make a limit of one that the
// server enforces, and a limit that strikes in the middle of a commit is one
// more unknown outcome.
func (f *fence) watch(ctx context.Context) (context.Context, context.CancelFunc) {
	call, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	answered := f.open.add()
	stalled := time.AfterFunc(f.stall, func() { cancel(fmt.Errorf("no answer for %s", f.stall)) })
	stop := context.AfterFunc(ctx, func() {
		left := time.AfterFunc(f.grace, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(call, func() { left.Stop() })
	})
	return call, func() {
		answered()
		stop()
		stalled.Stop()
		cancel(context.Canceled)
	}
}

// open is the calls to ClickHouse that have no answer yet.
type open struct {
	mu    sync.Mutex
	since map[*time.Time]struct{}
}

func (o *open) add() (answered func()) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since == nil {
		o.since = map[*time.Time]struct{}{}
	}
	o.since[&now] = struct{}{}
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.since, &now)
	}
}

// oldest is when the call that waits longest was made; zero where none waits.
func (o *open) oldest() (at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for since := range o.since {
		if at.IsZero() || since.Before(at) {
			at = *since
		}
	}
	return at
}
