package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/rebuild"
	"github.com/rescindhq/rescind/internal/verify"
	"github.com/rescindhq/rescind/projector/revoke"
)

// rebuildTTL is that of the lock of migrations while a rebuild holds it: who was
// killed is run again, and need not wait for long.
const rebuildTTL = 10 * time.Second

// RebuildOptions say what is rebuilt, and how.
type RebuildOptions struct {
	Tables, Feed bool
	DropOld      bool
	Progress     func(step string)
}

// Rebuilt is what was rebuilt.
type Rebuilt struct {
	Tables *rebuild.Built `json:"tables,omitempty"`
	Feed   bool           `json:"feed"`
}

// Rebuild makes tables and feed of a deployment anew from its logs, while the
// deployment works or not. It holds the lock of migrations, and ends where that is
// lost: nobody may rename the same databases meanwhile.
func Rebuild(ctx context.Context, c Config, o RebuildOptions) (out Rebuilt, err error) {
	a, err := open(c)
	if err != nil {
		return out, err
	}
	defer a.close()
	b, err := a.connect(natsd.Projector, a.cfg.NATS.ProjectorCreds, nil)
	if err != nil {
		return out, err
	}
	a.closers = append(a.closers, b.nc.Close)
	if err := stream.CheckShards(ctx, b.js, a.cfg.Shards); err != nil {
		return out, fmt.Errorf("rebuild: %w", err)
	}
	locks, err := a.connect(natsd.Projector, a.cfg.NATS.ProjectorCreds, nil) // not that over which the logs come, as for elections
	if err != nil {
		return out, err
	}
	a.closers = append(a.closers, locks.nc.Close)
	err = underLock(ctx, locks.js, rebuildTTL, func(ctx context.Context) error {
		out, err = a.rebuild(ctx, b, o)
		return err
	})
	return out, err
}

// underLock does something while it holds the lock of migrations, and ends it
// where that is lost: whoever has it then may be renaming the same databases.
func underLock(ctx context.Context, js jetstream.JetStream, ttl time.Duration, do func(context.Context) error) error {
	term, release, err := stream.Elect(ctx, js, migrationLock, ttl)
	if err != nil {
		return err
	}
	defer release()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(term, func() { end(context.Cause(term)) })()
	if err = do(ctx); err != nil && term.Err() != nil {
		err = errors.Join(err, context.Cause(term))
	}
	return err
}

func (a *app) rebuild(ctx context.Context, b *bus, o RebuildOptions) (out Rebuilt, err error) {
	if o.Tables {
		built, err := a.rebuildTables(ctx, b, o)
		if err != nil {
			return out, err
		}
		out.Tables = &built
	}
	if o.Feed {
		err = a.rebuildFeed(ctx, b, o)
		out.Feed = err == nil
	}
	return out, err
}

func (a *app) rebuildTables(ctx context.Context, b *bus, o RebuildOptions) (rebuild.Built, error) {
	if a.cfg.ClickHouse.RebuilderUser == "" {
		return rebuild.Built{}, errors.New("rebuild: clickhouse.rebuilder_user is not set: want an account that may replace the database")
	}
	options, err := a.clickHouse(a.cfg.ClickHouse.RebuilderUser, a.cfg.ClickHouse.RebuilderPassword)
	if err != nil {
		return rebuild.Built{}, err
	}
	logs, err := stream.OpenLogs(ctx, b.js, a.cfg.Shards)
	if err != nil {
		return rebuild.Built{}, err
	}
	return rebuild.Tables(ctx, rebuild.TablesConfig{
		Options: options, Logs: logs, DropOld: o.DropOld, Progress: o.Progress, Logger: a.log,
		Verify: func(ctx context.Context, conn driver.Conn) (differs, err error) { return a.verifyTables(ctx, b, conn) },
	})
}

// verifyTables is in what the tables of conn are not what the logs say, or a log
// is not sound. What the feed holds is not asked.
func (a *app) verifyTables(ctx context.Context, b *bus, conn driver.Conn) (differs, err error) {
	key, err := a.feedPublicKey()
	if err != nil {
		return nil, err
	}
	reports, err := verify.Run(ctx, verify.Config{
		NATS: b.nc, ClickHouse: conn, FeedKey: key, Shards: a.cfg.Shards,
		MaxLag: math.MaxInt64, // what has come since is read before the tables are put in place
	})
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, r := range reports {
		errs = append(errs, besideFeed(r)...)
	}
	return errors.Join(errs...), nil
}

// besideFeed is what a report finds in the log and in the tables.
func besideFeed(r *verify.Report) (errs []error) {
	for _, c := range r.Counts {
		switch c.Place {
		case verify.Snapshot, verify.Deltas, verify.Revocations:
		default:
			errs = append(errs, fmt.Errorf("shard %d: %s %s: %d", r.Shard, c.Place, c.Kind, c.Count))
		}
	}
	return errs
}

func (a *app) rebuildFeed(ctx context.Context, b *bus, o RebuildOptions) error {
	if a.cfg.NATS.OperatorCreds == "" {
		return errors.New("rebuild: nats.operator_creds is not set: want credentials that may delete and create streams")
	}
	operator, err := a.connect(natsd.Operator, a.cfg.NATS.OperatorCreds, nil)
	if err != nil {
		return err
	}
	defer operator.nc.Close()
	key, err := a.feedKey()
	if err != nil {
		return err
	}
	keys, err := a.keyring(ctx, b)
	if err != nil {
		return err
	}
	return rebuild.Feed(ctx, rebuild.FeedConfig{
		Operator: operator.nc, Topology: a.topology(), Progress: o.Progress,
		Revoker: revoke.Config{Conn: b.nc, Shards: a.cfg.Shards, Key: key, Keys: feedKeys{keys}, Log: a.log},
	})
}
