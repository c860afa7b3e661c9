package audit

import (
	"fmt"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
)

// again is a batch whose records have the ids of earlier ones, and a digest
// each.
func (w *world) again(change func(i int, r *events.Record, item *events.Item), n int) {
	w.t.Helper()
	b := w.batch(n)
	for i := range b.Items {
		r, err := events.UnmarshalRecord(b.Items[i].Record)
		if err != nil {
			w.t.Fatal(err)
		}
		change(i, r, &b.Items[i])
		if b.Items[i].Record, err = r.Marshal(); err != nil {
			w.t.Fatal(err)
		}
	}
	w.appendBatch(b)
}

// duplicates appends events that repeat earlier ones, and is what should be
// said of them.
func (w *world) duplicates() (want []mark) {
	w.append(10, 10)
	w.again(func(i int, r *events.Record, item *events.Item) {
		switch i {
		case 1:
			r.ID = "e-3"
			want = append(want, mark{21, 3, "same"})
		case 2:
			r.ID, item.Digest = "e-15", []byte("76543210")
			want = append(want, mark{22, 15, "different"})
		case 3:
			r.ID, r.Tenant = "e-4", "umbrella"
		case 4:
			r.ID, r.Source = "e-4", "https://other.example"
		case 5:
			r.ID = "e-20" // in the same batch
			want = append(want, mark{25, 20, "same"})
		}
	}, 6)
	w.again(func(_ int, r *events.Record, _ *events.Item) {
		r.ID = "e-3"
		want = append(want, mark{26, 3, "same"})
	}, 1)
	return want
}

func (w *world) marked() (got []mark) {
	w.rows("SELECT `index`, first, content FROM duplicates ORDER BY `index`, first", func(rows driver.Rows) {
		var m mark
		if err := rows.Scan(&m.index, &m.first, &m.content); err != nil {
			w.t.Fatal(err)
		}
		got = append(got, m)
	})
	return got
}

// awaitSearched waits until the whole log was searched for duplicates.
func (w *world) awaitSearched() {
	w.t.Helper()
	await(w.t, "the log is searched", func() bool { return w.count("SELECT max(below) FROM searches") == w.next() })
}

func (w *world) requireMarked(want []mark) {
	w.t.Helper()
	if d := cmp.Diff(want, w.marked(), cmp.AllowUnexported(mark{})); d != "" {
		w.t.Error(d)
	}
}

func (w *world) searchConfig(conn driver.Conn) Config {
	cfg := w.config(conn)
	cfg.Lookup, cfg.SearchEvery = w.log, 10*time.Millisecond
	return cfg
}

func TestDuplicatesAreMarkedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := w.duplicates()
	p, stop := w.start(w.searchConfig(w.direct))
	w.awaitAll(p)
	w.awaitSearched()
	w.requireMarked(want)
	await(t, "it counts them", func() bool { return p.Status().Duplicates == uint64(len(want)) })
	w.again(func(_ int, r *events.Record, _ *events.Item) { r.ID = "e-22" }, 1) // 22 is called e-15
	w.again(func(_ int, r *events.Record, _ *events.Item) { r.ID = "e-27" }, 2) // 27 is called e-22
	w.awaitSearched()
	want = append(want, mark{29, 28, "same"})
	w.requireMarked(want)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.exec("TRUNCATE TABLE searches") // everything is searched again
	w.start(w.searchConfig(w.direct))
	w.awaitSearched()
	w.requireMarked(want)
	w.requireExact()
}

func TestADuplicateOfWhatTheLogDoesNotHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := w.duplicates()
	cfg := w.searchConfig(w.direct)
	cfg.Lookup = nil
	w.start(cfg)
	w.awaitSearched()
	for i := range want {
		want[i].content = "unknown"
	}
	w.requireMarked(want)
}

