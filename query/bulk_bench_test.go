package query

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rescindhq/rescind/events"
)

// BenchmarkBulkLine is what one line costs before it is published.
func BenchmarkBulkLine(b *testing.B) {
	s := &Server{cfg: Config{Policy: events.Policy{Environment: "test"}, MaxLifetime: 24 * time.Hour, Skew: time.Minute, Now: time.Now}}
	r := &bulkRun{s: s, key: jobKey{"acme", jobOf(uuid.Must(uuid.NewV7()))}, at: time.Now().UTC(), actor: &Principal{Subject: "ops"}}
	line := []byte(`{"scope":"token","iss":"https://id.example","jti":"00000001-4f5a-11ee-be56-0242ac120002","exp":1900000000,"reason":"token_leaked"}`)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := r.event(uint32(i), line); err != nil {
			b.Fatal(err)
		}
	}
}
