package store

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
)

// refused counts those of the tokens in hits that a revocation before reaches
// already: as the set decides, by name in one scope, cut-off, start, expiry and
// lift. Who was forgotten is also known by the tokens that the log knows as
// theirs.
type refused hits

// inForce is the condition that a revocation is in effect now, in whole seconds
// as in the set, and was not lifted.
const inForce = "1000 * intDiv(toUnixTimestamp64Milli(revoked_starts), 1000) <= {now:Int64}\n" +
	"      AND (toUnixTimestamp64Milli(revoked_expires) = 0 OR 1000 * intDiv(toUnixTimestamp64Milli(revoked_expires) + 999, 1000) > {now:Int64})\n" +
	"      AND (`index`, revoked_hash) NOT IN (\n" +
	"        SELECT lifts_index, revoked_hash\n        FROM events\n" +
	"        WHERE tenant = {tenant:String} AND shard = {shard:UInt16} AND type = {lifting:String} AND `index` < {end:UInt64}\n      )"

func (q refused) SQL() (string, []any) {
	w := living(q.HitSearch, q.end)
	w.args = append(w.args, clickhouse.Named("counted", q.counted), clickhouse.Named("revoking", names(revoking())),
		clickhouse.Named("lifting", string(events.RevocationLifted)), clickhouse.Named("forgetter", erasure.Source))
	return `WITH toFixedString('', 16) AS none,
  revocations AS (
    SELECT if(toUnixTimestamp64Milli(revoked_before) = 0, 9223372036854775807, intDiv(toUnixTimestamp64Milli(revoked_before), 1000)) AS upto,
      subject_ref, source, (revoked_scope, ` + revokedName + `) AS name
    FROM events
    WHERE tenant = {tenant:String} AND shard = {shard:UInt16} AND type IN {revoking:Array(String)} AND revokes AND ` + "`index`" + ` < {end:UInt64}
      AND ` + inForce + `
  ),
  forgotten AS (
    SELECT upto, subject_ref
    FROM revocations
    WHERE source = {forgetter:String} AND name.1 = 'subject' AND subject_ref != none
  ),
  entries AS (
    SELECT name, max(upto) AS last
    FROM (
      SELECT name, upto FROM revocations
      UNION ALL
      SELECT ('token', toString(e.token_ref)) AS name, f.upto
      FROM (
        SELECT subject_ref, token_ref
        FROM events
        WHERE tenant = {tenant:String} AND shard = {shard:UInt16} AND subject_ref IN (SELECT subject_ref FROM forgotten)
          AND type IN {types:Array(String)} AND token_ref != none AND ` + "`index`" + ` < {end:UInt64}
      ) AS e
      INNER JOIN forgotten AS f ON e.subject_ref = f.subject_ref
    )
    WHERE name.2 != ''
    GROUP BY name
  )
SELECT uniqExact(t.token_ref)
FROM (
  SELECT token_ref, intDiv(toUnixTimestamp64Milli(iat), 1000) AS issued,
    ` + named + ` AS name
  FROM (
    SELECT token_ref, session_ref, grant_ref, subject_ref, issuer, client, kid, iat
    FROM events
    WHERE ` + w.String() + `
    LIMIT {counted:UInt64}
  )
) AS t
INNER JOIN entries AS e ON t.name = e.name
WHERE t.issued <= e.last`, w.args
}

// Refused implements query.ReachStore.
func (s *Store) Refused(ctx context.Context, q query.HitSearch, end uint64) (n uint64, err error) {
	if err := bounded(q.Tenant, false); err != nil {
		return 0, fmt.Errorf("count tokens that are refused: %w", err)
	}
	err = s.ask(ctx, refused{q, end, s.counted}, func(scan func(...any) error) error { return scan(&n) })
	if err != nil {
		return 0, fmt.Errorf("count tokens that are refused: %w", err)
	}
	return n, nil
}