func TestWhateverHappensToAMark(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"INSERT INTO duplicates", "INSERT INTO searches", "SELECT DISTINCT hash", "FROM searches", "FROM duplicates"} {
		for _, f := range []fault{failed, half, stalled, late} {
			t.Run(text+" "+string(f), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				px := newProxy(t, w.options.Addr[0])
				cfg := w.searchConfig(w.connect(px.addr()))
				if f == stalled {
					cfg.Stall = 2 * time.Second
				}
				px.arm(text, f, nil)
				want := w.duplicates()
				p, _ := w.start(cfg)
				w.awaitAll(p)
				await(t, "it has happened", px.hasStruck)
				w.awaitSearched()
				if f == late {
					close(px.release)
				}
				w.append(3)
				w.awaitAll(p)
				w.awaitSearched()
				w.requireMarked(want)
				w.requireExact()
			})
		}
	}
}

// replayed is a log of which a publisher has sent more events again than one
// slice of a search marks. All of it was recorded an hour ago.
func (w *world) replayed(n int) {
	w.append(n/2, n/2)
	for half := range 2 {
		w.again(func(i int, r *events.Record, _ *events.Item) { r.ID = fmt.Sprintf("e-%d", half*n/2+i) }, n/2)
	}
	p, stop := w.start(w.config(w.direct))
	w.awaitAll(p)
	if err := stop(); err != nil {
		w.t.Fatal(err)
	}
	ctx := clickhouse.Context(w.t.Context(), clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 2}))
	if err := w.direct.Exec(ctx, "ALTER TABLE batches UPDATE recorded = recorded - INTERVAL 1 HOUR WHERE 1"); err != nil {
		w.t.Fatal(err)
	}
}

// TestASearchGoesOnToItsEnd: what is due is marked at once however much of it is
// repeated, also where a search was stopped on its way. When that was, by a
// clock that was ahead, delays nothing.
func TestASearchGoesOnToItsEnd(t *testing.T) {
	t.Parallel()
	const n = 3 * maxRepeated / 2
	for name, stopped := range map[string]string{
		"at once":     "",
		"was stopped": "INSERT INTO searches (shard, below, found, ended) VALUES (0, 1600, 100, now64(6) + INTERVAL 1 DAY)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.replayed(n)
			var searched uint64
			if stopped != "" {
				w.exec(stopped)
				searched = 100
			}
			cfg := w.config(w.direct)
			cfg.Lookup = w.log
			p, _ := w.start(cfg)
			w.awaitSearched()
			if marked := w.count("SELECT uniqExact(`index`) FROM duplicates WHERE first + 1500 = `index` AND content = 'same'"); marked != n-searched {
				t.Errorf("%d of %d are marked", marked, n-searched)
			}
			if most := w.count("SELECT max(found) FROM searches"); most > maxRepeated {
				t.Errorf("%d were marked in one slice", most)
			}
			await(t, "it counts them", func() bool { return p.Status().Duplicates == n-searched })
		})
	}
}

// TestASearchThatFailsWaitsLonger: up to the time between two that do not.
func TestASearchThatFailsWaitsLonger(t *testing.T) {
	t.Parallel()
	s := &search{cfg: &Config{SearchEvery: time.Hour}}
	var waits []time.Duration
	for range 40 {
		waits = append(waits, s.rest(errUnsettled))
	}
	if d := cmp.Diff([]time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, waits[:3]); d != "" || waits[12] != time.Hour || waits[39] != time.Hour {
		t.Errorf("%s, then %s and %s", d, waits[12], waits[39])
	}
	if again := []time.Duration{s.rest(nil), s.rest(errUnsettled)}; again[0] != time.Second || again[1] != time.Second {
		t.Errorf("after one that did not fail: %s", again)
	}
}

func TestASearchIsDueWhenItIsWorthIt(t *testing.T) {
	t.Parallel()
	var reads, last uint64
	for all := uint64(1000); all < 1<<27; all += 1000 {
		if all-last >= worthwhile(all) {
			reads, last = reads+all, all
		}
	}
	if each := float64(reads) / (1 << 27); each > 17 {
		t.Errorf("each event is read %.1f times", each)
	}
}
