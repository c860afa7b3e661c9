package checker_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/crash/checker"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/projector/audit"
	"github.com/rescindhq/rescind/projector/ledger"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

const batches = 7 // of 3 records each

// written is a log as the intake would write it.
func written(t *testing.T) (all []*events.Batch) {
	t.Helper()
	tree := ledger.New()
	for n := range uint64(batches) {
		b := &events.Batch{Header: events.Header{
			Version: events.BatchVersion, Epoch: 1 + n/3, Lane: events.Access, First: 3 * n, Count: 3, Size: 3*n + 3,
			Written: time.Now().UnixMicro(), IntakeStream: 1,
		}}
		for i := range uint64(3) {
			b.Items = append(b.Items, item(t, 3*n+i))
			tree.Append(events.LeafHash(b.Items[i].Record))
		}
		b.Header.Root, b.Header.Edge = tree.Root(), tree.Edge()
		all = append(all, b)
	}
	return all
}

func item(t *testing.T, n uint64) events.Item {
	t.Helper()
	sealed := []byte(fmt.Sprint("sealed ", n))
	r := events.NewRecord(&events.Event{ID: fmt.Sprint("e-", n), Source: "s", Type: events.TokenIssued, Tenant: "acme", Time: time.UnixMicro(1)}, "test", time.UnixMicro(2))
	r.PayloadHash, r.DataKey = sha256.Sum256(sealed), 1
	encoded, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return events.Item{Record: encoded, Sealed: sealed, Digest: make([]byte, 8)}
}

// logOf puts batches into a log that anything may be done to.
func logOf(t *testing.T, all []*events.Batch) (*natsd.Server, jetstream.Stream) {
	t.Helper()
	s := natsdtest.Start(t)
	js := natsdtest.JetStream(t, s, natsd.Operator)
	if err := js.DeleteStream(t.Context(), stream.LogStream); err != nil {
		t.Fatal(err)
	}
	log, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: stream.LogStream, Subjects: []string{stream.LogSubjects}})
	if err != nil {
		t.Fatal(err)
	}
	projector := natsdtest.JetStream(t, s, natsd.Projector)
	for _, b := range all {
		data, err := b.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := projector.Publish(t.Context(), stream.LogSubject(b.Header.Lane), data); err != nil {
			t.Fatal(err)
		}
	}
	return s, log
}

func read(t *testing.T, s *natsd.Server) *checker.Log {
	t.Helper()
	log, err := checker.ReadLog(t.Context(), natsdtest.JetStream(t, s, natsd.Operator))
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// finds fails the test unless a fault begins with want, and, where want is
// empty, if there is any.
func finds(t *testing.T, faults []checker.Fault, want string) {
	t.Helper()
	found := slices.ContainsFunc(faults, func(f checker.Fault) bool { return strings.HasPrefix(string(f), want) })
	if want == "" && len(faults) > 0 || want != "" && !found {
		t.Errorf("found %q, want %q", faults, want)
	}
}

// TestFaultsOfTheLog breaks a log in every way that the doc lists.
func TestFaultsOfTheLog(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		want string
		do   func(all []*events.Batch) []*events.Batch
	}{
		{"", func(all []*events.Batch) []*events.Batch { return all }},
		{"a batch does not follow", func(all []*events.Batch) []*events.Batch { return slices.Delete(all, 2, 3) }},
		{"a batch does not follow", func(all []*events.Batch) []*events.Batch { return slices.Insert(all, 2, all[1]) }},
		{"an event is in the log twice", func(all []*events.Batch) []*events.Batch { return slices.Insert(all, 2, all[1]) }},
		{"a root does not recompute", func(all []*events.Batch) []*events.Batch { all[4].Header.Root[3]++; return all }},
		{"a root does not recompute", func(all []*events.Batch) []*events.Batch { all[4].Items[1].Record[40]++; return all }},
		{"a sealed part is not", func(all []*events.Batch) []*events.Batch { all[4].Items[1].Sealed[0]++; return all }},
		{"a sealed part is not", func(all []*events.Batch) []*events.Batch { all[4].Items[1].Sealed = nil; return all }},
		{"an epoch goes back", func(all []*events.Batch) []*events.Batch { all[6].Header.Epoch = 1; return all }},
		{"a message is no batch", func(all []*events.Batch) []*events.Batch { all[3].Header.Version = 9; return all }},
	} {
		t.Run(fault.want, func(t *testing.T) {
			t.Parallel()
			s, _ := logOf(t, fault.do(written(t)))
			finds(t, read(t, s).Faults, fault.want)
		})
	}
}

