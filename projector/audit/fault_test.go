package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events/stream"
)

// TestWhateverHappensToAStatement spoils one statement of each kind in each
// way, in the middle of a log, and then reads everything back.
func TestWhateverHappensToAStatement(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"events", "payloads", "batches", "fences"} {
		for _, f := range []fault{failed, half, applied, stalled, late, slow, shut} {
			t.Run(table+" "+string(f), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				spoilInsert(w, newProxy(t, w.options.Addr[0]), table, f)
			})
		}
	}
}

// TestWhateverKillsTheServer does the same with kill -9 of the server, before
// it has seen a statement and after it has carried it out.
func TestWhateverKillsTheServer(t *testing.T) {
	t.Parallel()
	e, options := ownEngine(t)
	for _, table := range []string{"events", "payloads", "batches", "fences"} {
		for _, f := range []fault{before, after} {
			t.Run(table+" "+string(f), func(t *testing.T) {
				emptied(t, e)
				w := newWorldOn(t, options)
				px := newProxy(t, e.Addr())
				px.kill = func() {
					if err := e.Kill(); err != nil {
						t.Error(err)
					}
				}
				spoilInsert(w, px, table, f)
			})
		}
	}
}

func spoilInsert(w *world, px *proxy, table string, f fault) {
	t := w.t
	cfg := w.config(w.connect(px.addr()))
	if f == stalled {
		cfg.Stall = 2 * time.Second
	}
	watch := w.connect(w.options.Addr[0]) // of the proxy's own goroutine
	rows := func() (n uint64) {
		_ = watch.QueryRow(context.Background(), "SELECT count() FROM "+table).Scan(&n)
		return n
	}
	if table != "fences" {
		p, stop := w.start(cfg)
		w.append(20, 5)
		w.awaitAll(p)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	before := rows()
	px.arm("INSERT INTO "+table, f, func() bool { return rows() > before })
	w.append(100, 30, 1, 250, 7)
	p, _ := w.start(cfg)
	w.awaitAll(p)
	if !px.hasStruck() {
		t.Fatal("the fault did not happen")
	}
	if f == late {
		close(px.release)
		await(t, "the late insert is refused", func() bool {
			return strings.Contains(px.answered(), "fenced") || table == "fences" && rows() > before+1
		})
	}
	w.append(3)
	w.awaitAll(p)
	w.requireExact()
}

func TestWhateverHappensToAReadBack(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"FROM batches WHERE", "FROM events WHERE shard", "FROM payloads WHERE shard", "FROM system.processes", "currentDatabase()"} {
		for _, f := range []fault{failed, stalled} {
			t.Run(text+" "+string(f), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				px := newProxy(t, w.options.Addr[0])
				cfg := w.config(w.connect(px.addr()))
				if f == stalled {
					cfg.Stall = 2 * time.Second
				}
				px.arm(text, f, nil)
				w.append(10, 1, 300)
				p, _ := w.start(cfg)
				w.awaitAll(p)
				if !px.hasStruck() {
					t.Fatal("the fault did not happen")
				}
				w.requireExact()
			})
		}
	}
}

