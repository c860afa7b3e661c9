-- audiences
SELECT groupArray(to)
FROM (
  SELECT DISTINCT arrayJoin(aud) AS to
  FROM events
  WHERE tenant = {tenant:String}
  AND subject_ref = unhex({subject_ref:String})
  AND shard = {shard:UInt16}
  ORDER BY has({known:Array(String)}, to) DESC, to
  LIMIT {limit:UInt32}
);
--   tenant = acme
--   subject_ref = 01000000000000000000000000000000
--   shard = 2
--   known = [crm]
--   limit = 10002

-- by indices, any tenant
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE shard = {shard:UInt16}
  AND `index` IN {indices:Array(UInt64)};
--   shard = 0
--   indices = [1 2]

-- count, all of it
SELECT count()
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND subject_ref = unhex({subject_ref:String})
  AND issuer = {issuer:String}
  AND client = {client:String}
  AND kid = {kid:String}
  AND outcome = {outcome:String}
  AND time >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')
  AND time < fromUnixTimestamp64Micro({to:Int64}, 'UTC')
  AND `index` < {end:UInt64};
--   tenant = acme
--   shard = 0
--   subject_ref = 01010000000000000000000000000000
--   issuer = https://1.example
--   client = c0
--   kid = k1
--   outcome = success
--   from = 1793491200000000
--   to = 1793577600000000
--   end = 100

-- duplicates
SELECT `index`, first, content
FROM duplicates
WHERE shard = {shard:UInt16}
  AND `index` IN {indices:Array(UInt64)};
--   shard = 0
--   indices = [1 2]

-- event
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND `index` = {index:UInt64};
--   tenant = acme
--   shard = 0
--   index = 7

-- event, any tenant
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE shard = {shard:UInt16}
  AND `index` = {index:UInt64};
--   shard = 0
--   index = 7

-- exported to
SELECT groupArray(to)
FROM (
  SELECT DISTINCT attributes['recipient'] AS to
  FROM events
  WHERE tenant = {tenant:String}
  AND subject_ref IN (unhex({subject_ref:String}), toFixedString('', 16))
  AND shard = {shard:UInt16}
  AND type = {type:String}
  AND to != ''
  ORDER BY has({known:Array(String)}, to) DESC, to
  LIMIT {limit:UInt32}
);
--   tenant = acme
--   subject_ref = 01000000000000000000000000000000
--   shard = 2
--   type = dev.rescind.audit.exported.v1
--   known = []
--   limit = 10001

-- exported, reading
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
  AND subject_ref = toFixedString('', 16)
  AND type IN {types:Array(String)}
ORDER BY `index` ASC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   first = 40
--   end = 100
--   types = [dev.rescind.audit.accessed.v1 dev.rescind.audit.exported.v1]
--   limit = 5

-- exported, token
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
  AND subject_ref = toFixedString('', 16)
  AND (token_ref IN (SELECT token_ref FROM events WHERE tenant = {tenant:String} AND shard = {shard:UInt16} AND subject_ref = unhex({person:String}) AND `index` < {end:UInt64} AND token_ref != toFixedString('', 16))
    OR session_ref IN (SELECT session_ref FROM events WHERE tenant = {tenant:String} AND shard = {shard:UInt16} AND subject_ref = unhex({person:String}) AND `index` < {end:UInt64} AND session_ref != toFixedString('', 16))
    OR grant_ref IN (SELECT grant_ref FROM events WHERE tenant = {tenant:String} AND shard = {shard:UInt16} AND subject_ref = unhex({person:String}) AND `index` < {end:UInt64} AND grant_ref != toFixedString('', 16)))
ORDER BY `index` ASC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   first = 40
--   end = 100
--   person = 01000000000000000000000000000000
--   limit = 5

-- exported, you
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
  AND subject_ref = unhex({subject_ref:String})
ORDER BY `index` ASC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   first = 40
--   end = 100
--   subject_ref = 01000000000000000000000000000000
--   limit = 5

-- findings
SELECT tenant, attributes['finding'] AS finding, maxIf(`index`, type = {opened:String}) AS opening,
  argMax(type, `index`) AS now, argMaxIf(attributes, `index`, type = {opened:String}) AS said,
  toUnixTimestamp64Micro(argMaxIf(time, `index`, type = {opened:String})),
  toUnixTimestamp64Micro(argMax(time, `index`)), argMax(actor, `index`), argMax(reason, `index`)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND `index` < {end:UInt64}
GROUP BY tenant, finding
HAVING countIf(type = {opened:String}) > 0
ORDER BY opening DESC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.finding.opened.v1 dev.rescind.finding.acknowledged.v1 dev.rescind.finding.closed.v1]
--   end = 100
--   opened = dev.rescind.finding.opened.v1
--   limit = 100

