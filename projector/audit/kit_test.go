package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/engine"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(enginetest.M{M: m})
}

const patience = 2 * time.Minute

// world is a log, a database, and what was written to the log.
type world struct {
	t       *testing.T
	server  *natsd.Server
	log     *stream.Log
	options clickhouse.Options // straight to the server
	direct  driver.Conn
	batches []events.Batch
	seq     uint64
	random  *rand.Rand
	logged  buffer
}

// buffer is what was logged.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// requireDiscreet checks that no log line and no error holds anything of a
// record.
func (w *world) requireDiscreet() {
	for _, secret := range []string{"issuer.example", "acme", "sealed part of", "e-1"} {
		if strings.Contains(w.logged.String(), secret) {
			w.t.Errorf("the log holds %q", secret)
		}
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	o := emptyDatabase(t)
	if err := Migrate(t.Context(), MigrateConfig{Options: o}); err != nil {
		t.Fatal(err)
	}
	return newWorldOn(t, *o)
}

// newOwnWorld is a world on an engine of its own.
func newOwnWorld(t *testing.T) (*world, *engine.Engine) {
	t.Helper()
	e, options := ownEngine(t)
	return newWorldOn(t, options), e
}

// ownEngine is an engine that the test may kill and pause, with empty tables,
// and a projector's account that has just the rights this package asks for.
func ownEngine(t *testing.T) (*engine.Engine, clickhouse.Options) {
	t.Helper()
	e := enginetest.Own(t, engine.Config{
		Database: "rescind", Restart: true,
		Users: []engine.User{
			{Name: "projector", Password: "secret", Grants: Grants("rescind")},
			{Name: "migrator", Password: "secret", Grants: MigratorGrants("rescind")},
		},
	})
	migrator := as(e.Addr(), "migrator")
	if err := Migrate(t.Context(), MigrateConfig{Options: &migrator}); err != nil {
		t.Fatal(err)
	}
	return e, as(e.Addr(), "projector")
}

// emptied empties the tables of an engine that a test shares among its parts.
func emptied(t *testing.T, e *engine.Engine) {
	t.Helper()
	for _, table := range allTables {
		if table == "migrations" {
			continue
		}
		await(t, table+" is empty", func() bool { return e.Exec(t.Context(), "TRUNCATE TABLE rescind."+table) == nil })
	}
}

func as(addr, user string) clickhouse.Options {
	return clickhouse.Options{Addr: []string{addr}, Auth: clickhouse.Auth{Database: "rescind", Username: user, Password: "secret"}}
}

func newWorldOn(t *testing.T, options clickhouse.Options) *world {
	t.Helper()
	w := &world{t: t, server: natsdtest.Start(t), options: options, random: rand.New(rand.NewPCG(1, 2))}
	w.log = w.openLog()
	w.direct = w.connect(w.options.Addr[0])
	t.Cleanup(w.requireDiscreet)
	return w
}

func (w *world) openLog() *stream.Log {
	w.t.Helper()
	log, err := stream.OpenLog(w.t.Context(), natsdtest.JetStream(w.t, w.server, natsd.Projector))
	if err != nil {
		w.t.Fatal(err)
	}
	return log
}

// connect opens what a projector uses.
func (w *world) connect(addr string) driver.Conn {
	w.t.Helper()
	o := w.options
	o.Addr, o.DialTimeout = []string{addr}, 5*time.Second
	conn, err := Open(&o, time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return conn
}

func (w *world) config(conn driver.Conn) Config {
	return Config{
		Read: w.read, Conn: conn, MaxRows: 200, MinInterval: time.Millisecond, Stall: 30 * time.Second,
		BackoffMin: 10 * time.Millisecond, BackoffMax: 200 * time.Millisecond, Standby: 50 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(w.t.Output(), &w.logged), nil)),
	}
}

func (w *world) read(ctx context.Context, from uint64) (LogReader, error) {
	return w.log.Read(ctx, from)
}

// append writes batches of the given sizes to the log.
func (w *world) append(sizes ...int) {
	w.t.Helper()
	for _, n := range sizes {
		w.appendBatch(w.batch(n))
	}
}

func (w *world) next() uint64 {
	if len(w.batches) == 0 {
		return 0
	}
	return w.batches[len(w.batches)-1].Header.Size
}

func (w *world) batch(n int) events.Batch {
	b := events.Batch{Header: events.Header{
		Version: events.BatchVersion, Epoch: 1, Lane: events.Access, First: w.next(), Count: uint32(n),
		Size: w.next() + uint64(n), Written: time.Now().UnixMicro(), Root: events.Hash{byte(w.random.Uint32())},
	}}
	for range n {
		b.Items = append(b.Items, w.item(b.Header.First+uint64(len(b.Items))))
	}
	return b
}

func (w *world) appendBatch(b events.Batch) {
	w.t.Helper()
	data, err := b.Marshal()
	if err != nil {
		w.t.Fatal(err)
	}
	w.appendRaw(data)
	w.batches = append(w.batches, b)
}

func (w *world) appendRaw(data []byte) {
	w.t.Helper()
	seq, err := w.log.Append(w.t.Context(), events.Access, data, w.seq)
	if err != nil {
		w.t.Fatal(err)
	}
	w.seq = seq
}

