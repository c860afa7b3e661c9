package audit

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events/stream"
)

func TestEveryRecordIsThereOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(1, 1000, 3, 250, 1, 1, 1)
	p, stop := w.start(w.config(w.direct))
	w.awaitAll(p)
	w.append(5, 199, 201)
	w.awaitAll(p)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.requireExact()
	if got := p.Position(); got.Seq != w.seq || got.Epoch != 1 {
		t.Fatalf("position %+v, want seq %d", got, w.seq)
	}
	if s := p.Status(); s.Lag(time.Now().Add(time.Hour)) != 0 || !s.Stopped {
		t.Fatalf("status %+v", s)
	}
}

func TestATrickleIsGathered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config(w.direct)
	cfg.MinInterval = 3 * time.Second
	p, _ := w.start(cfg)
	await(t, "the projector is ready", func() bool { return p.Status().Current })
	started := time.Now()
	w.append(1)
	w.awaitAll(p)
	first := time.Since(started)
	w.append(1, 1, 1)
	w.awaitAll(p)
	if second := time.Since(started); second < cfg.MinInterval {
		t.Errorf("the first event was recorded after %s and the next after %s: want no insert within %s", first, second, cfg.MinInterval)
	}
	if n := strings.Count(w.logged.String(), "batch recorded"); n != 2 {
		t.Errorf("%d inserts, want 2", n)
	}
	w.requireExact()
}

func TestAnInsertUnderWayIsFinishedOrGivenUpWithinGrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	px := newProxy(t, w.options.Addr[0])
	cfg := w.config(w.connect(px.addr()))
	cfg.Stall, cfg.Grace = time.Minute, 200*time.Millisecond
	px.arm("INSERT INTO events", stalled, nil)
	w.append(10)
	p, stop := w.start(cfg)
	await(t, "the insert is under way", px.hasStruck)
	if s := p.Status(); s.Lag(time.Now().Add(time.Hour)) < time.Hour {
		t.Errorf("lag %s while nothing is recorded", s.Lag(time.Now()))
	}
	started := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(started); d < cfg.Grace/2 || d > cfg.Stall/2 {
		t.Fatalf("stopped after %s, grace is %s", d, cfg.Grace)
	}
	p, _ = w.start(w.config(w.direct))
	w.awaitAll(p)
	w.requireExact()
}

func TestAChunkIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(60, 60, 60, 1)
	for name, c := range map[string]struct {
		rows, bytes int
		want        []int
	}{
		"in records": {100, 1 << 30, []int{120, 61}},
		"in bytes":   {1 << 30, 1, []int{60, 60, 60, 1}},
	} {
		log, err := w.read(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		a := newAhead(&Config{MaxRows: c.rows, MaxBytes: c.bytes}, log, Position{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { a.run(ctx); close(ended) }()
		var done *chunk
		for _, want := range c.want {
			await(t, "the chunk is full", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.full.rows) >= want })
			if done, err = a.take(t.Context(), done); err != nil || len(done.rows) != want {
				t.Fatalf("%s: err %v, %d rows, want %d", name, err, len(done.rows), want)
			}
		}
		if at := done.end(); at != (Position{Next: 181, Seq: 4, Epoch: 1}) {
			t.Fatalf("%s: ended at %+v", name, at)
		}
		cancel()
		<-ended
		log.Close()
	}
}

// sized is a reader that notes what it is asked for.
type sized struct {
	LogReader
	asked chan int
}

func (s sized) Next(ctx context.Context, maxBytes int) ([]stream.LogMessage, error) {
	select {
	case s.asked <- maxBytes:
	default:
	}
	return s.LogReader.Next(ctx, maxBytes)
}

func TestTheLogIsReadInBoundedPieces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg, asked := w.config(w.direct), make(chan int, 1)
	cfg.Read = func(ctx context.Context, from uint64) (LogReader, error) {
		r, err := w.read(ctx, from)
		return sized{r, asked}, err
	}
	w.start(cfg)
	if n := <-asked; n != pieceBytes {
		t.Fatalf("asked for %d bytes, want %d", n, pieceBytes)
	}
}

