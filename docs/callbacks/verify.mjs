// What a receiver of Rescind's callbacks checks before it believes anything:
// RFC 9421 and RFC 9530 with nothing but Node. See docs/callbacks.md.
//
//   node verify.mjs FILE    FILE is {"url","fields","body","jwk","now"}
//
// prints {"id","kind"} and exits 0, or says why not and exits 3.
import { createHash, createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';

const covered = ['@method', '@target-uri', 'content-type', 'content-digest', 'idempotency-key', 'rescind-kind'];
const input = new RegExp('^rescind=(\\("' + covered.join('" "') + '"\\);created=(\\d{1,12});expires=(\\d{1,12});keyid="([\\w-]{43})";alg="ed25519";tag="rescind-callback")$');

/** fields are lower case, body is a Buffer, url is your own, keys map ids to key objects; throws. */
export function received({ url, fields, body, keys, now }) {
  const m = input.exec(fields['signature-input']);
  if (!m) throw new Error('other components are signed than have to be');
  const [, params, created, expires, keyID] = m;
  if (created > now + 60 || expires < now - 60 || expires - created > 300) throw new Error('not at this time');
  const value = { '@method': 'POST', '@target-uri': url };
  const base = covered.map(name => `"${name}": ${value[name] ?? fields[name]}\n`).join('') + `"@signature-params": ${params}`;
  const signature = /^rescind=:([A-Za-z0-9+/=]+):$/.exec(fields.signature);
  if (!signature || !keys[keyID] || !verify(null, Buffer.from(base), keys[keyID], Buffer.from(signature[1], 'base64')))
    throw new Error('not of a key that is known, or changed');
  if (fields['content-digest'] !== `sha-256=:${createHash('sha256').update(body).digest('base64')}:`) throw new Error('the body is another');
  return { id: JSON.parse(fields['idempotency-key']), kind: fields['rescind-kind'] };
}

/** A key's id is its RFC 7638 thumbprint. */
export function keyID({ crv, kty, x }) {
  return createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
}

if (process.argv[2]) {
  const v = JSON.parse(readFileSync(process.argv[2], 'utf8'));
  try {
    const keys = { [keyID(v.jwk)]: createPublicKey({ key: v.jwk, format: 'jwk' }) };
    console.log(JSON.stringify(received({ ...v, body: Buffer.from(v.body), keys })));
  } catch (err) {
    console.error(err.message);
    process.exit(3);
  }
}