-- findings, all of it
SELECT tenant, attributes['finding'] AS finding, maxIf(`index`, type = {opened:String}) AS opening,
  argMax(type, `index`) AS now, argMaxIf(attributes, `index`, type = {opened:String}) AS said,
  toUnixTimestamp64Micro(argMaxIf(time, `index`, type = {opened:String})),
  toUnixTimestamp64Micro(argMax(time, `index`)), argMax(actor, `index`), argMax(reason, `index`)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND `index` < {end:UInt64}
  AND attributes['finding'] = {finding:String}
GROUP BY tenant, finding
HAVING countIf(type = {opened:String}) > 0
  AND now = {now:String}
  AND said['control'] = {control:String}
  AND opening < {before:UInt64}
ORDER BY opening DESC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.finding.opened.v1 dev.rescind.finding.acknowledged.v1 dev.rescind.finding.closed.v1]
--   end = 100
--   finding = f1
--   opened = dev.rescind.finding.opened.v1
--   now = dev.rescind.finding.opened.v1
--   control = key-known
--   before = 9
--   limit = 5

-- findings, any tenant
SELECT tenant, attributes['finding'] AS finding, maxIf(`index`, type = {opened:String}) AS opening,
  argMax(type, `index`) AS now, argMaxIf(attributes, `index`, type = {opened:String}) AS said,
  toUnixTimestamp64Micro(argMaxIf(time, `index`, type = {opened:String})),
  toUnixTimestamp64Micro(argMax(time, `index`)), argMax(actor, `index`), argMax(reason, `index`)
FROM events
WHERE shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND `index` < {end:UInt64}
GROUP BY tenant, finding
HAVING countIf(type = {opened:String}) > 0
  AND now = {now:String}
ORDER BY opening DESC
LIMIT {limit:UInt32};
--   shard = 0
--   types = [dev.rescind.finding.opened.v1 dev.rescind.finding.acknowledged.v1 dev.rescind.finding.closed.v1]
--   end = 100
--   opened = dev.rescind.finding.opened.v1
--   now = dev.rescind.finding.opened.v1
--   limit = 100

-- glance, any tenant
SELECT countIf(NOT revokes AND outcome != 'failure'), minIf(toUnixTimestamp64Micro(time), NOT revokes AND outcome != 'failure'),
  maxIf(if(1000000 * intDiv(toUnixTimestamp64Milli(revoked_expires) + 999, 1000) = 0, {never:Int64}, 1000000 * intDiv(toUnixTimestamp64Milli(revoked_expires) + 999, 1000)), revokes), countIf(revokes AND source = {forgetter:String})
FROM events
WHERE shard = {shard:UInt16}
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
  AND (revokes OR type = {type:String});
--   shard = 0
--   first = 1
--   end = 9
--   type = dev.rescind.token.verified.v1
--   forgetter = rescind:requests
--   never = 9223372036854775807

-- hits, client
SELECT uniqExact(token_ref), uniqExactIf(subject_ref, subject_ref != toFixedString('', 16)),
  uniqExactIf(session_ref, session_ref != toFixedString('', 16)), uniqExactIf((issuer, client), client != ''),
  uniqExactIf(token_ref, subject_ref = toFixedString('', 16)), count()
