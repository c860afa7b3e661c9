// Package revocation is the revocation set of Rescind: which tokens are
// revoked, by what, and how that is decided, signed and packed. It is a pure
// state machine: no I/O, no clock but the times it is given.
//
// # What it is
//
// An [Entry] is one revocation, or the lifting of one, under a 16-byte keyed
// hash. A [Set] is what a sequence of entries amounts to. [Set.Decide] answers
// for the [Claims] of one token. A [Delta] carries entries from the projector
// to verifiers, an [Announcement] what one is about to revoke; a [Snapshot]
// carries a whole set. These are signed.
// A [Receipt] is what a verifier says of how far it is; it is not signed.
//
// # Guarantees
//
//   - Applying entries commutes and is idempotent: the same entries give the
//     same set in any order and however often each is applied. A revocation
//     that was lifted stays lifted when it is delivered again, and a lift that
//     arrives first lifts what comes after it.
//   - A revocation is what the log has at its index: two of one target stay
//     two, and lifting one leaves the other.
//   - A token is revoked if any matching scope says so. The cut-off that counts
//     is the latest of all that match and have effect, across scopes and within
//     one.
//   - iat <= cut-off is revoked, and both are compared in whole seconds: a
//     token issued in the same second as the cut-off is revoked.
//   - A revocation has effect from its Starts until before its Expires, whether
//     or not it was swept. One that has not begun hides none that has.
//   - What a token does not say matches nothing: without jti no revocation of a
//     token does, without sid none of a session, without iss none but a
//     tenant's. A token without iat, or with an iat of 0, was issued before
//     every cut-off. exp is not looked at: a token that has expired, or never
//     says when, is for whoever checks it to refuse, and an entry lasts for the
//     longest lifetime that the deployment permits.
//   - The set is exact: it revokes nothing that no entry names, and everything
//     that an entry names which has effect.
//   - Where revocations of a tenant, not lifted, were made with a feed key that the
//     set was not given, a token of that tenant is never called active: it is
//     unknown. A set that was given none at all calls none active.
//   - Decisions are linearizable: each is that of the set at one moment between
//     its call and its return, however many pages it looked at.
//   - Decide takes no lock, and does not allocate for identifiers within
//     events.MaxTextBytes, but for the first token of an issuer after keys were
//     set: of 16 issuers a feed key half a hash of each scope is kept, 400 bytes
//     and a name for each. It looks again where something was lifted, dropped or
//     renumbered meanwhile.
//   - What Sweep drops has no effect at its time or later, and it keeps other
//     writers waiting for no more than 64 pages or leaves at a time.
//   - What is done for each tenant is done once for 256 entries, 64 pages or a
//     snapshot, not once for each key that is new in them; and not at all where
//     nobody gave keys, as only decisions need it.
//   - Revocations of one target may be many: a change copies no more than 64
//     rows of a page, or a leaf and what is above it. A decision passes over
//     those that were lifted without looking at each, beyond 16 of a target.
//   - An announcement holds no lifts: applying it can only have more refused. It
//     is signed for a purpose of its own, and Beyond leaves out what is of
//     another history or not behind the position.
//   - Equal sets pack to equal bytes. A delta or snapshot that was changed in
//     any bit, or signed by another key or for another purpose, is refused.
//   - A set loaded from a snapshot, with any entries applied again, is the set
//     that was packed.
//
// # Shapes and units
//
// A head says how far each shard's log is: Position and LogSeq are the first
// one's, and Others holds those behind it, which travel only where there are
// any. Times of entries are events.Timestamp in whole seconds: cut-off, start
// and At are rounded down, an expiry up; a cut-off within the first second of
// 1970 is the end of it. A zero cut-off revokes whatever iat says, a zero start
// means at once, a zero expiry never.
//
// A signed message is 64 bytes of Ed25519 signature over a purpose and the
// SHA-256 of the payload, then the payload in deterministic CBOR, its members
// numbered as the struct tags say. In a snapshot revocations are columns by
// shard and in the order of the log: hashes as they are, the rest varints
// compressed with DEFLATE, about 18.5 bytes a revocation.
//
// In memory a revocation of a token takes about 23 bytes: pages of up to 64
// rows, found by the first bits of the hash. Of a target with more than 16
// revocations each takes 60 to 120 bytes. Counts of a feed key take 256 bytes
// for each scope that something is revoked of. Loading a snapshot takes 56 bytes a
// revocation beside the message for as long as it lasts, and half a megabyte for
// each processor, of which it uses all; packing one takes 72 bytes a revocation.
//
// # Errors
//
// [ErrSignature] where a message was not signed by the expected key;
// [ErrFormat] where the signer wrote what this version cannot read. What a
// message claims of its lengths allocates no more than twenty times its size.
//
// # Concurrency
//
// A Set may be used from any goroutine. Readers never wait, but for Missing where
// no keys were given; writers take turns, of at most 256 entries or 64 pages.
//
// # What it does not do
//
// It does not know how old it is or whether it is complete: that is
// revocation/feed. It does not compute the hashes of entries: the intake does,
// at the door. A lift whose Expires is before that of what it lifts holds for
// as long as one of the two is in the set: writers give a lift at least the
// Expires of what it lifts. A decision for a time before a sweep that has
// already run is that of the swept set.
//
// # Sources
//
// RFC 7519 (NumericDate), RFC 8032 (Ed25519), RFC 8949 section 4.2
// (deterministic CBOR), RFC 1951 (DEFLATE); Aumasson and Bernstein, SipHash
// (2012); Fagin and others, extendible hashing (1979); Herlihy and Wing,
// linearizability (1990). CVE-2026-8922 and CVE-2026-18218 are what a cut-off
// that hides another one looks like.
package revocation
