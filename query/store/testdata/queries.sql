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
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts
FROM events
WHERE tenant = {tenant:String}
  AND shard = {shard:UInt16}
  AND `index` = {index:UInt64};
--   tenant = acme
--   shard = 0
--   index = 7

-- event, any tenant
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts
FROM events
WHERE shard = {shard:UInt16}
  AND `index` = {index:UInt64};
--   shard = 0
--   index = 7

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

-- recorded
SELECT max(first + count)
FROM batches
WHERE shard = {shard:UInt16};
--   shard = 0

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
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts
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
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts
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
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts
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

-- search, session
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts
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
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts
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
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts
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
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts
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
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts
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
SELECT shard, index, version, tenant, source, id, environment, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer, subject_ref, token_ref, session_ref, grant_ref, client, kid, alg, aud, scope, toUnixTimestamp64Milli(iat), toUnixTimestamp64Milli(exp), toUnixTimestamp64Milli(nbf), actor, outcome, reason, mapKeys(attributes), mapValues(attributes), view, payload_hash, data_key, claims, consent, purposes, ticket, revokes, revoked_scope, revoked_hash, toUnixTimestamp64Milli(revoked_before), toUnixTimestamp64Milli(revoked_expires), revoked_feed_key, lifts
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

