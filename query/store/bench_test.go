package store

import (
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
)

// BenchmarkQuestions asks a table of three million events of two tenants and
// 100,000 subjects, in one part: the worst case for the newest rows, each of
// which stands in a granule of its own. Until they are merged they stand
// together.
func BenchmarkQuestions(b *testing.B) {
	conn := tables(b)
	const fill = `INSERT INTO events (shard, ` + "`index`" + `, tenant, subject_ref, time, received, version, environment, type, source, id,
  issuer, token_ref, session_ref, client, kid, alg, outcome, payload_hash)
SELECT 0, number, ['acme', 'umbrella'][1 + number % 2], substring(SHA1(toString(number % 100000)), 1, 16),
  toDateTime64('2026-11-01 00:00:00', 6, 'UTC') + number / 1000, toDateTime64('2026-11-01 00:00:00', 6, 'UTC') + number / 1000,
  1, 'prod', ['dev.rescind.token.issued.v1', 'dev.rescind.token.verified.v1'][1 + number % 7 % 2], 'https://issuer.example', toString(number),
  'https://issuer.example', substring(SHA1(concat('t', toString(intDiv(number, 5)))), 1, 16),
  substring(SHA1(concat('s', toString(intDiv(number, 50)))), 1, 16), 'web', 'k1', 'ES256', 'success', SHA256(toString(number))
FROM numbers(3000000) SETTINGS max_insert_threads = 2`
	for _, sql := range []string{fill, "OPTIMIZE TABLE events FINAL"} {
		if err := conn.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	record(b, conn, 3_000_000)
	var subject, token, session events.Ref
	err := conn.QueryRow(b.Context(), "SELECT subject_ref, token_ref, session_ref FROM events WHERE `index` = 1000000").Scan(&subject, &token, &session)
	if err != nil {
		b.Fatal(err)
	}
	s := New(conn)
	for name, q := range map[string]query.Search{
		"newest 100 of a tenant":  {Tenant: "acme", Descending: true},
		"newest 1000 of a tenant": {Tenant: "acme", Descending: true, Limit: 1000},
		"subject":                 {Tenant: "acme", SubjectRef: subject},
		"token":                   {Tenant: "acme", TokenRef: token},
		"session":                 {Tenant: "acme", SessionRef: session},
		"rare type":               {Tenant: "acme", Types: []events.Type{events.FindingOpened}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Search(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("event by index", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Event(b.Context(), "acme", 0, 1_000_000); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("count of a tenant", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Count(b.Context(), query.Search{Tenant: "acme"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("findings", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Findings(b.Context(), query.FindingSearch{Tenant: "acme"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
