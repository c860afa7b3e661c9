package rebuild_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/rebuild"
	"github.com/rescindhq/rescind/internal/secrets"
	"github.com/rescindhq/rescind/internal/verify"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/projector/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(enginetest.M{M: m}) }

// bench is a deployment at work.
type bench struct {
	*dev.Stack
	t    *testing.T
	db   driver.Conn
	logs []*stream.Log
}

func start(t *testing.T) *bench { return startOf(t, 1) }

func startOf(t *testing.T, shards int) *bench {
	t.Helper()
	s := devtest.Start(t, dev.Options{Dir: t.TempDir(), Shards: shards})
	b := &bench{Stack: s, t: t, db: devtest.Database(t, s)}
	var err error
	if b.logs, err = stream.OpenLogs(t.Context(), b.js(natsd.API), shards); err != nil {
		t.Fatal(err)
	}
	return b
}

// of is b in the hands of a subtest.
func (b *bench) of(t *testing.T) *bench {
	its := *b
	its.t = t
	return &its
}

// rebuilder is the options of the account that a deployment makes for a rebuild.
func (b *bench) rebuilder() *clickhouse.Options {
	b.t.Helper()
	o := devtest.Options(b.Stack)
	o.Auth.Username = "rebuilder"
	var err error
	if o.Auth.Password, err = secrets.ReadPassword(b.Keys.ClickHousePassword("rebuilder")); err != nil {
		b.t.Fatal(err)
	}
	return o
}

func (b *bench) js(role natsd.Role) jetstream.JetStream {
	return natsdtest.JetStream(b.t, b.NATS, role)
}

func (b *bench) publish(seed uint64, n int) {
	b.t.Helper()
	b.publishOf("acme", seed, n)
}

func (b *bench) publishOf(tenant string, seed uint64, n int) {
	b.t.Helper()
	devtest.Publish(b.t, b.Stack, workload.New(workload.Config{Seed: seed, Subjects: 20, Tenant: tenant}).Batch(n))
}

func (b *bench) verify(ctx context.Context, conn driver.Conn) (verify.Reports, error) {
	feed, err := b.Keys.FeedPublicKey()
	if err != nil {
		return nil, err
	}
	return verify.Run(ctx, verify.Config{NATS: natsdtest.Connect(b.t, b.NATS, natsd.Auditor), ClickHouse: conn, FeedKey: feed, Shards: len(b.logs)})
}

// clean waits until everything is on the logs and projected, and wants no
// difference then.
func (b *bench) clean() (all verify.Reports) {
	b.t.Helper()
	devtest.Drained(b.t, b.Stack)
	devtest.Eventually(b.t, "the stores to catch up", func() (bool, error) {
		var err error
		all, err = b.verify(b.t.Context(), b.db)
		behind := slices.ContainsFunc(all, func(r *verify.Report) bool { return r.ClickHouse.NotProjected+r.Feed.NotInFeed > 0 })
		return !behind, err
	})
	for _, d := range differences(all) {
		b.t.Error(d)
	}
	return all
}

func differences(all verify.Reports) (out []verify.Difference) {
	for _, r := range all {
		out = append(out, r.Differences...)
	}
	return out
}

func (b *bench) tables(ctx context.Context, change func(*rebuild.TablesConfig)) (rebuild.Built, error) {
	cfg := rebuild.TablesConfig{Options: b.rebuilder(), Logs: b.logs, Verify: func(ctx context.Context, conn driver.Conn) (differs, err error) {
		r, err := b.verify(ctx, conn)
		if err == nil && !r.Clean() {
			differs = fmt.Errorf("%v", differences(r))
		}
		return differs, err
	}}
	if change != nil {
		change(&cfg)
	}
	return rebuild.Tables(ctx, cfg)
}

func (b *bench) databases() (out []string) {
	b.t.Helper()
	if err := b.db.QueryRow(b.t.Context(), "SELECT groupArray(name) FROM (SELECT name FROM system.databases WHERE startsWith(name, 'rescind') ORDER BY name)").Scan(&out); err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) exec(sql string) {
	b.t.Helper()
	ctx := clickhouse.Context(b.t.Context(), clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 2}))
	if err := b.db.Exec(ctx, sql); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) tamper() {
	b.t.Helper()
	b.exec("ALTER TABLE events DELETE WHERE `index` = 5")
	b.exec("ALTER TABLE events UPDATE outcome = 'failure' WHERE `index` = 6")
	b.exec("INSERT INTO payloads SELECT * FROM payloads LIMIT 1")
	if r, err := b.verify(b.t.Context(), b.db); err != nil || r.Clean() {
		b.t.Fatalf("tampering was not found: %v", err)
	}
}

