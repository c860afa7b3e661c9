package eventrow_test

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"testing"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/projector/audit"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(enginetest.M{M: m})
}

// records are drawn member by member, so that one which no column takes in is
// found: the row cannot give it back.
var records = rapid.Custom(func(t *rapid.T) events.Record {
	var r events.Record
	fill(t, reflect.ValueOf(&r).Elem())
	r.Version = events.RecordVersion
	// The month of receipt is the partition, and one insert reaches a hundred.
	r.Received = rapid.SampledFrom([]int64{0, -1, 1_800_000_000_000_000, math.MaxInt64, math.MinInt64}).Draw(t, "received")
	return r
})

func fill(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case reflect.String:
		v.SetString(rapid.OneOf(rapid.Just(""), rapid.String(), rapid.Just("a\x00b'\\\"\n\u2028")).Draw(t, "text"))
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(rapid.Byte().Draw(t, "byte")))
		}
	case reflect.Slice:
		v.Set(reflect.ValueOf(rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "list")))
	case reflect.Map:
		v.Set(reflect.ValueOf(rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(t, "map")))
	case reflect.Int64:
		v.SetInt(rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{0, math.MaxInt64, math.MinInt64})).Draw(t, "int"))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(rapid.OneOf(rapid.Uint64(), rapid.Just(uint64(math.MaxUint64))).Draw(t, "uint") >> (64 - v.Type().Bits()))
	default:
		t.Fatalf("no generator for a %s", v.Type())
	}
}

func TestARecordComesBackByteForByte(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	rows := make([]eventrow.Row, 400)
	for i := range rows {
		rows[i] = eventrow.Row{Shard: uint16(i % 3), Index: uint64(i), Record: records.Example(i)}
	}
	rows[0].Record = events.Record{Version: events.RecordVersion} // nothing at all
	rows[1].Record = events.Record{Version: events.RecordVersion, Revocation: &events.Revocation{}}
	rows[1].Index = math.MaxUint64
	insert(t, conn, rows)
	got := read(t, conn)
	if len(got) != len(rows) {
		t.Fatalf("%d rows came back of %d", len(got), len(rows))
	}
	for i := range rows {
		want, back := rows[i], got[rows[i].Index]
		if back.Shard != want.Shard {
			t.Fatalf("row %d: shard %d, want %d", i, back.Shard, want.Shard)
		}
		if !bytes.Equal(encode(t, &back.Record), encode(t, &want.Record)) {
			t.Fatalf("row %d: %s", i, cmp.Diff(want.Record, back.Record))
		}
	}
}

func TestEveryColumnOfTheTableIsWritten(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	rows, err := conn.Query(t.Context(), "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events'")
	if err != nil {
		t.Fatal(err)
	}
	into, _, _ := bytes.Cut([]byte(eventrow.Insert), []byte(")"))
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(append(into, ','), fmt.Appendf(nil, "`%s`,", name)) {
			t.Errorf("column %s is not in: %s", name, into)
		}
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
}

func connect(t testing.TB) driver.Conn {
	t.Helper()
	db := enginetest.Database(t)
	o := &clickhouse.Options{
		Addr: []string{db.Addr}, Auth: clickhouse.Auth{Database: db.Database, Username: db.User, Password: db.Password},
	}
	if err := audit.Migrate(t.Context(), audit.MigrateConfig{Options: o}); err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func insert(t testing.TB, conn driver.Conn, rows []eventrow.Row) {
	t.Helper()
	block, err := eventrow.Block(rows)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec(clickhouse.Context(t.Context(), clickhouse.WithExternalTable(block)), eventrow.Insert); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, conn driver.Conn) map[uint64]eventrow.Row {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT "+eventrow.Columns+" FROM events")
	if err != nil {
		t.Fatal(err)
	}
	out := map[uint64]eventrow.Row{}
	for rows.Next() {
		r, err := eventrow.Scan(rows.Scan)
		if err != nil {
			t.Fatal(err)
		}
		out[r.Index] = r
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func encode(t testing.TB, r *events.Record) []byte {
	t.Helper()
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// BenchmarkBlock is the client's share of an insert.
func BenchmarkBlock(b *testing.B) {
	rows := make([]eventrow.Row, 10_000)
	for i := range rows {
		rows[i] = eventrow.Row{Index: uint64(i), Record: events.Record{
			Version: 1, Source: "https://issuer.example", ID: fmt.Sprintf("0190-%d", i), Tenant: "acme", Environment: "prod",
			Type: events.TokenIssued, Issuer: "https://issuer.example", Client: "web", KeyID: "k1", Algorithm: "ES256",
			Audience: []string{"api"}, Scope: "read write", Attributes: map[string]string{"region": "eu"}, Claims: []string{"email"},
		}}
	}
	var buffer chproto.Buffer
	for b.Loop() {
		block, err := eventrow.Block(rows)
		if err != nil {
			b.Fatal(err)
		}
		buffer.Reset()
		if err := block.Block().Encode(&buffer, 54460); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rows)), "ns/row")
}

// TestADictionaryOfAnySize has columns with so many values that their codes
// take one, two and four bytes, and has the server compare them.
func TestADictionaryOfAnySize(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	for _, distinct := range []int{1, 255, 256, 257, 65_535, 65_536, 65_537} {
		rows := make([]eventrow.Row, distinct+3)
		for i := range rows {
			value := fmt.Sprint(i % distinct)
			rows[i] = eventrow.Row{Index: uint64(i), Record: events.Record{Client: value, Audience: []string{value, "all"}}}
		}
		insert(t, conn, rows)
		var count, wrong uint64
		row := conn.QueryRow(t.Context(), "SELECT count(), countIf(client != value OR aud != [value, 'all']) FROM (SELECT *, toString(`index` % ?) AS value FROM events)", distinct)
		if err := row.Scan(&count, &wrong); err != nil || count != uint64(len(rows)) || wrong != 0 {
			t.Fatalf("%d values: %d of %d rows, %d of them wrong, %v", distinct, count, len(rows), wrong, err)
		}
		if err := conn.Exec(t.Context(), "TRUNCATE TABLE events"); err != nil {
			t.Fatal(err)
		}
	}
}
