// A verifier in Node, with nothing but what Node brings: it follows the feed
// over HTTP and answers, for each line of claims on standard input, with a line
// that says whether the token is revoked.
//
//   RESCIND_TOKEN=… node verifier.mjs https://rescind.example acme BASE64-OF-THE-FEED'S-PUBLIC-KEY

import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import { openDelta, openKeys, openSnapshot, publicKey } from "./message.mjs";
import { RevocationSet } from "./set.mjs";

const [base, tenant, feedKey] = process.argv.slice(2);
const key = publicKey(feedKey);
const staleAfter = Number(process.env.STALE_MS ?? 5000), skew = Number(process.env.SKEW_MS ?? 2000);
const say = (o) => process.stdout.write(`${JSON.stringify(o)}\n`);

let set, at, signed = 0, heard = 0, heardSteady = 0, late = 0, doubt = "cold", etag, keysAt = 0;
const keysEvery = 600_000; // ms: one that is new is not used for days, and one that is not answered any more is destroyed
const loaded = { snapshots: 0, resumed: 0 };

const ask = (path, headers = {}, signal = AbortSignal.timeout(10_000)) =>
  fetch(base + path, { headers: { Authorization: `Bearer ${process.env.RESCIND_TOKEN}`, ...headers }, signal });

async function fetchKeys() {
  const keys = [];
  for (let query = "", more = true; more; ) {
    const answer = await ask(`/v1/revocations/keys${query}`);
    if (!answer.ok) throw new Error(`keys: ${answer.status}`);
    const page = openKeys(key, Buffer.from(await answer.arrayBuffer()), answer.headers.get("Rescind-Signature"));
    keys.push(...page.keys);
    if ((more = page.more === true)) {
      const last = keys.at(-1);
      query = `?after_tenant=${last.tenant}&after_generation=${last.generation}`;
    }
  }
  set.setKeys(keys);
  keysAt = performance.now();
}

// What an old view revokes stays revoked until the new one is there.
async function loadSnapshot() {
  const answer = await ask("/v1/revocations/snapshot");
  if (!answer.ok) throw new Error(`snapshot: ${answer.status}`);
  const snapshot = openSnapshot(key, Buffer.from(await answer.arrayBuffer()));
  const fresh = new RevocationSet();
  fresh.apply(snapshot.entries);
  [set, at, etag] = [fresh, snapshot, answer.headers.get("ETag")];
  signed = Number(at.time) / 1e6;
  await fetchKeys();
  loaded.snapshots++;
}

async function take(message) {
  const d = openDelta(key, message);
  if (d.feed !== at.feed || d.epochs !== at.epochs) throw new Gap("another history");
  if (d.seq <= at.seq) return;
  if (d.prev !== at.seq || d.prevSum !== at.sum) throw new Gap(`${d.seq} does not follow ${at.seq}`);
  set.apply(d.entries);
  at = d;
  if (set.lacks(tenant) || performance.now() - keysAt > keysEvery) await fetchKeys();
  signed = Number(d.time) / 1e6;
  heard = Date.now();
  heardSteady = performance.now();
  late = Math.max(0, Math.abs(heard - signed * 1000) - skew); // signed ahead of our time, it could be as old
  doubt = "";
}

class Gap extends Error {}

async function* eventsOf(body) {
  let text = "", event = {};
  for await (const part of body.pipeThrough(new TextDecoderStream())) {
    const lines = (text + part).split("\n");
    text = lines.pop();
    for (const line of lines) {
      const colon = line.indexOf(": ");
      if (line === "" && event.event) { yield event; event = {}; }
      else if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 2);
    }
  }
}

// Loading, following and coming back are one loop.
async function follow() {
  if (!at) await loadSnapshot();
  const stop = new AbortController();
  let watch;
  const alive = () => { clearTimeout(watch); watch = setTimeout(() => stop.abort(), 30_000); }; // a connection that died says nothing
  alive();
  try {
    const answer = await ask("/v1/revocations/stream", { "Last-Event-ID": `${at.feed}-${at.seq}` }, stop.signal);
    if (!answer.ok) throw new Error(`stream: ${answer.status}`);
    for await (const e of eventsOf(answer.body)) {
      alive();
      if (e.event === "reset") throw new Gap("reset");
      await take(Buffer.from(JSON.parse(e.data).message, "base64"));
    }
    throw new Error("stream: ended");
  } finally {
    clearTimeout(watch);
  }
}

function decide(claims) {
  const found = set?.find(tenant, claims, Date.now() / 1000);
  const age = late + Math.max(Date.now() - heard, performance.now() - heardSteady); // a clock that was set back makes nothing younger
  if (found) return { decision: "revoked", scope: found.scope, reason: found.reason, index: found.index };
  const cause = !set || set.lacks(tenant) ? "cold" : doubt || (age > staleAfter ? "stale" : "");
  return cause ? { decision: "unknown", cause } : { decision: "active" };
}

// A clock that is ahead for a while must not drop what is still to be refused.
setInterval(() => set?.sweep(Math.min(Date.now() / 1000, signed)), 60_000).unref();

createInterface({ input: process.stdin }).on("line", (line) => say({ ...decide(JSON.parse(line)), ...loaded, etag }))
  .on("close", () => process.exit(0));

for (;;) {
  try {
    await follow();
  } catch (err) {
    if (err instanceof Gap) [at, doubt] = [undefined, "gap"];
    else loaded.resumed++;
    process.stderr.write(`${err.message}\n`);
    await sleep(100 + Math.random() * 200);
  }
}
