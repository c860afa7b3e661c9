// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012).

const mask = (1n << 64n) - 1n;
const rotl = (x, b) => ((x << b) | (x >> (64n - b))) & mask;

/** Returns the 16 bytes of SipHash-2-4-128 of data under a key of 16 bytes. */
export function siphash128(key, data) {
  const k0 = key.readBigUInt64LE(0), k1 = key.readBigUInt64LE(8);
  let v0 = k0 ^ 0x736f6d6570736575n, v1 = k1 ^ 0x646f72616e646f6dn ^ 0xeen;
  let v2 = k0 ^ 0x6c7967656e657261n, v3 = k1 ^ 0x7465646279746573n;
  const round = () => {
    v0 = (v0 + v1) & mask; v1 = rotl(v1, 13n) ^ v0; v0 = rotl(v0, 32n);
    v2 = (v2 + v3) & mask; v3 = rotl(v3, 16n) ^ v2;
    v0 = (v0 + v3) & mask; v3 = rotl(v3, 21n) ^ v0;
    v2 = (v2 + v1) & mask; v1 = rotl(v1, 17n) ^ v2; v2 = rotl(v2, 32n);
  };
  const padded = Buffer.alloc((Math.floor(data.length / 8) + 1) * 8);
  data.copy(padded);
  padded[padded.length - 1] = data.length & 0xff;
  for (let at = 0; at < padded.length; at += 8) {
    const m = padded.readBigUInt64LE(at);
    v3 ^= m; round(); round(); v0 ^= m;
  }
  v2 ^= 0xeen;
  for (let i = 0; i < 4; i++) round();
  const out = Buffer.alloc(16);
  out.writeBigUInt64LE(v0 ^ v1 ^ v2 ^ v3, 0);
  v1 ^= 0xddn;
  for (let i = 0; i < 4; i++) round();
  out.writeBigUInt64LE(v0 ^ v1 ^ v2 ^ v3, 8);
  return out;
}
