package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/eventrow"
)

const (
	bareStream  = "BENCH_BARE"
	bareSubject = "rescind.bench.bare"
	// bareInsert is how many rows one bare insert takes: as many as ours.
	bareInsert = 20_000
	// sealedBytes is what the sealed part of a workload event takes.
	sealedBytes = 270
)

// bareTables makes tables like ours for bare inserts.
func (r *rig) bareTables(ctx context.Context) error {
	for _, table := range []string{"events", "payloads"} {
		if err := poll(ctx, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
			var n uint8
			err := r.db.QueryRow(ctx, "EXISTS TABLE "+table).Scan(&n)
			return n == 1, err
		}); err != nil {
			return err
		}
		if err := r.db.Exec(ctx, "CREATE TABLE bare_"+table+" AS "+table); err != nil {
			return fmt.Errorf("bare tables: %w", err)
		}
	}
	_, err := r.bare.CreateStream(ctx, jetstream.StreamConfig{Name: bareStream, Subjects: []string{bareSubject}, Storage: jetstream.FileStorage})
	return err
}

// barePipe is the rate of evs through the same servers with nothing decoded,
// hashed, sealed or checked.
func (r *rig) barePipe(ctx context.Context, evs []events.Event) (float64, error) {
	msgs, err := messages(evs)
	if err != nil {
		return 0, err
	}
	rows := bareRows(evs)
	consumer, err := r.bare.CreateConsumer(ctx, bareStream, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy, MaxAckPending: 20_000,
	})
	if err != nil {
		return 0, err
	}
	defer r.bare.DeleteConsumer(ctx, bareStream, consumer.CachedInfo().Name)
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.barePublish(ctx, msgs) })
	g.Go(func() error { return r.bareConsume(ctx, consumer, len(msgs), rows) })
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return float64(len(evs)) / time.Since(began).Seconds(), nil
}

func (r *rig) barePublish(ctx context.Context, msgs []*nats.Msg) error {
	for _, m := range msgs {
		if _, err := r.bare.PublishMsgAsync(m, jetstream.WithStallWait(10*time.Second)); err != nil {
			return err
		}
	}
	select {
	case <-r.bare.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bareConsume takes n messages and inserts, as they come, the share of the
// rows that belongs to them.
func (r *rig) bareConsume(ctx context.Context, c jetstream.Consumer, n int, rows []eventrow.Row) error {
	it, err := c.Messages(jetstream.PullMaxMessages(500))
	if err != nil {
		return err
	}
	defer it.Stop()
	inserted := 0
	for i := range n {
		m, err := it.Next()
		if err != nil {
			return err
		}
		if err := m.Ack(); err != nil {
			return err
		}
		due := len(rows) * (i + 1) / n
		if due-inserted >= bareInsert || due == len(rows) {
			if err := r.insertBare(ctx, rows[inserted:due]); err != nil {
				return err
			}
			inserted = due
		}
	}
	return nil
}

var insertBareEvents = strings.Replace(eventrow.Insert, "INSERT INTO events", "INSERT INTO bare_events", 1)

const insertBarePayloads = "INSERT INTO bare_payloads (shard, `index`, tenant, received, sealed) " +
	"SELECT 0, `index`, tenant, fromUnixTimestamp64Micro(received, 'UTC'), sealed FROM incoming"

func (r *rig) insertBare(ctx context.Context, rows []eventrow.Row) error {
	block, err := eventrow.Block(rows)
	if err != nil {
		return err
	}
	if err := r.db.Exec(clickhouse.Context(ctx, clickhouse.WithExternalTable(block)), insertBareEvents); err != nil {
		return err
	}
	payloads, err := barePayloads(rows)
	if err != nil {
		return err
	}
	return r.db.Exec(clickhouse.Context(ctx, clickhouse.WithExternalTable(payloads)), insertBarePayloads)
}

func barePayloads(rows []eventrow.Row) (*ext.Table, error) {
	index, received := make([]uint64, len(rows)), make([]int64, len(rows))
	tenant, sealed := make([]string, len(rows)), make([][]byte, len(rows))
	noise := make([]byte, sealedBytes*len(rows))
	if _, err := rand.Read(noise); err != nil {
		return nil, err
	}
	for i := range rows {
		index[i], received[i], tenant[i] = rows[i].Index, rows[i].Record.Received, rows[i].Record.Tenant
		sealed[i] = noise[i*sealedBytes : (i+1)*sealedBytes]
	}
	t, err := ext.NewTable(eventrow.Incoming, ext.Column("index", "UInt64"), ext.Column("received", "Int64"), ext.Column("tenant", "String"), ext.Column("sealed", "String"))
	if err != nil {
		return nil, err
	}
	for i, values := range []any{index, received, tenant, sealed} {
		if _, err := t.Block().Columns[i].Append(values); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// bareRows is evs as rows, with random bytes for what would be hashed.
func bareRows(evs []events.Event) []eventrow.Row {
	rows := make([]eventrow.Row, len(evs))
	now := time.Now()
	for i := range evs {
		rec := events.NewRecord(&evs[i], "dev", now)
		for _, ref := range []*events.Ref{&rec.SubjectRef, &rec.TokenRef, &rec.SessionRef} {
			_, _ = rand.Read(ref[:]) // never fails
		}
		_, _ = rand.Read(rec.PayloadHash[:])
		rows[i] = eventrow.Row{Index: uint64(i), Record: *rec}
	}
	return rows
}

// bareSingles is the rate of synchronous publishes of the bytes of evs.
func (r *rig) bareSingles(ctx context.Context, evs []events.Event) (float64, error) {
	bodies := make([][]byte, len(evs))
	for i := range evs {
		var err error
		if bodies[i], err = events.MarshalEvents(evs[i : i+1]); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	for _, b := range bodies {
		if _, err := r.bare.Publish(ctx, bareSubject, b); err != nil {
			return 0, err
		}
	}
	return float64(len(evs)) / time.Since(began).Seconds(), nil
}

// bareRow is the milliseconds that one row takes to be inserted and queried.
func (r *rig) bareRow(ctx context.Context, ev events.Event) (float64, error) {
	rows := bareRows([]events.Event{ev})
	began := time.Now()
	if err := r.insertBare(ctx, rows); err != nil {
		return 0, err
	}
	var n uint64
	err := r.db.QueryRow(ctx, "SELECT count() FROM bare_events WHERE id = {id:String}", clickhouse.Named("id", ev.ID)).Scan(&n)
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows", n)
	}
	return milliseconds(time.Since(began)), err
}
