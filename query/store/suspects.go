package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/leak"
)

// suspects is pairs of accepted tokens, of some indices, and revocations before
// them that reach them: what stands under the same name in one scope. Lifts are
// not looked at. The revocations of those who were forgotten by them are also
// under the names of the tokens that the log knows as theirs.
type suspects struct{ leak.Window }

// revoking is the types that revoke.
func revoking() []events.Type {
	return slices.DeleteFunc(events.Types(), func(t events.Type) bool { return t.RevokedScope() == "" })
}

const (
	// named is what a token.verified stands under.
	named = `arrayJoin(arrayFilter(n -> n.2 != '', [
      ('token', if(token_ref = none, '', toString(token_ref))), ('session', if(session_ref = none, '', toString(session_ref))),
      ('grant', if(grant_ref = none, '', toString(grant_ref))), ('subject', if(subject_ref = none, '', toString(subject_ref))),
      ('client', if(client = '', '', concat(issuer, '\0', client))), ('key', if(kid = '', '', concat(issuer, '\0', kid))),
      ('issuer', concat(issuer, '\0')), ('tenant', '-')]))`

	// revokedName is what a revocation stands under; '' where that is nothing.
	revokedName = `multiIf(
      revoked_scope = 'token', if(token_ref = none, '', toString(token_ref)), revoked_scope = 'session', if(session_ref = none, '', toString(session_ref)),
      revoked_scope = 'grant', if(grant_ref = none, '', toString(grant_ref)), revoked_scope = 'subject', if(subject_ref = none, '', toString(subject_ref)),
      revoked_scope = 'client', concat(issuer, '\0', client), revoked_scope = 'key', concat(issuer, '\0', kid),
      revoked_scope = 'issuer', concat(issuer, '\0'), '-')`

	// counting is what decides, of a revocation.
	counting = "tenant, `index` AS at, toUnixTimestamp64Micro(received) AS since, toUnixTimestamp64Milli(revoked_before) AS cutoff,\n" +
		"      1000000 * intDiv(toUnixTimestamp64Milli(revoked_starts), 1000) AS starts, 1000000 * intDiv(toUnixTimestamp64Milli(revoked_expires) + 999, 1000) AS expires"
)

func (q suspects) SQL() (string, []any) {
	args := []any{
		clickhouse.Named("shard", q.Shard), clickhouse.Named("first", q.First), clickhouse.Named("end", q.End),
		clickhouse.Named("type", string(events.TokenVerified)), clickhouse.Named("types", names(revoking())),
		clickhouse.Named("behind", q.Behind.Accepted), clickhouse.Named("revoked", q.Behind.Revoked),
		clickhouse.Named("limit", limit(q.Limit)), clickhouse.Named("bound", q.Bound.Microseconds()),
	}
	forgotten, of := q.forgotten()
	return `WITH toFixedString('', 16) AS none,
  revocations AS (
    SELECT ` + counting + `, subject_ref, source, (revoked_scope, ` + revokedName + `) AS name
    FROM events
    WHERE shard = {shard:UInt16} AND type IN {types:Array(String)} AND revokes AND ` + "`index`" + ` < {end:UInt64}
  )` + forgotten + `
SELECT DISTINCT v.place AS accepted, r.at AS revoked
FROM (
  SELECT tenant, ` + "`index`" + ` AS place, view, toUnixTimestamp64Milli(iat) AS issued, ` + accepted + ` AS taken,
    toUnixTimestamp64Micro(time) AS told,
    ` + named + ` AS name
  FROM events
  WHERE shard = {shard:UInt16} AND type = {type:String} AND outcome != 'failure'
    AND ` + "`index`" + ` >= greatest({first:UInt64}, {behind:UInt64}) AND ` + "`index`" + ` < {end:UInt64}
) AS v
INNER JOIN ` + q.entries() + ` AS r ON v.tenant = r.tenant AND v.name = r.name
WHERE accepted > revoked
  AND (r.cutoff = 0 OR v.issued = 0 OR intDiv(v.issued, 1000) <= intDiv(r.cutoff, 1000))
  AND (r.expires = 0 OR v.told < r.expires) AND v.told >= r.starts
  AND (v.view > 0 AND v.view >= revoked OR v.taken > greatest(r.since, r.starts) + {bound:Int64})
  AND (accepted, revoked) > ({behind:UInt64}, {revoked:UInt64})
ORDER BY accepted, revoked
LIMIT {limit:UInt32}`, append(args, of...)
}

// entries is what the revocations of q are called.
func (q suspects) entries() string {
	if q.NoneForgotten {
		return "revocations"
	}
	return "entries"
}

