package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/internal/eventrow"
)

// traffic is the log of a busy issuer: 100,000 subjects by Zipf's law, whose
// sessions hold a few tokens that are verified again and again.
type traffic struct {
	random   *rand.Rand
	zipf     *rand.Zipf
	subjects map[uint64]*subject
	next     uint64
	seq      uint64
	now      time.Time
}

type subject struct {
	ref    events.Ref
	tokens []token
}

type token struct {
	ref, session events.Ref
	issued       time.Time
}

func newTraffic() *traffic {
	random := rand.New(rand.NewPCG(1, 2))
	return &traffic{
		random: random, zipf: rand.NewZipf(random, 1.1, 8, 99_999), subjects: map[uint64]*subject{},
		now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
	}
}

func (g *traffic) ref() (r events.Ref) {
	binary.LittleEndian.PutUint64(r[:], g.random.Uint64())
	binary.LittleEndian.PutUint64(r[8:], g.random.Uint64())
	return r
}

// record is one event of a subject, and the token that it is about.
func (g *traffic) record() events.Record {
	g.now = g.now.Add(time.Millisecond)
	n := g.zipf.Uint64()
	s := g.subjects[n]
	if s == nil {
		s = &subject{ref: g.ref()}
		g.subjects[n] = s
	}
	kind, outcome, reason := events.TokenVerified, "success", ""
	switch p := g.random.IntN(100); {
	case len(s.tokens) == 0 || p < 15:
		kind = events.TokenIssued
		s.tokens = append(s.tokens, token{g.ref(), g.ref(), g.now.Truncate(time.Second)})
	case p < 20:
		kind = events.TokenRefreshed
		s.tokens = append(s.tokens, token{g.ref(), s.tokens[len(s.tokens)-1].session, g.now.Truncate(time.Second)})
	case p >= 97:
		kind, outcome, reason = events.TokenRejected, "failure", "expired"
	}
	s.tokens = s.tokens[max(0, len(s.tokens)-4):]
	t := s.tokens[len(s.tokens)-1]
	if kind == events.TokenVerified {
		t = s.tokens[g.random.IntN(len(s.tokens))]
	}
	id := g.ref()
	return events.Record{
		Version: events.RecordVersion, Source: "https://id.example.com/pool/acme", ID: hex.EncodeToString(id[:]), Tenant: "acme",
		Environment: "prod", Type: kind, Time: g.now.UnixMicro() - int64(g.random.IntN(1000)), Received: g.now.UnixMicro() / 5000 * 5000,
		Issuer: "https://id.example.com", SubjectRef: s.ref, TokenRef: t.ref, SessionRef: t.session,
		Client: fmt.Sprintf("app-%02d", n%20), KeyID: "2026-11", Algorithm: "ES256", Audience: []string{"https://api.example.com"},
		Scope: "openid profile orders:read", IssuedAt: events.TimestampOf(t.issued), Expires: events.TimestampOf(t.issued.Add(15 * time.Minute)),
		Outcome: outcome, Reason: reason, DataKey: 1,
	}
}

// sealedBytes is how long a sealed part is.
const sealedBytes = 110

func (g *traffic) message(b testing.TB, n int) stream.LogMessage {
	batch := events.Batch{Header: events.Header{
		Version: events.BatchVersion, Epoch: 1, Lane: events.Access, First: g.next, Count: uint32(n), Size: g.next + uint64(n),
		Written: g.now.UnixMicro(),
	}}
	for range n {
		r, sealed := g.record(), make([]byte, sealedBytes)
		for i := range sealed {
			sealed[i] = byte(g.random.Uint32())
		}
		r.PayloadHash = sha256.Sum256(sealed)
		encoded, err := r.Marshal()
		if err != nil {
			b.Fatal(err)
		}
		batch.Items = append(batch.Items, events.Item{Record: encoded, Sealed: sealed, Digest: make([]byte, 8)})
	}
	data, err := batch.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	g.next, g.seq = g.next+uint64(n), g.seq+1
	return stream.LogMessage{Seq: g.seq, Data: data}
}

// messages is n records in batches of up to a thousand.
func (g *traffic) messages(b testing.TB, n int) (out []stream.LogMessage) {
	for ; n > 0; n -= 1000 {
		out = append(out, g.message(b, min(n, 1000)))
	}
	return out
}

