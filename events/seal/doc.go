// Package seal keeps the keys that make a person forgettable: subject
// references, data keys, and the tenant's own keys, each wrapped under the key
// of an epoch, in a store that sees none of them, under a root that destroys the
// keys of epochs that are over.
//
// # What it is
//
// A [Keyring] gives each person of a tenant a random reference and a data key,
// made on first use. The personal part of every event is sealed under the data
// key of the person it names, or under the tenant's own where it names nobody.
// [Keyring.Destroy] erases reference and data key, and leaves a fence that
// keeps them from being made again. A [Tenant] turns the other identifiers into
// keyed hashes. Beside them stand the keys that publishers encrypt to
// ([Keyring.IntakeKeys]), which are nobody's and live for about a day, and those that
// receipts are signed with ([Keyring.ReceiptKeys]), which stay. A [Rotation]
// takes the keyring from epoch to epoch: what is in it is wrapped anew, and the
// [Root] destroys the key of the epoch before, so that no copy of the keyring from
// then opens anything.
//
// # Guarantees
//
//   - What is sealed for an event opens only for the same tenant, source and
//     id; what is sealed for a person only for that person, and only beside a
//     record that names its hash. Both only if not one bit was changed.
//   - The personal parts of two events that say the same of one person are the
//     same bytes; of two people, or under a tenant's own key, never.
//   - What an earlier version sealed opens.
//   - A key that Subjects returned is durable: after a crash of anything, the
//     same person has the same reference and key.
//   - However many processes meet a person at once, they agree on one reference
//     and one key.
//   - After Destroy has returned, nothing that was sealed for the person opens
//     in any process, whatever is cached there: [ErrDestroyed].
//   - Where Config.Held says that nobody waits for this process, no cached key is
//     used before the store was asked for a fence.
//   - A destroyed key never comes back, and none is made for that person again
//     but by RenewFor: Subjects answers Erased, in this process at once, in others
//     after Evict or Config.CacheTTL.
//   - Destroy stopped at any step, or answered by an error whose effect is not
//     known, ends where it should when it is called again; called twice, it
//     says AlreadyGone.
//   - What is left after Destroy does not lead from the reference to the person:
//     the fence holds a keyed hash of who, and nothing of the reference.
//   - Behind the fence, and before the key goes, OpenFenced alone opens what is
//     the person's. What is sealed under the key of a hold opens until
//     DestroyHold, and never again.
//   - RenewFor does once what it is called for, however often; RenewedFor says what a
//     key was made for, also where it was stopped.
//   - RenewFor alone ends a fence: under a new reference and a higher generation,
//     not while the old key is there, and what was destroyed stays so.
//   - "Never seen", "forgotten" and "cannot be reached" are three answers:
//     ErrNotFound, ErrDestroyed or Erased, and any other error.
//   - Forgetting a person changes nothing of any other person or tenant.
//   - The store sees no identifier and no key: names are keyed hashes, random
//     references and tenants; values are wrapped and bound to their names, so
//     that two cannot be swapped. The entries of epochs hold times and wrapped
//     keys.
//   - A copy of the keyring, made at any time before a person was forgotten, opens
//     nothing of them once the root has destroyed the keys of the epochs until
//     then, whoever has it, and whatever else is left: [Keyring.Residue] says from
//     when, as planned, and says no date that is known not to hold.
//   - Nothing is written in an epoch that is over, by a process that slept however
//     long: no entry is ever in an epoch whose key is destroyed, and none is lost.
//   - A rotation that was stopped at any step, or answered by an error whose effect
//     is not known, goes on where it was; several at once do no harm. Who is
//     forgotten while it runs stays forgotten.
//   - An epoch that cannot begin costs one of the root's keys, however often a
//     process tries. One that a wrong clock began at a time still to come ends at once.
//   - The key of an epoch is destroyed only when every entry of it was wrapped anew:
//     one that does not open keeps it. A rotation whose root is not the keyring's
//     begins and destroys nothing.
//   - An entry that was changed, cut, put in the place of another, or put back after
//     its person was forgotten opens nothing, and Config.OnTampering is told; so is a
//     sealed part that does not open.
//   - A rotation holds no more than a page of entries in memory.
//   - A key that is in use is confirmed by the store at least every
//     Config.CacheTTL, and read again every hour.
//   - A person's key is there only while the person can be found by reference:
//     killed anywhere, what was sealed can be opened and destroyed.
//   - What is opened is, byte for byte, what was sealed.
//   - Sealing never repeats anything that could weaken a key: there is no nonce,
//     and what is sealed twice tells only that it was the same.
//   - Of an intake key for one day there is one, however many processes make it at
//     once. After DestroyIntakeKey and Config.CacheTTL it opens nothing in any
//     process. One that cannot be read hides no other, and is not taken for one
//     that is not there.
//   - The key that receipts of erasures are signed with is one, however many
//     processes make it at once, and stays through all epochs. KeyMark names a
//     person's key, and what is left in the store when it was destroyed is that.
//   - A feed key, but for a tenant's first, is in the store FeedKeyAhead before a process
//     hashes under it. Its number is one that no other of the tenant had, whatever was
//     restored. The one in use, and those to come, are not destroyed. What has no end, or
//     a far one, is hashed under one that every keyring with the tenant has, and no
//     subject is.
//   - Memory is bounded: at most 280 bytes for each of Config.CacheSubjects, 28
//     MB by default, and 10 MB of prepared ciphers.
//
// # Shapes and units
//
// A sealed part is a version byte, a 16-byte tag and the ciphertext of the
// packed plain part: never more than 17 bytes and one in 128 longer than the
// plain one. Versions are 3 for an event, 4 for a person and 2, which is 3
// without some tokens and is only opened. Packing writes hex digits, UUIDs and
// addresses as bytes and some fifty names of clients and mail hosts as one byte each. The length of a sealed part tells how long
// the packed one is, and so something of how it is made up: that a client is a
// common one, that an identifier is hex. No member's length depends on what is
// in another. What comes out of unpacking is at most sixty times as long.
//
// The cipher is AES-SIV (RFC 5297) under 512 bits, half of them for AES-256-CMAC
// and half for AES-256-CTR. The additional data, one string, are tenant, source
// and id, or tenant and reference, each behind its length in 4 bytes, big-endian.
//
// AES-SIV makes its tag from all that is sealed and counts from the tag: two
// messages share a key stream only if their tags are the same, for which 2^48
// messages under one key have a chance of 2^-33. That suits a tenant's own key,
// which seals every event that names nobody, better than the 2^32 random nonces
// of AES-GCM; and the nonce that is not stored is 24 of the bytes that an event
// costs for years. A nonce made of the event's id would not do: a second event
// of the same id, which a publisher can send, would repeat it. What is lost is
// that whoever holds two sealed parts of one person, or of one event, sees
// whether they were the same: their digests would tell as well. What that means
// is in docs/adr/0010.
//
// A stored entry is wrapped by XAES-256-GCM, which is AES-256-GCM under a key
// derived for each message from a random nonce: the number of the epoch in 4
// bytes after the version byte, a 24-byte nonce, the ciphertext and a 16-byte tag.
// The additional data are the name of the entry. References are 16 bytes, data
// keys 64. The key of an epoch is derived from 32 random bytes, which the root
// wraps, and from all that the entry of the epoch says.
//
// # Errors
//
// [ErrNotFound], [ErrDestroyed], [ErrSealed], [ErrEpoch], [ErrPermanent] and [ErrOverdue] are
// for callers to branch on; anything else is the store's or the root's, and says
// nothing about what is there. No error holds an identifier or a key.
//
// # Concurrency
//
// A Keyring may be used from any goroutine, and any number of keyrings may
// share a store. A Tenant does not change.
//
// # What it does not do
//
// It does not revoke the person's tokens, record the erasure or announce it:
// query/erasure does. It does not undo a restored backup of the store: query/erasure/gate
// does, by Returned and DestroyAgain, before anything is served; start anew whoever
// holds a Keyring, which could go on for an hour with keys that the backup lacks. It
// cannot take back what was already opened, and does not scrub the memory of a
// running process. It does not reach copies of the root's keys, and until the
// date of Residue a copy of the keyring opens what it always did. It does not
// stop whoever holds the store and can use the root from asking whether a certain person was forgotten. A process killed between making a key and
// seeing the fence that was put meanwhile leaves a key that sealed nothing;
// calling Destroy again removes it. One killed between the two entries of a
// person leaves a reference that nothing was sealed under. RenewFor does not see a Destroy that was stopped
// between the key and the reference: called again by the old reference after it, Destroy forgets
// who was renewed. query/erasure renews nobody while it carries out an erasure of their tenant.
//
// # Sources
//
// RFC 5297 (AES-SIV), RFC 4493 (AES-CMAC); NIST SP 800-38D (GCM); C2SP
// XAES-256-GCM; RFC 2104 (HMAC), RFC 5869 (HKDF); GDPR article
// 17; the order "fence, destroy, evict" from the erasure fence of Cratis
// Chronicle. Epochs, and why the store is the fence: docs/adr/0021.
package seal
