// Reads the vectors of the feed, and says what it reads otherwise.
//
//   node vectors.mjs ../../schemas/testdata/feed/feed.json

import { deepStrictEqual, throws } from "node:assert";
import { readFileSync } from "node:fs";

import { hash, openDelta, openKeys, openSnapshot, publicKey } from "./message.mjs";
import { RevocationSet } from "./set.mjs";

const v = JSON.parse(readFileSync(process.argv[2], "utf8"));
const key = publicKey(v.public_key), bytes = (s) => Buffer.from(s, "base64");

const row = (e) => ({
  hash: e.hash, index: e.index, lift: e.lift, ...(e.scope && { scope: e.scope }), cutoff: e.cutoff, starts: e.starts, expires: e.expires, at: e.at,
  ...(e.reason && { reason: e.reason }), tenant: e.tenant, generation: e.generation,
});

function told(m, want) {
  const got = { ...want, sum: m.sum, feed: String(m.feed), seq: m.seq, time: m.time, epochs: m.epochs.split(","), entries: m.entries.map(row) };
  if (want.prev) [got.prev, got.prev_sum] = [m.prev, m.prevSum];
  deepStrictEqual(got, want);
}

for (const h of v.hashes) deepStrictEqual(hash(Buffer.from(h.key, "hex"), h.scope, h.iss, h.id), h.hash, `${h.scope} ${h.id}`);
for (const r of v.refused) throws(() => openDelta(key, bytes(r.message)), undefined, r.name);

const set = new RevocationSet();
let at = openSnapshot(key, bytes(v.snapshot.message));
told(at, v.snapshot);
set.apply(at.entries);
for (const want of v.deltas) {
  const d = openDelta(key, bytes(want.message));
  told(d, want);
  deepStrictEqual([d.feed, d.epochs, d.prev, d.prevSum], [at.feed, at.epochs, at.seq, at.sum], want.name);
  set.apply(d.entries);
  at = d;
}
set.setKeys(openKeys(key, bytes(v.keys), v.keys_signature).keys);

function decides(when) {
  for (const c of v.decisions) {
    const found = set.find(c.tenant, c.claims, v.now);
    const got = found ? "revoked" : set.lacks(c.tenant) ? "unknown" : "active";
    deepStrictEqual([got, found?.scope, found?.reason], [c.decision, c.scope, c.reason], `${c.name}, ${when}`);
  }
}
decides("at first");
set.sweep(v.now);
decides("swept");
