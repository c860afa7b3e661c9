// Package envelope encrypts what publishers send to the intake, and opens it
// there. It is pure: whoever calls it has the keys.
//
// # What it is
//
// A message is a JWE in compact form (RFC 7516) with alg ECDH-ES on P-256 and
// enc A256GCM: one key agreement with a key of the intake, whose public half is
// published in a [Set]. [Seal] makes one, [Parse] and [Message.Open] read it.
// What is inside is whatever could have been sent in clear; cty says what.
//
// # Guarantees
//
//   - What Seal wrote opens with the private half of the key, to the same bytes
//     and content type, and with no other. Any implementation of RFC 7516 reads
//     it, and Parse and Open read what any other writes, apu and apv included.
//   - Not one bit of a message can be changed, cut off or added, its header
//     included, without Open refusing it.
//   - Two messages with the same contents have nothing in common but lengths,
//     header and key.
//   - Nothing else is opened: not another alg or enc, none, a key in the
//     message, a password, a signature, zip, crit, or any other member of the
//     header; no epk that is off the curve or of another one; no message inside a
//     message.
//   - Hostile input costs what its bytes cost: nothing is decoded before size and
//     header are known to be within bounds, and what is inside is never larger
//     than the message.
//   - No private key prints itself, no error repeats anything of a message.
//   - A public key that does not fit its thumbprint, or is no point of the curve,
//     is refused where a set is read.
//
// # Shapes and units
//
// Contents have up to [MaxPlain] bytes; a message takes a third more and up to
// [Overhead]. Times are whole seconds. A key's id is its thumbprint (RFC 7638,
// SHA-256). A set is JSON: {"keys":[…],"now":…}, each key with kty, crv, x, y,
// kid, use, alg, nbf and exp.
//
// # Errors
//
// Whatever is wrong with a message is a [Refused], and says why for people.
//
// # Concurrency
//
// Keys, sets and messages do not change; all may be used from any goroutine.
//
// # What it does not do
//
// It does not say who sent a message: anybody may encrypt to a public key. It
// hides neither how long a message is nor when and on which subject it was
// sent. It does not keep keys, make them in time or destroy them: events/seal
// and projector/intakekey do. A message is as forgettable as the private half
// of its key.
//
// # Sources
//
// RFC 7516 (JWE), RFC 7518 sections 4.6 and 5.3 (ECDH-ES, A256GCM), RFC 7517
// (JWK), RFC 7638 (thumbprint), RFC 8725 sections 3.1 to 3.6; OpenID Federation
// 1.0 (nbf and exp of a JWK). CVE-2024-28180 (zip) and CVE-2025-27144 (dots) are
// what the bounds before parsing are for.
package envelope