func benchTables(b *testing.B) (driver.Conn, enginetest.DB) {
	db := enginetest.Database(b)
	o := &clickhouse.Options{Addr: []string{db.Addr}, Auth: clickhouse.Auth{Database: db.Database, Username: db.User, Password: db.Password}}
	if err := Migrate(b.Context(), MigrateConfig{Options: o}); err != nil {
		b.Fatal(err)
	}
	conn, err := Open(o, time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return conn, db
}

// BenchmarkStore is a chunk's way from the messages of the log into the three
// tables. Beside it, bare, the same columns are inserted by themselves: no
// decoding, no check, no fence, no batches.
func BenchmarkStore(b *testing.B) {
	for _, n := range []int{1, 1000, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkStore(b, n, false) })
		b.Run(fmt.Sprint(n, " bare"), func(b *testing.B) { benchmarkStore(b, n, true) })
	}
}

func benchmarkStore(b *testing.B, n int, bare bool) {
	conn, _ := benchTables(b)
	cfg := Config{Conn: conn}.withDefaults()
	f, err := newFence(b.Context(), &cfg, new(open))
	if err != nil {
		b.Fatal(err)
	}
	if err := f.acquire(b.Context()); err != nil {
		b.Fatal(err)
	}
	g, at, c := newTraffic(), Position{}, new(chunk)
	decode := func(msgs []stream.LogMessage) {
		c.reset()
		for i := range msgs {
			if at, err = c.add(&msgs[i], 0, at); err != nil {
				b.Fatal(err)
			}
		}
	}
	var cpu time.Duration
	server := serverCPU(b, conn)
	for b.Loop() {
		b.StopTimer()
		msgs := g.messages(b, n)
		if bare {
			decode(msgs)
		}
		b.StartTimer()
		started := ownCPU(b)
		if !bare {
			decode(msgs)
			err = store(b.Context(), f, c, new(state), true)
		} else {
			err = storeBare(b, f, c)
		}
		if err != nil {
			b.Fatal(err)
		}
		cpu += ownCPU(b) - started
	}
	rows := float64(n) * float64(b.N)
	b.ReportMetric(rows/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/rows, "client-ns/row")
	b.ReportMetric(float64((serverCPU(b, conn)-server).Nanoseconds())/rows, "server-ns/row")
}

// serverCPU is the processor time that the server counts for queries and merges.
func serverCPU(b testing.TB, conn driver.Conn) time.Duration {
	var us uint64
	const sum = "SELECT sum(value) FROM system.events WHERE event IN ('UserTimeMicroseconds', 'SystemTimeMicroseconds')"
	if err := conn.QueryRow(b.Context(), sum).Scan(&us); err != nil {
		b.Fatal(err)
	}
	return time.Duration(us) * time.Microsecond
}

func storeBare(b *testing.B, f *fence, c *chunk) error {
	ctx := b.Context()
	t, err := payloadBlock(c, c.absentSealed(nil))
	if err != nil {
		return err
	}
	const payloads = "INSERT INTO payloads (shard, `index`, tenant, subject_ref, received, sealed) SELECT 0, `index`, tenant, subject_ref, fromUnixTimestamp64Micro(received, 'UTC'), sealed FROM incoming"
	if err := f.exec(clickhouse.Context(ctx, clickhouse.WithExternalTable(t)), payloads); err != nil {
		return err
	}
	if t, err = eventrow.Block(c.rows); err != nil {
		return err
	}
	return f.exec(clickhouse.Context(ctx, clickhouse.WithExternalTable(t)), eventrow.Insert)
}

func ownCPU(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDecode is the decoding of a chunk alone.
func BenchmarkDecode(b *testing.B) {
	const n = 20_000
	msgs := newTraffic().messages(b, n)
	c := new(chunk)
	for b.Loop() {
		c.reset()
		at, err := Position{}, error(nil)
		for i := range msgs {
			if at, err = c.add(&msgs[i], 0, at); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
}

// BenchmarkStored is what a million events take on disk once they are merged:
// all tables, indexes and projections.
func BenchmarkStored(b *testing.B) {
	conn, _ := benchTables(b)
	cfg := Config{Conn: conn}.withDefaults()
	f, err := newFence(b.Context(), &cfg, new(open))
	if err != nil {
		b.Fatal(err)
	}
	if err := f.acquire(b.Context()); err != nil {
		b.Fatal(err)
	}
	const n, each = 1_000_000, 20_000
	g, at := newTraffic(), Position{}
	for b.Loop() {
		for range n / each {
			c := new(chunk)
			for _, m := range g.messages(b, each) {
				if at, err = c.add(&m, 0, at); err != nil {
					b.Fatal(err)
				}
			}
			if err := store(b.Context(), f, c, new(state), true); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, table := range []string{"events", "payloads", "batches"} {
		if err := conn.Exec(b.Context(), "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
			b.Fatal(err)
		}
		var bytes uint64
		const size = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() AND table = {table:String}"
		if err := conn.QueryRow(b.Context(), size, clickhouse.Named("table", table)).Scan(&bytes); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(bytes)/n/float64(b.N), table+"-B/event")
	}
}
