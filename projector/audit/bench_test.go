package audit

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
)

// BenchmarkStore is a chunk's way from the messages of the log into the three
// tables, on one connection.
func BenchmarkStore(b *testing.B) {
	for _, n := range []int{1, 1000, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			db := enginetest.Database(b)
			o := &clickhouse.Options{Addr: []string{db.Addr}, Auth: clickhouse.Auth{Database: db.Database, Username: db.User, Password: db.Password}}
			if err := Migrate(b.Context(), MigrateConfig{Options: o}); err != nil {
				b.Fatal(err)
			}
			conn, err := Open(o, time.Minute)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			cfg := Config{Conn: conn}.withDefaults()
			f, err := newFence(b.Context(), &cfg)
			if err != nil {
				b.Fatal(err)
			}
			if err := f.acquire(b.Context()); err != nil {
				b.Fatal(err)
			}
			w, at := &world{random: rand.New(rand.NewPCG(1, 2))}, Position{}
			for b.Loop() {
				b.StopTimer()
				var msgs []stream.LogMessage
				for left := n; left > 0; left -= 1000 {
					batch := w.batch(min(left, 1000))
					w.batches = append(w.batches[:0], batch)
					data, err := batch.Marshal()
					if err != nil {
						b.Fatal(err)
					}
					msgs = append(msgs, stream.LogMessage{Seq: at.Seq + uint64(len(msgs)) + 1, Data: data})
				}
				b.StartTimer()
				c, _, err := take(msgs, 0, at, n)
				if err != nil {
					b.Fatal(err)
				}
				if err := store(b.Context(), f, c, new(state), true); err != nil {
					b.Fatal(err)
				}
				at = c.end()
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
