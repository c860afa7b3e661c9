package query

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/rescindhq/rescind/events"
)

// FuzzPlainLine: what is read the short way is read alike the long way.
func FuzzPlainLine(f *testing.F) {
	for _, line := range []string{
		`{"scope":"token","iss":"i","jti":"j","exp":1900000000,"reason":"r"}`,
		` { "scope" : "subject" , "iss":"i","sub":"ü","issued_before": 5 , "starts":6,"not_after":7} `,
		`{"scope":"token","jti":"a","jti":"b"}`, `{"scope":"token","jti":"a\u0041"}`, `{"scope":"token","Jti":"a"}`, `{"jti":7}`, `{"exp":1.5}`, `{"exp":1e3}`,
		`{"exp":01}`, `{"exp":-1}`, `{"exp":12345678901}`, `{"exp":1x}`, `{}`, `{"jti":"a"}x`, `{"jti":"a",}`, `{"jti":null}`, "{\"jti\":\"\xff\"}", `{"jti":"a"`, ``, `[]`,
		"{\"tenant\":\"t\",\"sid\":\"s\",\"client_id\":\"c\",\"kid\":\"k\",\"grant_id\":\"g\",\"ticket\":\"t\",\"note\":\"\x7f\"}",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var short, long RevocationRequest
		if !(&plainLine{rest: line}).read(&short) {
			return
		}
		if err := decodeJSON(line, &long); err != nil {
			t.Fatalf("%q was read, and is not to be: %v", line, err)
		}
		if d := cmp.Diff(long, short); d != "" {
			t.Fatalf("%q: %s", line, d)
		}
	})
}

// TestUsualLinesArePlain: the short way is the one that is taken.
func TestUsualLinesArePlain(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{"scope":"token","iss":"https://id.example","jti":"t-1","exp":1900000000,"reason":"token_leaked"}`,
		`{"reason":"logout", "iss":"i", "sid":"s", "scope":"session", "ticket":"T-1"}`,
	} {
		if !(&plainLine{rest: []byte(line)}).read(new(RevocationRequest)) {
			t.Error(line)
		}
	}
}

// BenchmarkBulkLine is what one line costs before it is published.
func BenchmarkBulkLine(b *testing.B) {
	s := &Server{cfg: Config{Policy: events.Policy{Environment: "test"}, MaxLifetime: 24 * time.Hour, Skew: time.Minute, Now: time.Now}}
	r := &bulkRun{s: s, key: jobKey{"acme", jobOf(uuid.Must(uuid.NewV7()))}, at: time.Now().UTC(), actor: &Principal{Subject: "ops"}}
	line := []byte(`{"scope":"token","iss":"https://id.example","jti":"00000001-4f5a-11ee-be56-0242ac120002","exp":1900000000,"reason":"token_leaked"}`)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := r.event(uint32(i), sumOf(r.id, line), line); err != nil {
			b.Fatal(err)
		}
	}
}
