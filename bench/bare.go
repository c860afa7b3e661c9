package bench

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/eventrow"
)

// bareInsert is how many rows one bare insert takes.
const bareInsert = 20_000

// sealedBytes is what the sealed part of a workload event takes, unless the
// store can tell.
const sealedBytes = 270

// bareStream makes a stream that takes what the SDK sends, under the name that
// it expects.
func (r *rig) bareStream(ctx context.Context) error {
	_, err := r.bare.CreateStream(ctx, jetstream.StreamConfig{Name: stream.IntakeStream, Subjects: []string{stream.EventSubjects}, Storage: jetstream.FileStorage})
	return err
}

// emptyBare makes room for the next floor. It is not timed, and what it leaves
// is thrown away with the folder.
func (r *rig) emptyBare(ctx context.Context) {
	if s, err := r.bare.Stream(ctx, stream.IntakeStream); err == nil {
		_ = s.Purge(ctx)
	}
}

// bareTables makes tables like ours for bare inserts: engine, projections,
// indices, settings and all.
func (r *rig) bareTables(ctx context.Context) error {
	if err := r.untilMigrated(ctx); err != nil {
		return err
	}
	for _, table := range []string{"events", "payloads"} {
		if err := r.db.Exec(ctx, "CREATE TABLE bare_"+table+" AS "+table); err != nil {
			return fmt.Errorf("bare tables: %w", err)
		}
	}
	return nil
}