// TestTablesAreRebuilt tampers, rebuilds while events come in, and wants
// nothing lost and nothing doubled.
func TestTablesAreRebuilt(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.publish(1, 500)
	b.clean()
	b.tamper()
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
				b.publish(uint64(100+n), 10)
				devtest.Drained(t, b.Stack) // or the log outgrows the rebuild
			}
		}
	}()
	built, err := b.tables(t.Context(), nil)
	close(stop)
	batches := <-done
	if err != nil {
		t.Fatal(err)
	}
	r := b.clean()[0]
	if want := uint64(500 + 10*batches); r.Log.Records < want || r.ClickHouse.Events != r.Log.Records {
		t.Errorf("%d published, %d records, %d rows", want, r.Log.Records, r.ClickHouse.Events)
	}
	if all := b.databases(); len(all) != 2 || all[1] != built.Kept || !built.Was {
		t.Errorf("databases %q, kept %q", all, built.Kept)
	}
	b.publish(2, 10)
	b.clean()
	if built, err = b.tables(t.Context(), func(c *rebuild.TablesConfig) { c.DropOld = true }); err != nil || !built.Dropped {
		t.Fatalf("%+v, %v", built, err)
	}
	if all := b.databases(); len(all) != 2 {
		t.Errorf("databases %q: want that of the first rebuild and the live one", all)
	}
	b.clean()
}

// TestOneAfterAnother has a deployment go through rebuilds that are disturbed. Each
// begins with tables that are clean and in their place.
func TestOneAfterAnother(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.publish(1, 100)
	b.clean()
	for _, of := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"killed at any step", testKilledAtAnyStep}, {"a rename whose answer is lost", testARenameWhoseAnswerIsLost},
		{"the new database is gone", testTheNewDatabaseIsGone}, {"killed between the renames", testKilledBetweenTheRenames},
		{"clickhouse keeps failing", testClickHouseKeepsFailing}, {"duplicates are marked", testDuplicatesAreMarked},
	} {
		if !t.Run(of.name, func(t *testing.T) { of.test(t, b.of(t)) }) {
			return // what it has left is no beginning for the next
		}
	}
}

// testKilledAtAnyStep ends a rebuild before each of its steps, and runs it
// again: in the end nothing is left of what was to be dropped.
func testKilledAtAnyStep(t *testing.T, b *bench) {
	b.tamper()
	var steps []string
	for n := 0; ; n++ {
		ctx, kill := context.WithCancel(t.Context())
		seen := 0
		_, err := b.tables(ctx, func(c *rebuild.TablesConfig) {
			c.DropOld = true
			c.Progress = func(step string) {
				if seen == n {
					steps = append(steps, step)
					kill()
				}
				seen++
			}
		})
		kill()
		if err == nil && seen <= n {
			break
		}
		if err == nil {
			t.Fatalf("killed before %q, and yet it came to its end", steps[n])
		}
	}
	if len(steps) < 6 {
		t.Errorf("steps %q", steps)
	}
	if all := strings.Join(b.databases(), " "); all != "rescind" {
		t.Errorf("databases %s are left", all)
	}
	b.clean()
}

// testKilledBetweenTheRenames leaves no database of the name, as a rebuild that
// dies there does.
func testKilledBetweenTheRenames(t *testing.T, b *bench) {
	errFar := errors.New("far enough")
	for _, differs := range []bool{true, false} { // and where that is not known
		if _, err := b.tables(t.Context(), func(c *rebuild.TablesConfig) {
			c.Verify = func(context.Context, driver.Conn) (_, err error) {
				if differs {
					return errFar, nil
				}
				return nil, errFar
			}
		}); !errors.Is(err, errFar) || errors.Is(err, rebuild.ErrDiffers) != differs {
			t.Fatalf("differs %t: %v", differs, err)
		}
	}
	if all := strings.Join(b.databases(), " "); all != "rescind rescind_rebuild" {
		t.Fatalf("what does not verify was put in place: %s", all)
	}
	b.exec("RENAME DATABASE rescind TO rescind_old_1")
	if built, err := b.tables(t.Context(), nil); err != nil || !built.Resumed {
		t.Fatalf("%+v, %v", built, err)
	}
	b.clean()
	b.publish(2, 10)
	b.clean()
}