// item is a record of the kind that tokens leave, two thirds with a sealed
// part.
func (w *world) item(index uint64) events.Item {
	r := events.Record{
		Version: events.RecordVersion, Source: "https://issuer.example", ID: fmt.Sprintf("e-%d", index), Tenant: "acme",
		Environment: "dev", Type: events.TokenIssued, Time: time.Now().UnixMicro(), Received: time.Now().UnixMicro(),
		Issuer: "https://issuer.example", SubjectRef: w.ref(), TokenRef: w.ref(), Audience: []string{"api"},
		IssuedAt: events.TimestampOf(time.Now()), Attributes: map[string]string{"n": fmt.Sprint(index % 7)},
	}
	item := events.Item{Digest: []byte("01234567")}
	if index%3 > 0 {
		item.Sealed = []byte(fmt.Sprintf("sealed part of %d", index))
		r.PayloadHash, r.DataKey = sha256.Sum256(item.Sealed), 1
	}
	var err error
	if item.Record, err = r.Marshal(); err != nil {
		w.t.Fatal(err)
	}
	return item
}

func (w *world) ref() (r events.Ref) {
	for i := range r {
		r[i] = byte(w.random.Uint32())
	}
	return r
}

// start runs a projector until the test ends or stop is called, which returns
// what Run returned.
func (w *world) start(cfg Config) (p *Projector, stop func() error) {
	w.t.Helper()
	p, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	var ended bool
	stop = func() (err error) {
		cancel()
		if !ended {
			err, ended = <-done, true
		}
		return err
	}
	w.t.Cleanup(func() { _ = stop() })
	return p, stop
}

// await waits until ok. It asks less and less often, as most answers are the
// server's, which has better things to do.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	wait, deadline := 2*time.Millisecond, time.Now().Add(patience)
	for ; !ok(); <-time.After(wait) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s until %s", patience, what)
		}
		wait = min(wait*5/4, 100*time.Millisecond)
	}
}

// awaitAll waits until p has recorded the whole log.
func (w *world) awaitAll(p *Projector) {
	w.t.Helper()
	await(w.t, "the log is recorded", func() bool { return p.Position().Next == w.next() })
}

// requireExact reads the tables and compares them with the log: every record
// once, every sealed part once, every batch once, nothing else.
func (w *world) requireExact() {
	w.t.Helper()
	w.requireEvents()
	w.requirePayloads()
	w.requireBatches()
}

func (w *world) items() (items []events.Item) {
	for _, b := range w.batches {
		items = append(items, b.Items...)
	}
	return items
}

func (w *world) requireEvents() {
	w.t.Helper()
	items := w.items()
	var n int
	w.rows("SELECT "+eventrow.Columns+" FROM events ORDER BY `index`", func(rows driver.Rows) {
		got, err := eventrow.Scan(rows.Scan)
		if err != nil {
			w.t.Fatal(err)
		}
		encoded, err := got.Record.Marshal()
		if err != nil || n >= len(items) || got.Index != uint64(n) || string(encoded) != string(items[n].Record) {
			w.t.Fatalf("row %d of events: index %d, err %v; log has %d records", n, got.Index, err, len(items))
		}
		n++
	})
	if n != len(items) {
		w.t.Fatalf("%d events, log has %d", n, len(items))
	}
}

func (w *world) requirePayloads() {
	w.t.Helper()
	want := map[uint64]string{}
	for i, item := range w.items() {
		if len(item.Sealed) > 0 {
			want[uint64(i)] = string(item.Sealed)
		}
	}
	w.rows("SELECT `index`, sealed FROM payloads", func(rows driver.Rows) {
		var index uint64
		var sealed string
		if err := rows.Scan(&index, &sealed); err != nil {
			w.t.Fatal(err)
		}
		if want[index] != sealed {
			w.t.Fatalf("payload of index %d: %q, want %q", index, sealed, want[index])
		}
		delete(want, index)
	})
	if len(want) > 0 {
		w.t.Fatalf("%d payloads are missing", len(want))
	}
}

func (w *world) requireBatches() {
	w.t.Helper()
	var n int
	w.rows("SELECT first, count, seq, size, root, lane, toUnixTimestamp64Micro(written) FROM batches ORDER BY first, recorded", func(rows driver.Rows) {
		var h events.Header
		var seq uint64
		var lane string
		if err := rows.Scan(&h.First, &h.Count, &seq, &h.Size, &h.Root, &lane, &h.Written); err != nil {
			w.t.Fatal(err)
		}
		if n >= len(w.batches) {
			w.t.Fatalf("more than %d batches", len(w.batches))
		}
		want := w.batches[n].Header
		if h.First != want.First || h.Count != want.Count || h.Size != want.Size || h.Root != want.Root ||
			lane != string(want.Lane) || h.Written != want.Written || seq != uint64(n+1) {
			w.t.Fatalf("batch %d: %+v seq %d, want %+v", n, h, seq, want)
		}
		n++
	})
	if n != len(w.batches) {
		w.t.Fatalf("%d batches, log has %d", n, len(w.batches))
	}
}

func (w *world) rows(sql string, each func(driver.Rows)) {
	w.t.Helper()
	rows, err := w.direct.Query(context.Background(), sql)
	if err != nil {
		w.t.Fatal(err)
	}
	for rows.Next() {
		each(rows)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	if err := rows.Close(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) count(sql string) (n uint64) {
	w.t.Helper()
	if err := w.direct.QueryRow(context.Background(), sql).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) exec(sql string) {
	w.t.Helper()
	if err := w.direct.Exec(context.Background(), sql); err != nil {
		w.t.Fatal(err)
	}
}

// takeFence takes the fence from whoever has it, and leaves it as it is.
func (w *world) takeFence(t *testing.T) {
	t.Helper()
	k, err := Keep(t.Context(), w.config(w.direct))
	if err != nil {
		t.Fatal(err)
	}
	k.End()
}