// barePipe is the rate of evs through the same servers with nothing decoded,
// hashed, sealed or checked, and what the SDK takes to send one. Messages, rows
// and what would have been computed are there before the clock starts.
// Publishing does not wait for acknowledgements one by one, consuming does not
// wait for inserts, and both tables are inserted into at once.
func (r *rig) barePipe(ctx context.Context, evs []events.Event) (rate, wire float64, err error) {
	msgs, err := r.captured(ctx, sdkBatch, func(pub *stream.Publisher) error {
		for i := range evs {
			if err := pub.Queue(ctx, evs[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	rows, err := r.bareRows(ctx, evs)
	if err != nil {
		return 0, 0, err
	}
	consumer, err := r.bare.CreateConsumer(ctx, stream.IntakeStream, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckAllPolicy, DeliverPolicy: jetstream.DeliverNewPolicy, MaxAckPending: -1,
	})
	if err != nil {
		return 0, 0, err
	}
	defer r.emptyBare(ctx)
	defer r.bare.DeleteConsumer(ctx, stream.IntakeStream, consumer.CachedInfo().Name)
	began := time.Now()
	if err := r.runBare(ctx, consumer, msgs, rows); err != nil {
		return 0, 0, err
	}
	return float64(len(evs)) / time.Since(began).Seconds(), float64(size(msgs)) / float64(len(evs)), nil
}

func size(msgs []*nats.Msg) (n int) {
	for _, m := range msgs {
		n += m.Size()
	}
	return n
}

func (r *rig) runBare(ctx context.Context, consumer jetstream.Consumer, msgs []*nats.Msg, rows *bareRows) error {
	due := make(chan int, 1) // rows whose message has been consumed
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.barePublish(ctx, msgs) })
	g.Go(func() error {
		defer close(due)
		return bareConsume(ctx, consumer, len(msgs), len(rows.events), due)
	})
	g.Go(func() error { return r.bareStore(ctx, rows, due) })
	return g.Wait()
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

// bareConsume takes n messages and says, as they come, how many of all rows
// their share is.
func bareConsume(ctx context.Context, c jetstream.Consumer, n, rows int, due chan<- int) error {
	it, err := c.Messages(jetstream.PullMaxMessages(500))
	if err != nil {
		return err
	}
	defer it.Stop()
	said := 0
	for i := range n {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		now := rows * (i + 1) / n
		if now-said < bareInsert && now < rows {
			continue
		}
		if err := m.Ack(); err != nil {
			return err
		}
		select {
		case due <- now:
			said = now
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// bareStore inserts what is due, as much at once as there is.
func (r *rig) bareStore(ctx context.Context, rows *bareRows, due <-chan int) error {
	from := 0
	for to := range due {
		if err := r.insertBare(ctx, rows.slice(from, to)); err != nil {
			return err
		}
		from = to
	}
	return nil
}

var insertBareEvents = strings.Replace(eventrow.Insert, "INSERT INTO events", "INSERT INTO bare_events", 1)

const insertBarePayloads = "INSERT INTO bare_payloads (shard, `index`, tenant, subject_ref, received, sealed) " +
	"SELECT 0, `index`, tenant, subject_ref, fromUnixTimestamp64Micro(received, 'UTC'), sealed FROM incoming"

// insertBare inserts rows into both tables at once.
func (r *rig) insertBare(ctx context.Context, rows *bareRows) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		block, err := eventrow.Block(rows.events)
		if err != nil {
			return err
		}
		return r.db.Exec(clickhouse.Context(ctx, clickhouse.WithExternalTable(block)), insertBareEvents)
	})
	g.Go(func() error {
		block, err := rows.payloads()
		if err != nil {
			return err
		}
		return r.db.Exec(clickhouse.Context(ctx, clickhouse.WithExternalTable(block)), insertBarePayloads)
	})
	return g.Wait()
}

// bareRows is what is inserted for events: their columns with what would have
// been computed made up before.
type bareRows struct {
	events   []eventrow.Row
	index    []uint64
	received []int64
	tenant   []string
	person   [][]byte
	sealed   [][]byte
}

func (b *bareRows) slice(from, to int) *bareRows {
	return &bareRows{b.events[from:to], b.index[from:to], b.received[from:to], b.tenant[from:to], b.person[from:to], b.sealed[from:to]}
}

// bareRows has the same references for the same people and tokens, as ours do,
// and noise for what is hashed or sealed.
func (r *rig) bareRows(ctx context.Context, evs []events.Event) (*bareRows, error) {
	sealed, err := r.sealedSize(ctx)
	if err != nil {
		return nil, err
	}
	n, now := len(evs), time.Now()
	b := &bareRows{make([]eventrow.Row, n), make([]uint64, n), make([]int64, n), make([]string, n), make([][]byte, n), make([][]byte, n)}
	for i := range evs {
		d, rec := &evs[i].Data, events.NewRecord(&evs[i], "dev", now)
		rec.SubjectRef, rec.TokenRef, rec.SessionRef = reference(d.Subject), reference(d.TokenID), reference(d.SessionID)
		row := eventrow.Row{Index: uint64(i), Record: *rec}
		noise := make([]byte, sealed+len(row.Record.PayloadHash))
		_, _ = rand.Read(noise) // never fails
		b.person[i] = append([]byte{}, rec.SubjectRef[:]...)
		b.sealed[i] = noise[:sealed:sealed]
		copy(row.Record.PayloadHash[:], noise[sealed:])
		b.events[i], b.index[i], b.received[i], b.tenant[i] = row, uint64(i), rec.Received, rec.Tenant
	}
	return b, nil
}

func reference(identifier string) (ref events.Ref) {
	sum := sha256.Sum256([]byte(identifier))
	copy(ref[:], sum[:])
	return ref
}

// sealedSize is what a sealed part takes on average in our own table.
func (r *rig) sealedSize(ctx context.Context) (int, error) {
	var n uint64
	err := r.db.QueryRow(ctx, "SELECT ifNotFinite(round(avg(length(sealed))), 0)::UInt64 FROM payloads").Scan(&n)
	if n == 0 {
		n = sealedBytes
	}
	return int(n), err
}

func (b *bareRows) payloads() (*ext.Table, error) {
	t, err := ext.NewTable(eventrow.Incoming, ext.Column("index", "UInt64"), ext.Column("received", "Int64"), ext.Column("tenant", "String"), ext.Column("subject_ref", "FixedString(16)"), ext.Column("sealed", "String"))
	if err != nil {
		return nil, err
	}
	for i, values := range []any{b.index, b.received, b.tenant, b.person, b.sealed} {
		if _, err := t.Block().Columns[i].Append(values); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// bareRow is the milliseconds that one row takes to be inserted and queried.
func (r *rig) bareRow(ctx context.Context, ev events.Event) (float64, error) {
	rows, err := r.bareRows(ctx, []events.Event{ev})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := r.insertBare(ctx, rows); err != nil {
		return 0, err
	}
	var n uint64
	err = r.db.QueryRow(ctx, "SELECT count() FROM bare_events WHERE id = {id:String}", clickhouse.Named("id", ev.ID)).Scan(&n)
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows", n)
	}
	return milliseconds(time.Since(began)), err
}