// testARenameWhoseAnswerIsLost loses the answer to the first rename and to the
// second: the server has done both, and the new tables are in place.
func testARenameWhoseAnswerIsLost(t *testing.T, b *bench) {
	for _, statement := range []string{"RENAME DATABASE rescind TO ", "RENAME DATABASE rescind_rebuild TO rescind"} {
		b.tamper()
		d := &deafDialer{statement: []byte(statement)}
		built, err := b.tables(t.Context(), func(c *rebuild.TablesConfig) {
			c.Options.DialContext = d.dial
			c.DropOld = true
		})
		if all := strings.Join(b.databases(), " "); err != nil || !d.lost.Load() || !built.Dropped || all != "rescind" {
			t.Errorf("%s: databases %s, lost %t, %+v, %v", statement, all, d.lost.Load(), built, err)
		}
		b.clean()
	}
}

// testTheNewDatabaseIsGone takes the new database away before the renames, and
// between them and the look for it, as another rebuild does that puts it in
// place: what is there keeps its name.
func testTheNewDatabaseIsGone(t *testing.T, b *bench) {
	take := func() { b.exec("DROP DATABASE rescind_rebuild SYNC") }
	for name, change := range map[string]func(*rebuild.TablesConfig){
		"before": func(c *rebuild.TablesConfig) {
			c.Progress = func(step string) {
				if step == "put the new tables in place" {
					take()
				}
			}
			c.Now = func() time.Time {
				t.Error("it went on")
				return time.Now()
			}
		},
		"between": func(c *rebuild.TablesConfig) {
			c.Now = func() time.Time {
				take()
				return time.Now()
			}
		},
	} {
		built, err := b.tables(t.Context(), change)
		if all := strings.Join(b.databases(), " "); err == nil || all != "rescind" || built.Kept != "" {
			t.Errorf("%s: databases %s, kept %q, err %v", name, all, built.Kept, err)
		}
	}
	b.clean()
	b.publish(2, 10)
	b.clean()
}

// testClickHouseKeepsFailing has it refuse every insert: the rebuild ends with what
// it says, and goes on where that was mended.
func testClickHouseKeepsFailing(t *testing.T, b *bench) {
	var logged bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	_, err := b.tables(ctx, func(c *rebuild.TablesConfig) {
		c.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		c.Progress = func(step string) {
			if step == "read the log" {
				b.exec("ALTER TABLE rescind_rebuild.events ADD CONSTRAINT full CHECK 0")
			}
		}
	})
	if err == nil || ctx.Err() != nil || errors.Is(err, rebuild.ErrDiffers) || !strings.Contains(err.Error(), "`full`") || !strings.Contains(logged.String(), "`full`") {
		t.Errorf("err %v, logged %s", err, logged.String())
	}
	b.exec("ALTER TABLE rescind_rebuild.events DROP CONSTRAINT full")
	if built, err := b.tables(t.Context(), nil); err != nil || !built.Resumed {
		t.Errorf("%+v, %v", built, err)
	}
	b.clean()
}

// repeat appends an event of the log again, as an intake does that no longer
// remembers it.
func (b *bench) repeat() {
	b.t.Helper()
	log, err := stream.OpenLog(b.t.Context(), b.js(natsd.Projector))
	if err != nil {
		b.t.Fatal(err)
	}
	last, err := log.Last(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	m, err := events.UnmarshalBatch(last.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	h := &m.Header
	tree, err := ledger.FromEdge(h.Size, h.Edge)
	if err != nil {
		b.t.Fatal(err)
	}
	m.Items = m.Items[:1]
	tree.Append(events.LeafHash(m.Items[0].Record))
	h.First, h.Count, h.Size, h.Root, h.Edge, h.Epoch = h.Size, 1, tree.Size(), tree.Root(), tree.Edge(), h.Epoch+1
	data, err := m.Marshal()
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := log.Append(b.t.Context(), h.Lane, data, last.Seq); err != nil {
		b.t.Fatal(err)
	}
}

// testDuplicatesAreMarked rebuilds from a log that has an event twice: it is
// marked in the new tables, with what the log says of it.
func testDuplicatesAreMarked(t *testing.T, b *bench) {
	b.repeat()
	if _, err := b.tables(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var content string
	if err := b.db.QueryRow(t.Context(), "SELECT content FROM duplicates").Scan(&content); err != nil || content != "same" {
		t.Errorf("content %q: %v", content, err)
	}
	b.clean()
}
