package store

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/leak"
)

// BenchmarkReach asks a table of a million events of one tenant, half of them
// acceptances, with a thousand revocations among them: what the widest would
// hit, who accepted what it revoked, and a window of the worker.
func BenchmarkReach(b *testing.B) {
	conn := tables(b)
	const fill = `INSERT INTO events (shard, ` + "`index`" + `, tenant, subject_ref, time, received, version, environment, type, source, id,
  issuer, token_ref, session_ref, client, kid, alg, outcome, iat, exp, view, revokes, revoked_scope, revoked_hash, revoked_before, revoked_expires)
SELECT 0, number, 'acme', substring(SHA1(toString(number % 100000)), 1, 16),
  toDateTime64('2026-11-01 00:00:00', 6, 'UTC') + number / 1000, toDateTime64('2026-11-01 00:00:00', 6, 'UTC') + number / 1000, 1, 'prod',
  multiIf(number % 1000 = 7, 'dev.rescind.token.revoked.v1', number % 2 = 0, 'dev.rescind.token.issued.v1', 'dev.rescind.token.verified.v1'),
  'https://issuer.example', toString(number), 'https://issuer.example', substring(SHA1(concat('t', toString(intDiv(number, 2)))), 1, 16),
  substring(SHA1(concat('s', toString(intDiv(number, 50)))), 1, 16), 'web', 'k1', 'ES256', 'success',
  toDateTime64('2026-11-01 00:00:00', 3, 'UTC'), toDateTime64('2026-11-02 00:00:00', 3, 'UTC'), number,
  number % 1000 = 7, if(number % 1000 = 7, 'token', ''), substring(SHA1(toString(number)), 1, 16), toDateTime64(0, 3, 'UTC'), toDateTime64('2026-11-02 00:00:00', 3, 'UTC')
FROM numbers(1000000) SETTINGS max_insert_threads = 2`
	if err := conn.Exec(b.Context(), fill); err != nil {
		b.Fatal(err)
	}
	record(b, conn, 1_000_000)
	s, now := New(conn), day.Add(time.Hour)
	for _, scope := range []events.Scope{events.ScopeTenant, events.ScopeClient} {
		b.Run("hits of a "+string(scope), func(b *testing.B) {
			for b.Loop() {
				got, err := s.Hits(b.Context(), query.HitSearch{Tenant: "acme", Scope: scope, Issuer: "https://issuer.example", Client: "web", Now: now, MaxLifetime: 24 * time.Hour})
				if err != nil || got.Tokens < 400_000 {
					b.Fatal(got, err)
				}
			}
		})
	}
	b.Run("refused of a tenant", func(b *testing.B) {
		for b.Loop() {
			n, err := s.Refused(b.Context(), query.HitSearch{Tenant: "acme", Scope: events.ScopeTenant, Now: now, MaxLifetime: 24 * time.Hour}, 1_000_000)
			if err != nil || n == 0 {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("reach of a tenant, to 1,001", func(b *testing.B) {
		for b.Loop() {
			if n, err := s.Reach(b.Context(), query.HitSearch{Tenant: "acme", Scope: events.ScopeTenant, Now: now, MaxLifetime: 24 * time.Hour}, 1001); n != 1001 || err != nil {
				b.Fatal(n, err)
			}
		}
	})
	for name, scope := range map[string]events.Scope{"tenant": events.ScopeTenant, "subject": events.ScopeSubject} {
		r := leak.Revoked{Index: 500_000, Record: &events.Record{Tenant: "acme", SubjectRef: subjectOf(b, s), Received: day.UnixMicro(), Revocation: &events.Revocation{Scope: scope}}}
		b.Run("leaks of a "+name, func(b *testing.B) {
			for b.Loop() {
				page, err := s.Leaks(b.Context(), query.LeakSearch{Revoked: r, Bound: leakBound})
				if err != nil || len(page.Rows) == 0 {
					b.Fatal(len(page.Rows), err)
				}
			}
		})
	}
	for name, ask := range map[string]func(context.Context) error{
		"suspects": func(ctx context.Context) error {
			_, err := s.Suspects(ctx, leak.Window{First: 900_000, End: 965_536, Bound: leakBound, Limit: 500})
			return err
		},
		"suspects, none forgotten": func(ctx context.Context) error {
			_, err := s.Suspects(ctx, leak.Window{First: 900_000, End: 965_536, Bound: leakBound, Limit: 500, NoneForgotten: true})
			return err
		},
		"a glance": func(ctx context.Context) error {
			_, err := s.Glance(ctx, 0, 900_000, 965_536)
			return err
		},
	} {
		b.Run(name+" in 65,536", func(b *testing.B) {
			var used atomic.Int64 // µs of processor time of the server
			ctx := clickhouse.Context(b.Context(), clickhouse.WithProfileEvents(func(all []clickhouse.ProfileEvent) {
				for _, e := range all {
					if e.Name == "UserTimeMicroseconds" || e.Name == "SystemTimeMicroseconds" {
						used.Add(e.Value)
					}
				}
			}))
			for b.Loop() {
				if err := ask(ctx); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(used.Load())/float64(b.N), "cpu-µs/op")
		})
	}
}

func subjectOf(b *testing.B, s *Store) events.Ref {
	b.Helper()
	row, err := s.Event(b.Context(), "acme", 0, 900_000)
	if err != nil {
		b.Fatal(err)
	}
	return row.Record.SubjectRef
}