// forgotten adds those that are also under the names of tokens. It reads the
// revocations twice more.
func (q suspects) forgotten() (sql string, args []any) {
	if q.NoneForgotten {
		return "", nil
	}
	args = append(args, clickhouse.Named("forgetter", erasure.Source), clickhouse.Named("issues", names([]events.Type{events.TokenIssued, events.TokenRefreshed})))
	return `,
  forgotten AS (
    SELECT tenant, at, since, cutoff, starts, expires, subject_ref
    FROM revocations
    WHERE source = {forgetter:String} AND name.1 = 'subject' AND subject_ref != none
  ),
  entries AS (
    SELECT tenant, at, since, cutoff, starts, expires, name FROM revocations
    UNION ALL
    SELECT DISTINCT f.tenant, f.at, f.since, f.cutoff, f.starts, f.expires, ('token', toString(e.token_ref)) AS name
    FROM (
      SELECT tenant, subject_ref, token_ref
      FROM events
      WHERE (tenant, subject_ref) IN (SELECT tenant, subject_ref FROM forgotten)
        AND shard = {shard:UInt16} AND type IN {issues:Array(String)} AND token_ref != none
    ) AS e
    INNER JOIN forgotten AS f ON e.tenant = f.tenant AND e.subject_ref = f.subject_ref
  )`, args
}

// glance is what is asked before suspects are.
type glance struct {
	shard      uint16
	first, end uint64
}

func (q glance) SQL() (string, []any) {
	w := new(where)
	w.and("shard = {shard:UInt16}", "shard", q.shard)
	w.and("`index` >= {first:UInt64}", "first", q.first)
	w.and("`index` < {end:UInt64}", "end", q.end)
	w.and("(revokes OR type = {type:String})", "type", string(events.TokenVerified))
	w.args = append(w.args, clickhouse.Named("forgetter", erasure.Source), clickhouse.Named("never", int64(leak.Never)))
	const (
		accepted = "NOT revokes AND outcome != 'failure'"
		expires  = "1000000 * intDiv(toUnixTimestamp64Milli(revoked_expires) + 999, 1000)"
	)
	return "SELECT countIf(" + accepted + "), minIf(toUnixTimestamp64Micro(time), " + accepted + "),\n" +
		"  maxIf(if(" + expires + " = 0, {never:Int64}, " + expires + "), revokes), countIf(revokes AND source = {forgetter:String})\n" +
		"FROM events\nWHERE " + w.String(), w.args
}

// Glance implements leak.Store.
func (s *Store) Glance(ctx context.Context, shard uint16, first, end uint64) (g leak.Glance, err error) {
	if first >= end {
		return g, nil
	}
	err = s.ask(ctx, glance{shard, first, end}, func(scan func(...any) error) error {
		return scan(&g.Accepted, &g.Oldest, &g.Until, &g.Forgetful)
	})
	if err != nil {
		return g, fmt.Errorf("glance shard=%d first=%d end=%d: %w", shard, first, end, err)
	}
	return g, nil
}

// byIndices is the rows of some indices of a shard, of whatever tenant.
type byIndices struct {
	shard   uint16
	indices []uint64
}

func (q byIndices) SQL() (string, []any) {
	w := new(where)
	w.and("shard = {shard:UInt16}", "shard", q.shard)
	w.and("`index` IN {indices:Array(UInt64)}", "indices", q.indices)
	return "SELECT " + eventrow.Columns + "\nFROM events\nWHERE " + w.String(), w.args
}

// lifts is the first lifts of some revocations, by index and hash: as the set
// knows them.
type lifts struct {
	shard   uint16
	indices []uint64
	end     uint64
}

func (q lifts) SQL() (string, []any) {
	w := new(where)
	w.and("shard = {shard:UInt16}", "shard", q.shard)
	w.and("type = {type:String}", "type", string(events.RevocationLifted))
	w.and("lifts_index IN {indices:Array(UInt64)}", "indices", q.indices)
	w.and("`index` < {end:UInt64}", "end", q.end)
	return "SELECT tenant, lifts_index, lower(hex(revoked_hash)), min(`index`), argMin(toUnixTimestamp64Micro(received), `index`)\nFROM events\nWHERE " +
		w.String() + "\nGROUP BY tenant, lifts_index, revoked_hash", w.args
}

// lifted is what a lift names.
type lifted struct {
	tenant string
	index  uint64
	hash   string
}

// unknownTable is UNKNOWN_TABLE.
const unknownTable = 60

// Recorded implements leak.Store. Where the tables were not made yet, as when a
// deployment begins, nothing is recorded.
func (s *Store) Recorded(ctx context.Context, shard uint16) (uint64, error) {
	end, err := s.recorded(ctx, shard)
	if exception, ok := errors.AsType[*clickhouse.Exception](err); ok && exception.Code == unknownTable {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("recorded shard=%d: %w", shard, err)
	}
	return end, nil
}

