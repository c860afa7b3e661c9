package store

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
)

// maxCounted bounds the events that are counted: exact below it, in about
// 100 MB of the server's memory at it.
const maxCounted = 2_000_000

// hits counts the live tokens that a revocation would reach. A token was issued
// once and perhaps refreshed: it is counted by its reference.
type hits struct {
	query.HitSearch
	end     uint64
	counted int
}

// living is the conditions on the events of tokens that live and match.
func living(q query.HitSearch, end uint64) *where {
	w := new(where)
	w.tenant(q.Tenant, false)
	w.and("shard = {shard:UInt16}", "shard", q.Shard)
	w.and("type IN {types:Array(String)}", "types", names([]events.Type{events.TokenIssued, events.TokenRefreshed}))
	w.matching(&events.Record{
		Issuer: q.Issuer, Client: q.Client, KeyID: q.KeyID, TokenRef: q.Ref, SessionRef: q.Ref, GrantRef: q.Ref, SubjectRef: q.Ref,
		Revocation: &events.Revocation{Scope: q.Scope},
	}, nil)
	w.and("`index` < {end:UInt64}", "end", end)
	if q.Cutoff != 0 {
		w.and("(toUnixTimestamp64Milli(iat) = 0 OR intDiv(toUnixTimestamp64Milli(iat), 1000) <= {cutoff:Int64})", "cutoff", int64(q.Cutoff/1000))
	}
	w.args = append(w.args, clickhouse.Named("oldest", q.Now.Add(-q.MaxLifetime).UnixMilli()))
	w.and("if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},\n"+
		"    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})", "now", q.Now.UnixMilli())
	return w
}

const none = "toFixedString('', 16)"

func (q hits) SQL() (string, []any) {
	w := living(q.HitSearch, q.end)
	return "SELECT uniqExact(token_ref), uniqExactIf(subject_ref, subject_ref != " + none + "),\n" +
		"  uniqExactIf(session_ref, session_ref != " + none + "), uniqExactIf((issuer, client), client != ''),\n" +
		"  uniqExactIf(token_ref, subject_ref = " + none + "), count()\n" +
		"FROM (\n  SELECT token_ref, subject_ref, session_ref, issuer, client\n  FROM events\n  WHERE " + w.String() +
		"\n  LIMIT {counted:UInt64}\n)", append(w.args, clickhouse.Named("counted", q.counted))
}

// reach is how many subjects, or tokens that name none, are hit: it stops where
// a limit is reached.
type reach struct {
	query.HitSearch
	end   uint64
	limit uint64
}

func (q reach) SQL() (string, []any) {
	w := living(q.HitSearch, q.end)
	return "SELECT count()\nFROM (\n  SELECT DISTINCT if(subject_ref = " + none + ", token_ref, subject_ref)\n  FROM events\n  WHERE " + w.String() +
		"\n  LIMIT {limit:UInt64}\n)", append(w.args, clickhouse.Named("limit", q.limit))
}

// Reach implements query.ReachStore.
func (s *Store) Reach(ctx context.Context, q query.HitSearch, limit uint64) (n uint64, err error) {
	if err := bounded(q.Tenant, false); err != nil {
		return 0, fmt.Errorf("count who is reached: %w", err)
	}
	end, err := s.recorded(ctx, q.Shard)
	if err == nil {
		err = s.ask(ctx, reach{q, end, limit}, func(scan func(...any) error) error { return scan(&n) })
	}
	if err != nil {
		return 0, fmt.Errorf("count who is reached: %w", err)
	}
	return n, nil
}

// Hits implements query.ReachStore.
func (s *Store) Hits(ctx context.Context, q query.HitSearch) (out query.Hits, err error) {
	if err := bounded(q.Tenant, false); err != nil {
		return out, fmt.Errorf("count live tokens: %w", err)
	}
	var anonymous, rows uint64
	out.Position, err = s.recorded(ctx, q.Shard)
	if err == nil {
		err = s.ask(ctx, hits{q, out.Position, s.counted}, func(scan func(...any) error) error {
			return scan(&out.Tokens, &out.Subjects, &out.Sessions, &out.Clients, &anonymous, &rows)
		})
	}
	if err != nil {
		return query.Hits{}, fmt.Errorf("count live tokens: %w", err)
	}
	out.Reach, out.AtLeast = out.Subjects+anonymous, rows >= uint64(s.counted)
	return out, nil
}