func fenceOf(t *testing.T, cfg *Config) *fence {
	t.Helper()
	f, err := newFence(t.Context(), cfg, new(open))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestTheFenceEndsEarlierInserts runs queries under the names of an earlier
// holder and of others.
func TestTheFenceEndsEarlierInserts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config(w.direct).withDefaults()
	f := fenceOf(t, &cfg)
	run := func(id, sql string) <-chan error {
		conn, ended := w.connect(w.options.Addr[0]), make(chan error, 1)
		go func() {
			ended <- conn.Exec(clickhouse.Context(context.Background(), clickhouse.WithQueryID(id)), sql)
		}()
		await(t, "the query runs", func() bool {
			return w.count("SELECT count() FROM system.processes WHERE query_id = '"+id+"'") == 1
		})
		return ended
	}
	const long = "SELECT sleepEachRow(0.2) FROM numbers(8) SETTINGS max_block_size = 1"
	mine := run(f.prefix+"earlier.1", long)
	other := run("rescind-audit."+w.options.Auth.Database+".1.other.1", long)
	if err := f.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-other:
		t.Errorf("the insert of another shard ended: %v", err)
	default:
	}
	exception, ok := errors.AsType[*clickhouse.Exception](<-mine)
	if !ok || exception.Code != 394 {
		t.Errorf("the earlier insert was not ended: %v", exception)
	}
	if err := <-other; err != nil {
		t.Errorf("the insert of another shard failed: %v", err)
	}
}

// TestTheFenceIsNotTakenWhileAnInsertWillNotEnd: the earlier query waits for an
// answer that the test withholds, and does not look up before it has that.
func TestTheFenceIsNotTakenWhileAnInsertWillNotEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config(w.direct).withDefaults()
	f := fenceOf(t, &cfg)
	f.stall, f.grace = 5*time.Second, time.Second // less than the server waits for an answer
	asked, answer := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	source := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { once(); <-answer }))
	t.Cleanup(source.Close)
	conn, ended := w.connect(w.options.Addr[0]), make(chan error, 1)
	go func() {
		ctx := clickhouse.Context(context.Background(), clickhouse.WithQueryID(f.prefix+"earlier.1"))
		ended <- conn.Exec(ctx, "SELECT * FROM url('"+source.URL+"', LineAsString, 'line String')")
	}()
	select {
	case <-asked:
	case err := <-ended:
		t.Fatalf("the query ended: %v", err)
	}
	if err := f.acquire(t.Context()); !errors.Is(err, errLingers) {
		t.Errorf("err %v", err)
	}
	close(answer)
	<-ended
}

func TestOnlyTheLastHolderInserts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config(w.direct).withDefaults()
	first, second := fenceOf(t, &cfg), fenceOf(t, &cfg)
	for _, f := range []*fence{first, second} {
		if err := f.exec(t.Context(), takeFence); err != nil {
			t.Fatal(err)
		}
	}
	w.append(3)
	msg, err := w.log.Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	c := new(chunk)
	if _, err := c.add(&msg, 0, Position{}); err != nil {
		t.Fatal(err)
	}
	if err := store(t.Context(), first, c, new(state), true); !errors.Is(err, errFenced) {
		t.Fatalf("the first holder: err %v", err)
	}
	for _, table := range []string{"events", "payloads", "batches"} {
		if n := w.count("SELECT count() FROM " + table); n != 0 {
			t.Fatalf("%d rows in %s", n, table)
		}
	}
	if err := store(t.Context(), second, c, new(state), false); err != nil {
		t.Fatal(err)
	}
	w.requireExact()
}

func TestBackoffIsBounded(t *testing.T) {
	t.Parallel()
	p := &Projector{cfg: Config{BackoffMin: time.Millisecond, BackoffMax: time.Second}}
	for failures, want := range map[int]time.Duration{1: time.Millisecond, 2: 2 * time.Millisecond, 11: time.Second, 90: time.Second} {
		p.failures = failures
		if got := p.backoff(); got != want {
			t.Errorf("after %d failures %s, want %s", failures, got, want)
		}
	}
}
