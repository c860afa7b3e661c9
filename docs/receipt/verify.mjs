// Verifies the receipt of an erasure in Node, with nothing but what Node brings.
//
//   node verify.mjs receipt.jws keys.json [salt issuer subject]

import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const [file, keys, salt, issuer, subject] = process.argv.slice(2);
const [header, payload, signature] = readFileSync(file, "utf8").trim().split(".");

const raw = (text) => Buffer.from(text, "base64url");
const said = JSON.parse(raw(header));
const jwk = JSON.parse(readFileSync(keys)).keys.find((k) => k.kid === said.kid);
if (said.alg !== "EdDSA" || said.typ !== "rescind-erasure-receipt" || said.jwk || said.crit || !jwk) throw new Error("no receipt, or of another key");
const key = createPublicKey({ key: { kty: jwk.kty, crv: jwk.crv, x: jwk.x }, format: "jwk" });
if (!verify(null, Buffer.from(`${header}.${payload}`), key, raw(signature))) throw new Error("the signature does not hold");

const receipt = JSON.parse(raw(payload));
if (salt) {
  const counted = (b) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(b.length);
    return Buffer.concat([length, b]);
  };
  const hash = createHash("sha256").update("rescind erasure receipt subject v1\0");
  for (const part of [raw(salt), Buffer.from(issuer), Buffer.from(subject)]) hash.update(counted(part));
  if (hash.digest("hex") !== receipt.commitment) throw new Error("it is not about this person");
}
console.log(JSON.stringify(receipt));