func TestMessageMissing(t *testing.T) {
	t.Parallel()
	s, log := logOf(t, written(t))
	if err := log.DeleteMsg(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	faults := read(t, s).Faults
	finds(t, faults, "the stream has holes")
	finds(t, faults, "a message is missing")
}

func TestHolds(t *testing.T) {
	t.Parallel()
	s, _ := logOf(t, written(t))
	log := read(t, s)
	there, lost := checker.Identity{Tenant: "acme", Source: "s", ID: "e-4"}, checker.Identity{Tenant: "acme", Source: "s", ID: "lost"}
	ours := func(checker.Identity) bool { return true }
	finds(t, log.Holds([]checker.Identity{there}, ours), "")
	finds(t, log.Holds([]checker.Identity{there, lost}, ours), "an acknowledged event is not in the log: id=lost")
	finds(t, log.Holds(nil, func(id checker.Identity) bool { return id != there }), "nobody published what is in the log: id=e-4")
}

// TestFaultsOfTheTables lets the projector fill the tables and breaks them.
func TestFaultsOfTheTables(t *testing.T) {
	t.Parallel()
	s, _ := logOf(t, written(t))
	log := read(t, s)
	for want, change := range map[string]string{
		"":                              "SELECT 1",
		"events: row of index is m":     "ALTER TABLE events DELETE WHERE `index` = 4",
		"events: row of index is t":     "INSERT INTO events SELECT * FROM events WHERE `index` = 20",
		"events: a row differs":         "ALTER TABLE events UPDATE outcome = 'failure' WHERE `index` = 4",
		"payloads: row of index is m":   "ALTER TABLE payloads DELETE WHERE `index` = 20",
		"payloads: row of index is t":   "INSERT INTO payloads SELECT * FROM payloads WHERE `index` = 4",
		"payloads: a row differs":       "ALTER TABLE payloads UPDATE sealed = 'x' WHERE `index` = 4",
		"batches: row of sequence is m": "ALTER TABLE batches DELETE WHERE seq = 2",
		"batches: row of sequence is t": "INSERT INTO batches SELECT * FROM batches WHERE seq = 2",
		"batches: a row differs":        "ALTER TABLE batches UPDATE root = '' WHERE seq = 2",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			db := tables(t, s)
			ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 2}))
			if err := db.Exec(ctx, change); err != nil {
				t.Fatal(err)
			}
			faults, err := log.Tables(t.Context(), db)
			if err != nil {
				t.Fatal(err)
			}
			finds(t, faults, want)
		})
	}
}

// tables is a database that the projector has filled.
func tables(t *testing.T, s *natsd.Server) driver.Conn {
	t.Helper()
	db := enginetest.Database(t)
	options := &clickhouse.Options{Addr: []string{db.Addr}, Auth: clickhouse.Auth{Database: db.Database, Username: db.User, Password: db.Password}}
	if err := audit.Migrate(t.Context(), audit.MigrateConfig{Options: options}); err != nil {
		t.Fatal(err)
	}
	conn, err := audit.Open(options, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	log, err := stream.OpenLog(t.Context(), natsdtest.JetStream(t, s, natsd.Projector))
	if err != nil {
		t.Fatal(err)
	}
	p, err := audit.New(audit.Config{Conn: conn, Read: func(ctx context.Context, from uint64) (audit.LogReader, error) { return log.Read(ctx, from) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for tick := time.NewTicker(10 * time.Millisecond); p.Position().Seq < batches && ctx.Err() == nil; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
		}
	}
	stop()
	if err := <-ended; err != nil || p.Position().Seq < batches {
		t.Fatalf("at %+v: %v", p.Position(), err)
	}
	return conn
}
