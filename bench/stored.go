package bench

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
)

// stored is what an event takes on the disk once everything is merged. What
// findings, batches and the rest take is divided among the events that were
// published: it would not be there without them.
func (b *ingest) stored(ctx context.Context) error {
	if err := b.ensureRows(ctx); err != nil {
		return err
	}
	n, err := b.rows(ctx)
	if err != nil {
		return err
	}
	tables, err := b.tables(ctx)
	if err != nil {
		return err
	}
	all := 0.0
	for _, t := range tables {
		if err := b.db.Exec(ctx, "OPTIMIZE TABLE `"+t+"` FINAL"); err != nil {
			return fmt.Errorf("merge %s: %w", t, err)
		}
		whole, projections, err := b.bytes(ctx, t)
		if err != nil {
			return err
		}
		all += whole
		b.add(alone("stored/"+t, "B/event", whole/float64(n)))
		if projections > 0 {
			b.add(alone("stored/"+t+"/projections", "B/event", projections/float64(n)))
		}
	}
	b.add(alone("stored/all", "B/event", all/float64(n)))
	return b.storedLog(ctx, n)
}

// ensureRows publishes a run of events where nothing was published before.
func (b *ingest) ensureRows(ctx context.Context) error {
	n, err := b.rows(ctx)
	if err == nil && n < uint64(b.cfg.Events) {
		_, err = b.pipeline(ctx, b.next(b.cfg.Events), b.cfg.Events)
	}
	return err
}

// tables are ours, without those of the floors.
func (b *ingest) tables(ctx context.Context) (out []string, err error) {
	rows, err := b.db.Query(ctx, "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name NOT LIKE 'bare\\_%' ORDER BY name")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	return out, rows.Err()
}

// bytes is what a table takes, projections, indices and marks included, and
// what its projections take of that.
func (b *ingest) bytes(ctx context.Context, table string) (whole, projections float64, err error) {
	for _, q := range []struct {
		of   string
		into *float64
	}{{"parts", &whole}, {"projection_parts", &projections}} {
		err := b.db.QueryRow(ctx, "SELECT toFloat64(sum(bytes_on_disk)) FROM system."+q.of+
			" WHERE database = currentDatabase() AND active AND table = {table:String}", clickhouse.Named("table", table)).Scan(q.into)
		if err != nil {
			return 0, 0, err
		}
	}
	return whole, projections, nil
}

// storedLog is what an event takes in the log, of all its streams.
func (b *ingest) storedLog(ctx context.Context, n uint64) error {
	nc, err := b.stack.NATS.Connect(natsd.Operator)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	list := js.ListStreams(ctx)
	total := 0.0
	for info := range list.Info() {
		if strings.HasPrefix(info.Config.Name, stream.LogStream) {
			total += float64(info.State.Bytes)
		}
	}
	if err := list.Err(); err != nil {
		return err
	}
	b.add(alone("stored/log", "B/event", total/float64(n)))
	return nil
}
