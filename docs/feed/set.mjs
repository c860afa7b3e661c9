// What the entries amount to, and what that says of a token.

import { hash, scopes } from "./message.mjs";

const claimOf = { token: "jti", session: "sid", grant: "grant_id", subject: "sub", client: "client_id", key: "kid" };

export class RevocationSet {
  #revocations = new Map(); // hash -> Map of index -> {entry, lifted}
  #made = new Map(); // tenant -> Map of generation -> how many entries that are not lifted were made with it
  #keys = new Map(); // tenant -> Map of generation -> Buffer

  /** Adds entries: in any order, and as often as they come. */
  apply(entries) {
    for (const e of entries) {
      const of = this.#revocations.get(e.hash) ?? new Map();
      const known = of.get(e.index) ?? {}, counted = counts(known);
      if (e.lift) known.lifted = true;
      else known.entry = e;
      this.#revocations.set(e.hash, of.set(e.index, known));
      if (known.entry) this.#count(known.entry, counts(known) - counted);
    }
  }

  #count({ tenant, generation }, by) {
    const of = this.#made.get(tenant) ?? new Map();
    this.#made.set(tenant, of.set(generation, (of.get(generation) ?? 0) + by));
  }

  /** Drops what has no effect any more, now in seconds. */
  sweep(now) {
    const living = [...this.#revocations.values()].flatMap((of) => [...of.values()]).filter(({ entry }) => !entry || forever(entry.expires) > now);
    this.#revocations.clear();
    this.#made.clear();
    for (const { entry, lifted } of living) {
      if (entry) this.apply([entry, ...(lifted ? [{ ...entry, lift: true }] : [])]);
    }
  }

  /** Replaces the feed keys. */
  setKeys(keys) {
    this.#keys.clear();
    for (const { tenant, generation, key } of keys) {
      this.#keys.set(tenant, (this.#keys.get(tenant) ?? new Map()).set(generation, Buffer.from(key)));
    }
  }

  /** Reports whether a key of the tenant is missing to read its entries that are not lifted. */
  lacks(tenant) {
    return [...(this.#made.get(tenant) ?? [])].some(([g, n]) => n > 0 && !this.#keys.get(tenant)?.has(g));
  }

  /** Returns the revocation that revokes the claims at now, in seconds; undefined where there is none. */
  find(tenant, claims, now) {
    let best;
    for (const key of (this.#keys.get(tenant) ?? new Map()).values()) {
      for (const scope of scopes) {
        const id = claimOf[scope] ? claims[claimOf[scope]] : "";
        if (id === undefined || (scope !== "tenant" && !claims.iss)) continue;
        for (const { entry, lifted } of (this.#revocations.get(hash(key, scope, claims.iss ?? "", id)) ?? new Map()).values()) {
          if (entry && !lifted && revokes(entry, claims, now) && (!best || outranks(entry, best))) best = entry;
        }
      }
    }
    return best;
  }
}

const counts = ({ entry, lifted }) => (entry && !lifted ? 1 : 0);

const forever = (t) => (t === 0 ? Infinity : t);

function revokes(e, claims, now) {
  return e.starts <= now && now < forever(e.expires) && Math.floor(claims.iat ?? 0) <= forever(e.cutoff);
}

// The later cut-off decides, then the narrower scope, then the earlier one.
function outranks(a, b) {
  return forever(a.cutoff) !== forever(b.cutoff) ? forever(a.cutoff) > forever(b.cutoff)
    : a.scope !== b.scope ? scopes.indexOf(a.scope) < scopes.indexOf(b.scope) : a.index < b.index;
}
