// The entries of a snapshot, which lie in columns.

/** Returns the rows of the decoded map of a snapshot. */
export function columns(m) {
  const count = m.get(3), keys = m.get(4) ?? [], reasons = m.get(5) ?? [], hashes = m.get(6), kinds = m.get(8);
  if (kinds.length !== count || hashes.length !== 16 * count) throw new Error("columns of different length");
  const rest = reader(m.get(9)), rows = [];
  for (let i = 0; i < count; i++) {
    const [index, cutoff, starts, expires, at, reason, key] = Array.from({ length: 7 }, rest.uvarint);
    rows.push({ kind: kinds[i], hash: hashes.subarray(16 * i, 16 * i + 16), index, cutoff, starts, expires, at, reason: reasons[reason], key: keys[key] });
  }
  if (!rest.done()) throw new Error("bytes after the last entry");
  return rows;
}

function reader(bytes) {
  let at = 0;
  return {
    done: () => at === bytes.length,
    uvarint() {
      let value = 0, scale = 1;
      for (; ; scale *= 128) {
        if (at === bytes.length || scale > 2 ** 49) throw new Error("uvarint cut short or too long");
        const b = bytes[at++];
        value += (b & 127) * scale;
        if (b < 128) return value;
      }
    },
  };
}
