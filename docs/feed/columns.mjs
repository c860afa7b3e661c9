// The revocations of a snapshot, which lie in columns.

import { inflateRawSync } from "node:zlib";

const lift = 0xff, lifted = 1, hasCutoff = 2, hasStarts = 4;

/** Returns the rows of the decoded map of a snapshot: revocations and lifts. */
export function columns(m) {
  const counts = m.get(3), keys = m.get(4) ?? [], reasons = m.get(5) ?? [], hashes = m.get(6), kinds = m.get(7) ?? [];
  const count = counts.reduce((a, b) => a + b, 0), rows = [];
  if (hashes.length !== 16 * count) throw new Error("columns of different length");
  const [kindOf, indexOf, atOf, expiresOf, bounds] = m.get(8).map((c, i) => reader(c, (i === 4 ? 20 : 10) * count));
  for (let shard = 0, row = 0; shard < counts.length; shard++) {
    for (let i = 0, index = 0, at = 0; i < counts[shard]; i++, row++) {
      const [kind, flags, reason, key] = kinds[kindOf.unsigned()];
      index += indexOf.unsigned();
      at += atOf.signed();
      const e = expiresOf.unsigned(), expires = e === 0 ? 0 : at + unfold(e - 1);
      const cutoff = flags & hasCutoff ? at + bounds.signed() : 0, starts = flags & hasStarts ? at + bounds.signed() : 0;
      const of = { hash: hashes.subarray(16 * row, 16 * row + 16), index, expires, key: keys[key] };
      if (kind !== lift) rows.push({ ...of, kind, cutoff, starts, at, reason: reasons[reason] });
      if (flags & lifted) rows.push({ ...of, kind: lift, cutoff: 0, starts: 0, at: 0 });
    }
  }
  if (![kindOf, indexOf, atOf, expiresOf, bounds].every((c) => c.done())) throw new Error("bytes behind the last row");
  return rows;
}

const unfold = (v) => (v % 2 === 0 ? v / 2 : -(v + 1) / 2);

// A column is DEFLATE of varints; it never holds more than its rows can need.
function reader(packed, most) {
  const bytes = most === 0 ? Buffer.alloc(0) : inflateRawSync(packed, { maxOutputLength: most });
  let at = 0;
  const unsigned = () => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      if (at === bytes.length || scale > 2 ** 49) throw new Error("a number is cut or too large");
      const b = bytes[at++];
      value += (b & 127) * scale;
      if (b < 128) return value;
    }
  };
  return { unsigned, signed: () => unfold(unsigned()), done: () => at === bytes.length };
}