FROM (
  SELECT token_ref, subject_ref, session_ref, issuer, client
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND issuer = {issuer:String}
  AND client = {client:String}
  AND `index` < {end:UInt64}
  AND (toUnixTimestamp64Milli(iat) = 0 OR intDiv(toUnixTimestamp64Milli(iat), 1000) <= {cutoff:Int64})
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {counted:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   issuer = i
--   client = c
--   end = 100
--   cutoff = 9
--   oldest = 1793487600000
--   now = 1793491200000
--   counted = 50

-- hits, grant
SELECT uniqExact(token_ref), uniqExactIf(subject_ref, subject_ref != toFixedString('', 16)),
  uniqExactIf(session_ref, session_ref != toFixedString('', 16)), uniqExactIf((issuer, client), client != ''),
  uniqExactIf(token_ref, subject_ref = toFixedString('', 16)), count()
FROM (
  SELECT token_ref, subject_ref, session_ref, issuer, client
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND grant_ref = unhex({grant_ref:String})
  AND `index` < {end:UInt64}
  AND (toUnixTimestamp64Milli(iat) = 0 OR intDiv(toUnixTimestamp64Milli(iat), 1000) <= {cutoff:Int64})
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {counted:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   grant_ref = 05000000000000000000000000000000
--   end = 100
--   cutoff = 9
--   oldest = 1793487600000
--   now = 1793491200000
--   counted = 50

-- hits, issuer
SELECT uniqExact(token_ref), uniqExactIf(subject_ref, subject_ref != toFixedString('', 16)),
  uniqExactIf(session_ref, session_ref != toFixedString('', 16)), uniqExactIf((issuer, client), client != ''),
  uniqExactIf(token_ref, subject_ref = toFixedString('', 16)), count()
FROM (
  SELECT token_ref, subject_ref, session_ref, issuer, client
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND issuer = {issuer:String}
  AND `index` < {end:UInt64}
  AND (toUnixTimestamp64Milli(iat) = 0 OR intDiv(toUnixTimestamp64Milli(iat), 1000) <= {cutoff:Int64})
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {counted:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   issuer = i
--   end = 100
--   cutoff = 9
--   oldest = 1793487600000
--   now = 1793491200000
--   counted = 50

-- hits, key
SELECT uniqExact(token_ref), uniqExactIf(subject_ref, subject_ref != toFixedString('', 16)),
  uniqExactIf(session_ref, session_ref != toFixedString('', 16)), uniqExactIf((issuer, client), client != ''),
  uniqExactIf(token_ref, subject_ref = toFixedString('', 16)), count()
FROM (
  SELECT token_ref, subject_ref, session_ref, issuer, client
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND issuer = {issuer:String}
  AND kid = {kid:String}
  AND `index` < {end:UInt64}
  AND (toUnixTimestamp64Milli(iat) = 0 OR intDiv(toUnixTimestamp64Milli(iat), 1000) <= {cutoff:Int64})
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {counted:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   issuer = i
--   kid = k
--   end = 100
--   cutoff = 9
--   oldest = 1793487600000
--   now = 1793491200000
--   counted = 50

-- hits, session
SELECT uniqExact(token_ref), uniqExactIf(subject_ref, subject_ref != toFixedString('', 16)),
  uniqExactIf(session_ref, session_ref != toFixedString('', 16)), uniqExactIf((issuer, client), client != ''),
  uniqExactIf(token_ref, subject_ref = toFixedString('', 16)), count()
FROM (
  SELECT token_ref, subject_ref, session_ref, issuer, client
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND session_ref = unhex({session_ref:String})
  AND `index` < {end:UInt64}
  AND (toUnixTimestamp64Milli(iat) = 0 OR intDiv(toUnixTimestamp64Milli(iat), 1000) <= {cutoff:Int64})
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {counted:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   session_ref = 05000000000000000000000000000000
--   end = 100
--   cutoff = 9
--   oldest = 1793487600000
--   now = 1793491200000
--   counted = 50

-- hits, subject
SELECT uniqExact(token_ref), uniqExactIf(subject_ref, subject_ref != toFixedString('', 16)),
  uniqExactIf(session_ref, session_ref != toFixedString('', 16)), uniqExactIf((issuer, client), client != ''),
  uniqExactIf(token_ref, subject_ref = toFixedString('', 16)), count()
FROM (
  SELECT token_ref, subject_ref, session_ref, issuer, client
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND subject_ref = unhex({subject_ref:String})
  AND `index` < {end:UInt64}
  AND (toUnixTimestamp64Milli(iat) = 0 OR intDiv(toUnixTimestamp64Milli(iat), 1000) <= {cutoff:Int64})
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {counted:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   subject_ref = 05000000000000000000000000000000
--   end = 100
--   cutoff = 9
--   oldest = 1793487600000
--   now = 1793491200000
--   counted = 50

-- hits, tenant
SELECT uniqExact(token_ref), uniqExactIf(subject_ref, subject_ref != toFixedString('', 16)),
  uniqExactIf(session_ref, session_ref != toFixedString('', 16)), uniqExactIf((issuer, client), client != ''),
  uniqExactIf(token_ref, subject_ref = toFixedString('', 16)), count()
FROM (
  SELECT token_ref, subject_ref, session_ref, issuer, client
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND `index` < {end:UInt64}
  AND (toUnixTimestamp64Milli(iat) = 0 OR intDiv(toUnixTimestamp64Milli(iat), 1000) <= {cutoff:Int64})
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {counted:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   end = 100
--   cutoff = 9
--   oldest = 1793487600000
--   now = 1793491200000
--   counted = 50

-- hits, token
SELECT uniqExact(token_ref), uniqExactIf(subject_ref, subject_ref != toFixedString('', 16)),
  uniqExactIf(session_ref, session_ref != toFixedString('', 16)), uniqExactIf((issuer, client), client != ''),
  uniqExactIf(token_ref, subject_ref = toFixedString('', 16)), count()
FROM (
  SELECT token_ref, subject_ref, session_ref, issuer, client
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND token_ref = unhex({token_ref:String})
  AND `index` < {end:UInt64}
  AND (toUnixTimestamp64Milli(iat) = 0 OR intDiv(toUnixTimestamp64Milli(iat), 1000) <= {cutoff:Int64})
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {counted:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   token_ref = 05000000000000000000000000000000
--   end = 100
--   cutoff = 9
--   oldest = 1793487600000
--   now = 1793491200000
--   counted = 50

-- issuers
SELECT DISTINCT issuer
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND `index` < {end:UInt64}
  AND issuer != ''
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   end = 100
--   limit = 33

-- leaks
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type = {type:String}
  AND outcome != 'failure'
  AND `index` > {position:UInt64}
  AND `index` < {end:UInt64}
  AND subject_ref = unhex({subject_ref:String})
  AND (toUnixTimestamp64Milli(iat) = 0 OR intDiv(toUnixTimestamp64Milli(iat), 1000) <= {cutoff:Int64})
  AND toUnixTimestamp64Micro(time) < {expires:Int64}
  AND toUnixTimestamp64Micro(time) >= {starts:Int64}
  AND (view > 0 AND view >= {position:UInt64} OR least(toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received)) >= {from:Int64})
  AND `index` > {after:UInt64}
ORDER BY `index`
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   type = dev.rescind.token.verified.v1
--   position = 7
--   end = 100
--   subject_ref = 01000000000000000000000000000000
--   cutoff = 1700000000
--   expires = 1700001000000000
--   starts = 1700000000000000
--   from = 1700000000000000
--   after = 8
--   limit = 5

-- leaks, counted
SELECT countIf(view > 0 AND view >= {position:UInt64}), countIf(NOT (view > 0 AND view >= {position:UInt64}) AND least(toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received)) > {late:Int64}),
  countIf(NOT (view > 0 AND view >= {position:UInt64}) AND least(toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received)) <= {late:Int64})
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type = {type:String}
  AND outcome != 'failure'
  AND `index` > {position:UInt64}
  AND `index` < {end:UInt64}
  AND subject_ref = unhex({subject_ref:String})
  AND (toUnixTimestamp64Milli(iat) = 0 OR intDiv(toUnixTimestamp64Milli(iat), 1000) <= {cutoff:Int64})
  AND toUnixTimestamp64Micro(time) < {expires:Int64}
  AND toUnixTimestamp64Micro(time) >= {starts:Int64}
  AND if(view > 0 AND view >= {position:UInt64}, view < {lift:UInt64},
    least(toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received)) >= {from:Int64} AND least(toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received)) < {lifted:Int64});
--   tenant = acme
--   shard = 0
--   type = dev.rescind.token.verified.v1
--   position = 7
--   end = 100
--   subject_ref = 01000000000000000000000000000000
--   cutoff = 1700000000
--   expires = 1700001000000000
--   starts = 1700000000000000
--   from = 1700000000000000
--   lift = 9
--   lifted = 8
--   late = 1700000005000000

-- leaks, lifted, forgotten
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type = {type:String}
  AND outcome != 'failure'
  AND `index` > {position:UInt64}
  AND `index` < {end:UInt64}
  AND (subject_ref = unhex({subject_ref:String})
    OR token_ref IN arrayMap(t -> toFixedString(unhex(t), 16), {tokens:Array(String)}))
  AND (toUnixTimestamp64Milli(iat) = 0 OR intDiv(toUnixTimestamp64Milli(iat), 1000) <= {cutoff:Int64})
  AND toUnixTimestamp64Micro(time) < {expires:Int64}
  AND toUnixTimestamp64Micro(time) >= {starts:Int64}
  AND if(view > 0 AND view >= {position:UInt64}, view < {lift:UInt64},
    least(toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received)) >= {from:Int64} AND least(toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received)) < {lifted:Int64})
ORDER BY `index`
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   type = dev.rescind.token.verified.v1
--   position = 7
--   end = 100
--   subject_ref = 01000000000000000000000000000000
--   tokens = [02]
--   cutoff = 1700000000
--   expires = 1700001000000000
--   starts = 1700000000000000
--   from = 1700000000000000
--   lift = 9
--   lifted = 8
--   limit = 100

-- lifts, any tenant
SELECT tenant, lifts_index, lower(hex(revoked_hash)), min(`index`), argMin(toUnixTimestamp64Micro(received), `index`)
FROM events
WHERE shard = {shard:UInt16}
  AND type = {type:String}
  AND lifts_index IN {indices:Array(UInt64)}
  AND `index` < {end:UInt64}
GROUP BY tenant, lifts_index, revoked_hash;
--   shard = 0
--   type = dev.rescind.revocation.lifted.v1
--   indices = [1]
--   end = 9

-- openings
SELECT count()
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type = {type:String}
  AND source = {source:String}
  AND id = {id:String};
--   tenant = acme
--   shard = 0
--   type = dev.rescind.finding.opened.v1
--   source = rescind:leaks
--   id = f

-- openings, about
SELECT count()
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type = {type:String}
  AND source = {source:String}
  AND attributes['revocation_ref'] = {revocation:String}
  AND attributes['verifier'] = {verifier:String};
--   tenant = acme
--   shard = 0
--   type = dev.rescind.finding.opened.v1
--   source = rescind:leaks
--   revocation = r
--   verifier = v

-- reach, client
SELECT count()
FROM (
  SELECT DISTINCT if(subject_ref = toFixedString('', 16), token_ref, subject_ref)
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND issuer = {issuer:String}
  AND client = {client:String}
  AND `index` < {end:UInt64}
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {limit:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   issuer = i
--   client = c
--   end = 100
--   oldest = 1793487600000
--   now = 1793491200000
--   limit = 50

-- reach, grant
SELECT count()
FROM (
  SELECT DISTINCT if(subject_ref = toFixedString('', 16), token_ref, subject_ref)
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND grant_ref = unhex({grant_ref:String})
  AND `index` < {end:UInt64}
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {limit:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   grant_ref = 05000000000000000000000000000000
--   end = 100
--   oldest = 1793487600000
--   now = 1793491200000
--   limit = 50

-- reach, issuer
SELECT count()
FROM (
  SELECT DISTINCT if(subject_ref = toFixedString('', 16), token_ref, subject_ref)
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND issuer = {issuer:String}
  AND `index` < {end:UInt64}
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {limit:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   issuer = i
--   end = 100
--   oldest = 1793487600000
--   now = 1793491200000
--   limit = 50

-- reach, key
SELECT count()
FROM (
  SELECT DISTINCT if(subject_ref = toFixedString('', 16), token_ref, subject_ref)
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND issuer = {issuer:String}
  AND kid = {kid:String}
  AND `index` < {end:UInt64}
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {limit:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   issuer = i
--   kid = k
--   end = 100
--   oldest = 1793487600000
--   now = 1793491200000
--   limit = 50

-- reach, session
SELECT count()
FROM (
  SELECT DISTINCT if(subject_ref = toFixedString('', 16), token_ref, subject_ref)
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND session_ref = unhex({session_ref:String})
  AND `index` < {end:UInt64}
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {limit:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   session_ref = 05000000000000000000000000000000
--   end = 100
--   oldest = 1793487600000
--   now = 1793491200000
--   limit = 50

-- reach, subject
SELECT count()
FROM (
  SELECT DISTINCT if(subject_ref = toFixedString('', 16), token_ref, subject_ref)
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND subject_ref = unhex({subject_ref:String})
  AND `index` < {end:UInt64}
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {limit:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   subject_ref = 05000000000000000000000000000000
--   end = 100
--   oldest = 1793487600000
--   now = 1793491200000
--   limit = 50

-- reach, tenant
SELECT count()
FROM (
  SELECT DISTINCT if(subject_ref = toFixedString('', 16), token_ref, subject_ref)
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND `index` < {end:UInt64}
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {limit:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   end = 100
--   oldest = 1793487600000
--   now = 1793491200000
--   limit = 50

-- reach, token
SELECT count()
FROM (
  SELECT DISTINCT if(subject_ref = toFixedString('', 16), token_ref, subject_ref)
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND token_ref = unhex({token_ref:String})
  AND `index` < {end:UInt64}
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
  LIMIT {limit:UInt64}
);
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   token_ref = 05000000000000000000000000000000
--   end = 100
--   oldest = 1793487600000
--   now = 1793491200000
--   limit = 50

-- recorded
SELECT max(first + count)
FROM batches
WHERE shard = {shard:UInt16};
--   shard = 0

-- refused
WITH toFixedString('', 16) AS none,
  revocations AS (
    SELECT if(toUnixTimestamp64Milli(revoked_before) = 0, 9223372036854775807, intDiv(toUnixTimestamp64Milli(revoked_before), 1000)) AS upto,
      subject_ref, source, (revoked_scope, multiIf(
      revoked_scope = 'token', if(token_ref = none, '', toString(token_ref)), revoked_scope = 'session', if(session_ref = none, '', toString(session_ref)),
      revoked_scope = 'grant', if(grant_ref = none, '', toString(grant_ref)), revoked_scope = 'subject', if(subject_ref = none, '', toString(subject_ref)),
      revoked_scope = 'client', concat(issuer, '\0', client), revoked_scope = 'key', concat(issuer, '\0', kid),
      revoked_scope = 'issuer', concat(issuer, '\0'), '-')) AS name
    FROM events
    WHERE tenant = {tenant:String} AND shard = {shard:UInt16} AND type IN {revoking:Array(String)} AND revokes AND `index` < {end:UInt64}
      AND 1000 * intDiv(toUnixTimestamp64Milli(revoked_starts), 1000) <= {now:Int64}
      AND (toUnixTimestamp64Milli(revoked_expires) = 0 OR 1000 * intDiv(toUnixTimestamp64Milli(revoked_expires) + 999, 1000) > {now:Int64})
      AND (`index`, revoked_hash) NOT IN (
        SELECT lifts_index, revoked_hash
        FROM events
        WHERE tenant = {tenant:String} AND shard = {shard:UInt16} AND type = {lifting:String} AND `index` < {end:UInt64}
      )
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
          AND type IN {types:Array(String)} AND token_ref != none AND `index` < {end:UInt64}
      ) AS e
      INNER JOIN forgotten AS f ON e.subject_ref = f.subject_ref
    )
    WHERE name.2 != ''
    GROUP BY name
  )
SELECT uniqExact(t.token_ref)
FROM (
  SELECT token_ref, intDiv(toUnixTimestamp64Milli(iat), 1000) AS issued,
    arrayJoin(arrayFilter(n -> n.2 != '', [
      ('token', if(token_ref = none, '', toString(token_ref))), ('session', if(session_ref = none, '', toString(session_ref))),
      ('grant', if(grant_ref = none, '', toString(grant_ref))), ('subject', if(subject_ref = none, '', toString(subject_ref))),
      ('client', if(client = '', '', concat(issuer, '\0', client))), ('key', if(kid = '', '', concat(issuer, '\0', kid))),
      ('issuer', concat(issuer, '\0')), ('tenant', '-')])) AS name
  FROM (
    SELECT token_ref, session_ref, grant_ref, subject_ref, issuer, client, kid, iat
    FROM events
    WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND issuer = {issuer:String}
  AND client = {client:String}
  AND `index` < {end:UInt64}
  AND if(toUnixTimestamp64Milli(exp) != 0, toUnixTimestamp64Milli(exp) > {now:Int64},
    if(toUnixTimestamp64Milli(iat) != 0, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(time)) > {oldest:Int64})
    LIMIT {counted:UInt64}
  )
) AS t
INNER JOIN entries AS e ON t.name = e.name
WHERE t.issued <= e.last;
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]
--   issuer = i
--   client = c
--   end = 100
--   oldest = 1793487600000
--   now = 1793491200000
--   counted = 50
--   revoking = [dev.rescind.token.revoked.v1 dev.rescind.session.revoked.v1 dev.rescind.subject.revoked.v1 dev.rescind.client.revoked.v1 dev.rescind.key.revoked.v1 dev.rescind.issuer.revoked.v1 dev.rescind.tenant.revoked.v1 dev.rescind.grant.revoked.v1 dev.rescind.revocation.restored.v1]
--   lifting = dev.rescind.revocation.lifted.v1
--   forgetter = rescind:requests

-- sealed
SELECT `index`, sealed
FROM payloads
WHERE tenant = {tenant:String}
  AND subject_ref IN arrayMap(p -> toFixedString(unhex(p), 16), {people:Array(String)})
  AND shard = {shard:UInt16}
  AND `index` IN {indices:Array(UInt64)};
--   tenant = acme
--   people = [ 01000000000000000000000000000000 03000000000000000000000000000000]
--   shard = 0
--   indices = [1 2]

-- search, all
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND subject_ref = unhex({subject_ref:String})
  AND issuer = {issuer:String}
  AND client = {client:String}
  AND kid = {kid:String}
  AND outcome = {outcome:String}
  AND time >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')
  AND time < fromUnixTimestamp64Micro({to:Int64}, 'UTC')
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
ORDER BY `index` DESC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   subject_ref = 01010000000000000000000000000000
--   issuer = https://1.example
--   client = c0
--   kid = k1
--   outcome = success
--   from = 1793491200000000
--   to = 1793577600000000
--   first = 40
--   end = 100
--   limit = 100

-- search, any tenant
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
ORDER BY `index` DESC
LIMIT {limit:UInt32};
--   shard = 0
--   types = [dev.rescind.token.revoked.v1]
--   first = 40
--   end = 100
--   limit = 100

-- search, descending
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
ORDER BY `index` DESC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   first = 40
--   end = 100
--   limit = 100

-- search, id
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND id = {id:String}
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
ORDER BY `index` ASC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   id = 4
--   first = 40
--   end = 100
--   limit = 100

-- search, its id
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND id = {id:String}
  AND source = {source:String}
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
ORDER BY `index` ASC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   id = 4
--   source = s1
--   first = 40
--   end = 100
--   limit = 100

-- search, lifts
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND lifts = unhex({lifts:String})
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
ORDER BY `index` ASC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   lifts = 08010000000000000000000000000000
--   first = 40
--   end = 100
--   limit = 100

-- search, session
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND session_ref = unhex({session_ref:String})
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
ORDER BY `index` ASC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   session_ref = 03010000000000000000000000000000
--   first = 40
--   end = 100
--   limit = 100

-- search, subject
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND subject_ref = unhex({subject_ref:String})
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
ORDER BY `index` ASC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   subject_ref = 01020000000000000000000000000000
--   first = 40
--   end = 100
--   limit = 100

-- search, tenant
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
ORDER BY `index` ASC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   first = 40
--   end = 100
--   limit = 100

-- search, token
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND token_ref = unhex({token_ref:String})
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
ORDER BY `index` ASC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   token_ref = 02030000000000000000000000000000
--   first = 40
--   end = 100
--   limit = 100

-- search, types
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND type IN {types:Array(String)}
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
ORDER BY `index` ASC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   types = [dev.rescind.token.revoked.v1 dev.rescind.token.issued.v1]
--   first = 40
--   end = 100
--   limit = 100

-- search, window
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts, lifts_index, toUnixTimestamp64Milli(revoked_starts), toUnixTimestamp64Milli(revoked_until)
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND time >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')
  AND time < fromUnixTimestamp64Micro({to:Int64}, 'UTC')
  AND `index` >= {first:UInt64}
  AND `index` < {end:UInt64}
ORDER BY `index` ASC
LIMIT {limit:UInt32};
--   tenant = acme
--   shard = 0
--   from = 1793494200000000
--   to = 1793494800000000
--   first = 40
--   end = 100
--   limit = 100

-- suspects, any tenant
WITH toFixedString('', 16) AS none,
  revocations AS (
    SELECT tenant, `index` AS at, toUnixTimestamp64Micro(received) AS since, toUnixTimestamp64Milli(revoked_before) AS cutoff,
      1000000 * intDiv(toUnixTimestamp64Milli(revoked_starts), 1000) AS starts, 1000000 * intDiv(toUnixTimestamp64Milli(revoked_expires) + 999, 1000) AS expires, subject_ref, source, (revoked_scope, multiIf(
      revoked_scope = 'token', if(token_ref = none, '', toString(token_ref)), revoked_scope = 'session', if(session_ref = none, '', toString(session_ref)),
      revoked_scope = 'grant', if(grant_ref = none, '', toString(grant_ref)), revoked_scope = 'subject', if(subject_ref = none, '', toString(subject_ref)),
      revoked_scope = 'client', concat(issuer, '\0', client), revoked_scope = 'key', concat(issuer, '\0', kid),
      revoked_scope = 'issuer', concat(issuer, '\0'), '-')) AS name
    FROM events
    WHERE shard = {shard:UInt16} AND type IN {types:Array(String)} AND revokes AND `index` < {end:UInt64}
  ),
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
  )
SELECT DISTINCT v.place AS accepted, r.at AS revoked
FROM (
  SELECT tenant, `index` AS place, view, toUnixTimestamp64Milli(iat) AS issued, least(toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received)) AS taken,
    toUnixTimestamp64Micro(time) AS told,
    arrayJoin(arrayFilter(n -> n.2 != '', [
      ('token', if(token_ref = none, '', toString(token_ref))), ('session', if(session_ref = none, '', toString(session_ref))),
      ('grant', if(grant_ref = none, '', toString(grant_ref))), ('subject', if(subject_ref = none, '', toString(subject_ref))),
      ('client', if(client = '', '', concat(issuer, '\0', client))), ('key', if(kid = '', '', concat(issuer, '\0', kid))),
      ('issuer', concat(issuer, '\0')), ('tenant', '-')])) AS name
  FROM events
  WHERE shard = {shard:UInt16} AND type = {type:String} AND outcome != 'failure'
    AND `index` >= greatest({first:UInt64}, {behind:UInt64}) AND `index` < {end:UInt64}
) AS v
INNER JOIN entries AS r ON v.tenant = r.tenant AND v.name = r.name
WHERE accepted > revoked
  AND (r.cutoff = 0 OR v.issued = 0 OR intDiv(v.issued, 1000) <= intDiv(r.cutoff, 1000))
  AND (r.expires = 0 OR v.told < r.expires) AND v.told >= r.starts
  AND (v.view > 0 AND v.view >= revoked OR v.taken > greatest(r.since, r.starts) + {bound:Int64})
  AND (accepted, revoked) > ({behind:UInt64}, {revoked:UInt64})
ORDER BY accepted, revoked
LIMIT {limit:UInt32};
--   shard = 0
--   first = 1
--   end = 9
--   type = dev.rescind.token.verified.v1
--   types = [dev.rescind.token.revoked.v1 dev.rescind.session.revoked.v1 dev.rescind.subject.revoked.v1 dev.rescind.client.revoked.v1 dev.rescind.key.revoked.v1 dev.rescind.issuer.revoked.v1 dev.rescind.tenant.revoked.v1 dev.rescind.grant.revoked.v1 dev.rescind.revocation.restored.v1]
--   behind = 4
--   revoked = 3
--   limit = 5
--   bound = 5000000
--   forgetter = rescind:requests
--   issues = [dev.rescind.token.issued.v1 dev.rescind.token.refreshed.v1]

-- suspects, none forgotten, any tenant
WITH toFixedString('', 16) AS none,
  revocations AS (
    SELECT tenant, `index` AS at, toUnixTimestamp64Micro(received) AS since, toUnixTimestamp64Milli(revoked_before) AS cutoff,
      1000000 * intDiv(toUnixTimestamp64Milli(revoked_starts), 1000) AS starts, 1000000 * intDiv(toUnixTimestamp64Milli(revoked_expires) + 999, 1000) AS expires, subject_ref, source, (revoked_scope, multiIf(
      revoked_scope = 'token', if(token_ref = none, '', toString(token_ref)), revoked_scope = 'session', if(session_ref = none, '', toString(session_ref)),
      revoked_scope = 'grant', if(grant_ref = none, '', toString(grant_ref)), revoked_scope = 'subject', if(subject_ref = none, '', toString(subject_ref)),
      revoked_scope = 'client', concat(issuer, '\0', client), revoked_scope = 'key', concat(issuer, '\0', kid),
      revoked_scope = 'issuer', concat(issuer, '\0'), '-')) AS name
    FROM events
    WHERE shard = {shard:UInt16} AND type IN {types:Array(String)} AND revokes AND `index` < {end:UInt64}
  )
SELECT DISTINCT v.place AS accepted, r.at AS revoked
FROM (
  SELECT tenant, `index` AS place, view, toUnixTimestamp64Milli(iat) AS issued, least(toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received)) AS taken,
    toUnixTimestamp64Micro(time) AS told,
    arrayJoin(arrayFilter(n -> n.2 != '', [
      ('token', if(token_ref = none, '', toString(token_ref))), ('session', if(session_ref = none, '', toString(session_ref))),
      ('grant', if(grant_ref = none, '', toString(grant_ref))), ('subject', if(subject_ref = none, '', toString(subject_ref))),
      ('client', if(client = '', '', concat(issuer, '\0', client))), ('key', if(kid = '', '', concat(issuer, '\0', kid))),
      ('issuer', concat(issuer, '\0')), ('tenant', '-')])) AS name
  FROM events
  WHERE shard = {shard:UInt16} AND type = {type:String} AND outcome != 'failure'
    AND `index` >= greatest({first:UInt64}, {behind:UInt64}) AND `index` < {end:UInt64}
) AS v
INNER JOIN revocations AS r ON v.tenant = r.tenant AND v.name = r.name
WHERE accepted > revoked
  AND (r.cutoff = 0 OR v.issued = 0 OR intDiv(v.issued, 1000) <= intDiv(r.cutoff, 1000))
  AND (r.expires = 0 OR v.told < r.expires) AND v.told >= r.starts
  AND (v.view > 0 AND v.view >= revoked OR v.taken > greatest(r.since, r.starts) + {bound:Int64})
  AND (accepted, revoked) > ({behind:UInt64}, {revoked:UInt64})
ORDER BY accepted, revoked
LIMIT {limit:UInt32};
--   shard = 0
--   first = 1
--   end = 9
--   type = dev.rescind.token.verified.v1
--   types = [dev.rescind.token.revoked.v1 dev.rescind.session.revoked.v1 dev.rescind.subject.revoked.v1 dev.rescind.client.revoked.v1 dev.rescind.key.revoked.v1 dev.rescind.issuer.revoked.v1 dev.rescind.tenant.revoked.v1 dev.rescind.grant.revoked.v1 dev.rescind.revocation.restored.v1]
--   behind = 0
--   revoked = 0
--   limit = 5
--   bound = 5000000

-- tokens of
SELECT groupArray(token)
FROM (
  SELECT lower(hex(token_ref)) AS token
  FROM events
  WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND subject_ref = unhex({subject_ref:String})
  AND `index` < {end:UInt64}
  AND token_ref != toFixedString('', 16)
  GROUP BY token_ref
  ORDER BY max(`index`) DESC
  LIMIT {limit:UInt32}
);
--   tenant = acme
--   shard = 0
--   subject_ref = 01000000000000000000000000000000
--   end = 100
--   limit = 10000

