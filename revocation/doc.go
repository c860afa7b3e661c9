// Package revocation is the revocation set of Rescind: which tokens are
// revoked, by what, and how that is decided, signed and packed. It is a pure
// state machine: no I/O, no clock but the times it is given.
//
// # What it is
//
// An [Entry] is one revocation, or the lifting of one, under a 16-byte keyed
// hash. A [Set] is what a sequence of entries amounts to. [Set.Decide] answers
// for the [Claims] of one token. A [Delta] carries entries from the projector
// to verifiers; a [Snapshot] carries a whole set. Both are signed.
//
// # Guarantees
//
//   - Applying entries commutes and is idempotent: the same entries give the
//     same set in any order and however often each is applied. A revocation
//     that was lifted stays lifted when it is delivered again, and a lift that
//     arrives first lifts what comes after it.
//   - A token is revoked if any matching scope says so. The cut-off that counts
//     is the latest of all that match, across scopes and within one.
//   - iat <= cut-off is revoked, and both are compared in whole seconds: a
//     token issued in the same second as the cut-off is revoked. A token
//     without iat is revoked by any cut-off.
//   - The set is exact: it revokes nothing that no entry names, and everything
//     that a living entry names.
//   - An entry has no effect from its Expires on, whether or not it was swept.
//   - Where entries of a tenant were made with a feed key that the set was not
//     given, a token of that tenant is never called active: it is unknown.
//   - Decide does not allocate for identifiers within events.MaxTextBytes.
//   - Equal sets pack to equal bytes. A delta or snapshot that was changed in
//     any bit, or signed by another key or for another purpose, is refused.
//
// # Shapes and units
//
// A head says how far each shard's log is: Position and LogSeq are the first
// one's, and Others holds those behind it, which travel only where there are
// any. Cut-offs and expiries are events.Timestamp: milliseconds, where a zero
// cut-off revokes whatever iat says and a zero expiry means never. A signed
// message is 64 bytes of Ed25519 signature over a purpose and the SHA-256 of
// the payload, then the payload in deterministic CBOR. Members are numbered as
// the struct tags say; in a snapshot the entries are columns, sorted by hash.
//
// # Errors
//
// [ErrSignature] where a message was not signed by the expected key;
// [ErrFormat] where the signer wrote what this version cannot read.
//
// # Concurrency
//
// A Set may be used from any goroutine. Decide takes a read lock; Apply and
// Sweep hold the write lock for bounded pieces of their work.
//
// # What it does not do
//
// It does not know how old it is or whether it is complete: that is
// revocation/feed. It does not compute the hashes of entries: the intake does,
// at the door. A lift whose Expires is before that of what it lifts holds for
// as long as one of the two is in the set: writers give a lift at least the
// Expires of what it lifts.
//
// # Sources
//
// RFC 7519 (NumericDate), RFC 8032 (Ed25519), RFC 8949 section 4.2
// (deterministic CBOR); Aumasson and Bernstein, SipHash (2012).
// CVE-2026-8922 and CVE-2026-18218 are what a cut-off that hides another one
// looks like.
package revocation
