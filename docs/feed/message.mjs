// Opening the feed's messages: docs/feed.md says what is in them.

import { createHash, createPublicKey, verify } from "node:crypto";

import { decode } from "./cbor.mjs";
import { siphash128 } from "./siphash.mjs";
import { columns } from "./columns.mjs";

export const scopes = ["token", "session", "grant", "subject", "client", "key", "issuer", "tenant"];
const lift = 0xff, version = 2;

/** Returns the key that verifies the feed, of its 32 bytes in base64. */
export function publicKey(base64) {
  const x = Buffer.from(base64, "base64").toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

const sha256 = (b) => createHash("sha256").update(b).digest();

function payloadOf(key, purpose, message) {
  const payload = message.subarray(64);
  const signed = Buffer.concat([Buffer.from(`${purpose}\n`), sha256(payload)]);
  if (message.length < 64 || !verify(null, signed, key, message.subarray(0, 64))) {
    throw new Error(`${purpose}: not signed by the feed's key`);
  }
  return payload;
}

// place is what identifies a history, and how far it is.
function place(head, others) {
  const [epoch, feed, seq, , , time] = head;
  return { feed, seq, time, epochs: [epoch, ...(others ?? []).map((o) => o[0])].join() };
}

function check(map) {
  if (map.get(1) !== version) throw new Error(`version ${map.get(1)}, want ${version}`);
}

/** Opens a delta: its place, what it follows, and its entries. */
export function openDelta(key, message) {
  const m = decode(payloadOf(key, "rescind revocation delta v2", message));
  check(m);
  const keys = m.get(4) ?? [], reasons = m.get(5) ?? [];
  const entries = (m.get(6) ?? []).map(([kind, hash, index, cutoff, starts, expires, at, reason, by]) =>
    entry({ kind, hash, index, cutoff, starts, expires, at, reason: reasons[reason], key: keys[by] }));
  return { ...place(m.get(2), m.get(8)), prev: m.get(3), prevSum: m.get(7).toString("hex"), sum: sumOf(message), entries };
}

/** Opens a snapshot: its place, the sum of the delta that it stands at, and its entries. */
export function openSnapshot(key, message) {
  const m = decode(payloadOf(key, "rescind revocation snapshot v2", message));
  check(m);
  return { ...place(m.get(2), m.get(11)), sum: m.get(10).toString("hex"), entries: columns(m).map(entry) };
}

function entry({ kind, hash, index, cutoff, starts, expires, at, reason, key: [tenant, generation] }) {
  if (kind !== lift && kind >= scopes.length) throw new Error("kind out of range");
  const of = { hash: hash.toString("hex"), index, expires, tenant, generation };
  return kind === lift ? { ...of, lift: true, cutoff: 0, starts: 0, at: 0 } : { ...of, lift: false, scope: scopes[kind], cutoff, starts, at, reason };
}

/** Identifies a message: the delta behind it holds this. */
export function sumOf(message) {
  return sha256(message).subarray(0, 16).toString("hex");
}

/** Opens a page of feed keys, of a body and its header. */
export function openKeys(key, body, signature) {
  return JSON.parse(payloadOf(key, "rescind feed keys v1", Buffer.concat([Buffer.from(signature, "base64"), body])).toString("utf8"));
}

/** Hashes scope and identifiers under a feed key of 16 bytes. */
export function hash(key, scope, iss, id) {
  const issuer = Buffer.from(scope === "tenant" ? "" : iss, "utf8"), length = Buffer.alloc(4);
  length.writeUInt32LE(issuer.length);
  const about = scope === "tenant" || scope === "issuer" ? "" : id;
  return siphash128(key, Buffer.concat([Buffer.from([scope.length]), Buffer.from(scope), length, issuer, Buffer.from(about, "utf8")])).toString("hex");
}