func TestAKilledServer(t *testing.T) {
	t.Parallel()
	w, e := newOwnWorld(t)
	cfg := w.config(w.connect(e.Addr()))
	cfg.Stall = 2 * time.Second
	p, _ := w.start(cfg)
	for range 4 {
		at := p.Position().Next
		for range 5 {
			w.append(50, 1, 120)
		}
		await(t, "the projector is at work", func() bool { return p.Position().Next > at })
		if err := e.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	w.awaitAll(p)
	w.requireExact()
}

func TestAPausedServer(t *testing.T) {
	t.Parallel()
	w, e := newOwnWorld(t)
	cfg := w.config(w.connect(e.Addr()))
	cfg.Stall = 2 * time.Second
	p, _ := w.start(cfg)
	for range 2 {
		for range 5 {
			w.append(50, 1, 120)
		}
		if err := e.Pause(); err != nil {
			t.Fatal(err)
		}
		await(t, "the projector gives up on the server", func() bool { return p.Status().Failures > 0 || p.Position().Next == w.next() })
		if err := e.Resume(); err != nil {
			t.Fatal(err)
		}
		w.awaitAll(p)
	}
	w.requireExact()
}

func TestAKilledProjector(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		cfg := w.config(w.connect(w.options.Addr[0]))
		cfg.Grace = time.Nanosecond // an insert under way is given up
		at := w.count("SELECT max(first + count) FROM batches")
		for range 4 {
			w.append(50, 1, 120)
		}
		p, stop := w.start(cfg)
		await(t, "the projector is at work", func() bool { return p.Position().Next > at })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := w.start(w.config(w.direct))
	w.awaitAll(p)
	w.requireExact()
}

// TestManyProjectorsAtOnce has three take the fence from each other much sooner
// than any of them gets something done, and then leaves it to one.
func TestManyProjectorsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ps []*Projector
	var stops []func() error
	for range 3 {
		cfg := w.config(w.connect(w.options.Addr[0]))
		cfg.Standby, cfg.BackoffMin = 20*time.Millisecond, time.Millisecond
		p, stop := w.start(cfg)
		ps, stops = append(ps, p), append(stops, stop)
	}
	for range 8 {
		w.append(50, 1, 120)
	}
	fences := func() uint64 { return w.count("SELECT count() FROM fences") }
	await(t, "they have contended", func() bool { return fences() > 20 || ps[0].Position().Next == w.next() })
	for _, stop := range stops[1:] {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	w.awaitAll(ps[0])
	w.requireExact()
	if n := fences(); n <= 3 {
		t.Fatalf("%d fences: the projectors did not contend", n)
	}
}

func TestAStandbyTakesOverWhenTheOtherIsIdle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, _ := w.start(w.config(w.connect(w.options.Addr[0])))
	w.append(10)
	w.awaitAll(first)
	cfg := w.config(w.connect(w.options.Addr[0]))
	cfg.Standby = time.Hour
	second, stop := w.start(cfg)
	await(t, "the second has the fence", func() bool { return second.Status().Current })
	w.append(10)
	await(t, "the first stands by", func() bool { return first.Status().Standby })
	// Something of another holder still runs when the second is gone.
	ended, conn := make(chan error, 1), w.connect(w.options.Addr[0])
	id := "rescind-audit." + w.options.Auth.Database + ".0.other.1"
	go func() {
		ctx := clickhouse.Context(context.Background(), clickhouse.WithQueryID(id))
		ended <- conn.Exec(ctx, "SELECT sleepEachRow(0.2) FROM numbers(6) SETTINGS max_block_size = 1")
	}()
	await(t, "the query runs", func() bool {
		return w.count("SELECT count() FROM system.processes WHERE query_id = '"+id+"'") == 1
	})
	fences := w.count("SELECT count() FROM fences")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	await(t, "the first takes over", func() bool { return w.count("SELECT count() FROM fences") > fences })
	if err := <-ended; err != nil {
		t.Errorf("it took over while a query was running, and ended it: %v", err)
	}
	w.append(10)
	w.awaitAll(first)
	w.requireExact()
}

func TestAServerThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	px := newProxy(t, "127.0.0.1:1") // nobody listens there
	w.append(10)
	p, _ := w.start(w.config(w.connect(px.addr())))
	await(t, "it has failed a few times", func() bool { return p.Status().Failures > 3 })
	if s := p.Status(); s.Err == nil || s.Current {
		t.Fatalf("status %+v", s)
	}
	px.turn(w.options.Addr[0])
	w.awaitAll(p)
	await(t, "it is current", func() bool { s := p.Status(); return s.Current && s.Failures == 0 && s.Err == nil })
	w.requireExact()
}

// flaky is a reader that fails at times.
type flaky struct {
	LogReader
	mu    *sync.Mutex
	calls *int
}

func (f flaky) Next(ctx context.Context, maxBytes int) ([]stream.LogMessage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *f.calls++; *f.calls%3 == 0 {
		return nil, errors.New("connection lost")
	}
	return f.LogReader.Next(ctx, maxBytes)
}

func TestALogThatCannotBeReadAtTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config(w.direct)
	var mu sync.Mutex
	var calls, opens int
	cfg.Read = func(ctx context.Context, from uint64) (LogReader, error) {
		if opens++; opens%2 == 0 {
			return nil, fmt.Errorf("no responders")
		}
		r, err := w.read(ctx, from)
		return flaky{r, &mu, &calls}, err
	}
	p, _ := w.start(cfg)
	for range 8 {
		w.append(20, 3)
		w.awaitAll(p)
	}
	w.requireExact()
}
