// A message to the intake: JWE in compact form (RFC 7516) with ECDH-ES on P-256
// (RFC 7518, 4.6) and A256GCM.

import { createCipheriv, createECDH, createHash, randomBytes } from "node:crypto";

const b64 = (bytes) => Buffer.from(bytes).toString("base64url");
const raw = (text) => Buffer.from(text, "base64url");
const number = (n) => Buffer.from(Uint32Array.of(n).buffer).swap32(); // big-endian
const counted = (s) => Buffer.concat([number(s.length), Buffer.from(s)]);

// current is the key of a set to encrypt to, so many seconds after it was
// fetched: of those that take messages then, the one that ends last. The time is
// what the set says and what has passed since; the clock of this machine may be
// wrong.
export function current(set, passed = 0) {
  const at = set.now + passed;
  const ours = (k) => k.kty === "EC" && k.crv === "P-256" && k.use === "enc" && k.alg === "ECDH-ES";
  const taken = set.keys.filter((k) => ours(k) && k.nbf <= at && at < k.exp);
  if (taken.length === 0) throw new Error("no key takes messages now");
  return taken.reduce((a, b) => (b.exp > a.exp ? b : a));
}

// seal is plain, of that content type, encrypted to key.
export function seal(key, contentType, plain) {
  const ephemeral = createECDH("prime256v1");
  const point = ephemeral.generateKeys(); // 4, x, y
  const epk = { kty: "EC", crv: "P-256", x: b64(point.subarray(1, 33)), y: b64(point.subarray(33)) };
  const header = b64(JSON.stringify({ alg: "ECDH-ES", enc: "A256GCM", kid: key.kid, cty: contentType, epk }));

  const shared = ephemeral.computeSecret(Buffer.concat([Buffer.of(4), raw(key.x), raw(key.y)]));
  const info = [counted("A256GCM"), counted(""), counted(""), number(256)]; // no apu, no apv
  const contentKey = createHash("sha256").update(Buffer.concat([number(1), shared, ...info])).digest();

  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", contentKey, iv).setAAD(Buffer.from(header));
  const ciphertext = Buffer.concat([cipher.update(plain), cipher.final()]);
  return [header, "", b64(iv), b64(ciphertext), b64(cipher.getAuthTag())].join(".");
}
