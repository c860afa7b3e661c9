// Package receipt is the receipt of an erasure: what it says, how it is signed,
// and how anybody checks it without us.
//
// # What it is
//
// A [Receipt] says what was destroyed of a data subject, what was kept and on
// what it rests, which tokens are refused, who was told, what remains, and where
// the log stood before and after. It is a JWS (RFC 7515) signed with Ed25519
// ([Sign]); [Verify] needs the file and the key. A [Commitment] ties it to a person for
// those who were given the [Salt], and for nobody else.
//
// # Guarantees
//
//   - The same receipt signed with the same key is the same bytes.
//   - A signed receipt holds nothing that leads to the subject but the
//     commitment, and that only with the salt, the issuer and the subject.
//   - Verify accepts what Sign returned under the key that it was signed with, and
//     nothing else: not one bit changed, no other algorithm, no key that comes with the
//     receipt, no other kind of JWS under the same key.
//   - What is not accepted says why, and what to do, as an *[Invalid]; no input
//     makes Verify panic, or hold more than a few times [MaxFile].
//   - A key set in which a key does not stand under its own thumbprint, or in which
//     a private key is, is refused.
//   - A signed payload is no longer than [MaxPayload]: lists are cut and say of how
//     many there are more.
//   - What Sign writes is what schemas/receipts says, and the published vector.
//
// # Shapes and units
//
// The protected header is {"alg":"EdDSA","kid":…,"typ":"rescind-erasure-receipt"},
// in that order; kid is the thumbprint of the key (RFC 7638). The payload is the JSON
// of a Receipt as encoding/json writes it. Times are UTC, to the second. A file is the JWS
// in compact form, or the JSON of a [File].
//
// # Errors
//
// *[Invalid] from Verify. [ErrKeys] wraps what is wrong with a set of keys.
//
// # Concurrency
//
// There is no state.
//
// # What it does not do
//
// It does not show that what the receipt says is true: it shows that the deployment
// which holds the key has said so. Whether its checkpoints are those of the log is
// to be compared with the log, or with what a witness of it kept. It does not say when
// it was signed but by the signer's clock.
//
// # Sources
//
// RFC 7515 (JWS), RFC 8037 (EdDSA in JOSE), RFC 7638 (thumbprints), RFC 8725
// (explicit types, one algorithm); GDPR articles 17, 18 and 19; docs/receipt.md.
package receipt