// Suspects implements leak.Store.
func (s *Store) Suspects(ctx context.Context, w leak.Window) ([]leak.Suspect, error) {
	out, err := s.suspects(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("suspects shard=%d first=%d end=%d: %w", w.Shard, w.First, w.End, err)
	}
	return out, nil
}

func (s *Store) suspects(ctx context.Context, w leak.Window) ([]leak.Suspect, error) {
	var pairs []leak.Place
	err := s.ask(ctx, suspects{w}, func(scan func(...any) error) error {
		var p leak.Place
		err := scan(&p.Accepted, &p.Revoked)
		pairs = append(pairs, p)
		return err
	})
	if err != nil || len(pairs) == 0 {
		return nil, err
	}
	records, err := s.records(ctx, w.Shard, pairs)
	if err != nil {
		return nil, err
	}
	lifts, err := s.lifts(ctx, w, pairs)
	if err != nil {
		return nil, err
	}
	out := make([]leak.Suspect, len(pairs))
	for i, p := range pairs {
		a, r := records[p.Accepted], records[p.Revoked]
		out[i] = leak.Suspect{
			Accepted: leak.Accepted{Index: p.Accepted, Record: a},
			Revoked:  leak.Revoked{Shard: w.Shard, Index: p.Revoked, Record: r, Lift: lifts[lifted{r.Tenant, p.Revoked, r.Revocation.Hash.String()}]},
		}
	}
	return out, nil
}

// records is the records of pairs, by index.
func (s *Store) records(ctx context.Context, shard uint16, pairs []leak.Place) (map[uint64]*events.Record, error) {
	out := make(map[uint64]*events.Record)
	for _, p := range pairs {
		out[p.Accepted], out[p.Revoked] = nil, nil
	}
	q := byIndices{shard: shard}
	for index := range out {
		q.indices = append(q.indices, index)
	}
	err := s.ask(ctx, q, func(scan func(...any) error) error {
		r, err := eventrow.Scan(scan)
		out[r.Index] = &r.Record
		return err
	})
	for index, r := range out {
		if r == nil && err == nil {
			return nil, fmt.Errorf("index %d is not there", index)
		}
	}
	return out, err
}

// lifts is the first lift before the end of w of each revocation that has one.
func (s *Store) lifts(ctx context.Context, w leak.Window, pairs []leak.Place) (map[lifted]*leak.Lift, error) {
	q := lifts{shard: w.Shard, end: w.End}
	for _, p := range pairs {
		q.indices = append(q.indices, p.Revoked)
	}
	slices.Sort(q.indices)
	q.indices = slices.Compact(q.indices)
	out := map[lifted]*leak.Lift{}
	err := s.ask(ctx, q, func(scan func(...any) error) error {
		var of lifted
		l := new(leak.Lift)
		err := scan(&of.tenant, &of.index, &of.hash, &l.Index, &l.Received)
		out[of] = l
		return err
	})
	return out, err
}

// openings is how many findings of leaks were opened: that of an id, or those
// about a revocation and a verifier.
type openings struct {
	tenant                        string
	shard                         uint16
	finding, revocation, verifier string
}

func (q openings) SQL() (string, []any) {
	w := new(where)
	w.tenant(q.tenant, false)
	w.and("shard = {shard:UInt16}", "shard", q.shard)
	w.and("type = {type:String}", "type", string(events.FindingOpened))
	w.and("source = {source:String}", "source", leak.Source)
	w.text("id", q.finding)
	if q.revocation != "" {
		w.and("attributes['revocation_ref'] = {revocation:String}", "revocation", q.revocation)
		w.and("attributes['verifier'] = {verifier:String}", "verifier", q.verifier)
	}
	return "SELECT count()\nFROM events\nWHERE " + w.String(), w.args
}

// Opened implements leak.Store.
func (s *Store) Opened(ctx context.Context, tenant string, shard uint16, revocation, verifier string) (uint64, error) {
	return s.openings(ctx, openings{tenant: tenant, shard: shard, revocation: revocation, verifier: verifier})
}

// IsOpened implements leak.Store.
func (s *Store) IsOpened(ctx context.Context, tenant string, shard uint16, finding string) (bool, error) {
	n, err := s.openings(ctx, openings{tenant: tenant, shard: shard, finding: finding})
	return n > 0, err
}

func (s *Store) openings(ctx context.Context, q openings) (n uint64, err error) {
	if err = s.ask(ctx, q, func(scan func(...any) error) error { return scan(&n) }); err != nil {
		return 0, fmt.Errorf("findings of leaks: %w", err)
	}
	return n, nil
}
