// As much of CBOR (RFC 8949) as the feed uses: integers, byte and text strings,
// arrays and maps of definite length, null. Anything else is an error.

/** Returns the one value that bytes hold. Integers are BigInt above 2^53. */
export function decode(bytes) {
  const state = { bytes, at: 0, depth: 0 };
  const value = item(state);
  if (state.at !== bytes.length) throw new Error("cbor: bytes after the value");
  return value;
}

function take(state, n) {
  if (n > state.bytes.length - state.at) throw new Error("cbor: cut short");
  state.at += n;
  return state.bytes.subarray(state.at - n, state.at);
}

function argument(state, short) {
  switch (short) {
    case 24: return take(state, 1).readUInt8();
    case 25: return take(state, 2).readUInt16BE();
    case 26: return take(state, 4).readUInt32BE();
    case 27: {
      const n = take(state, 8).readBigUInt64BE();
      return n <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(n) : n;
    }
  }
  if (short > 27) throw new Error("cbor: indefinite length");
  return short;
}

function item(state) {
  const first = take(state, 1)[0];
  const n = argument(state, first & 31);
  switch (first >> 5) {
    case 0: return n;
    case 1: return typeof n === "bigint" ? -1n - n : -1 - n;
    case 2: return take(state, n);
    case 3: return take(state, n).toString("utf8");
    case 4: return nested(state, n, (out) => out.push(item(state)), []);
    case 5: return nested(state, n, (out) => out.set(item(state), item(state)), new Map());
    case 7: if (n === 22) return null; // an empty list
  }
  throw new Error("cbor: a type that the feed does not use");
}

function nested(state, n, one, out) {
  if (++state.depth > 8) throw new Error("cbor: nested too deep");
  if (n > state.bytes.length - state.at) throw new Error("cbor: cut short"); // before room is made for it
  for (let i = 0; i < n; i++) one(out);
  state.depth--;
  return out;
}
