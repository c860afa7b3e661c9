// Package rootgcp keeps the root's keys of the keyring in Google Cloud KMS:
// versions of one crypto key.
//
// # What it is
//
// [KMS] is a [seal.Root] over the REST API of Cloud KMS.
//
// # Guarantees
//
//   - KMS keeps the contract of seal.Root.
//   - A version is gone only where Cloud KMS says that it is destroyed or
//     scheduled to be, or that the crypto key is there and has no such version:
//     a refusal, a disabled version or no answer is an error.
//   - What is sent and answered is checked by its CRC32C, as Google asks for.
//
// # Shapes and units
//
// The crypto key has the purpose ENCRYPT_DECRYPT, is made by the operator, and
// is of this root alone; each epoch has a version of it. A key is named by the
// resource name of the version, which is also the authenticated data of what it
// wraps. A version is kept for the crypto key's destroyScheduledDuration after
// it was scheduled to be destroyed, and decrypts nothing meanwhile: set that to
// a day, the shortest, when the crypto key is made. The credentials need cloudkms.cryptoKeys.get,
// cloudkms.cryptoKeyVersions.create, get, destroy, useToEncrypt and
// useToDecrypt. Nobody should have cloudkms.cryptoKeyVersions.restore on it.
//
// # Errors
//
// As seal.Root says.
//
// # Concurrency
//
// A KMS may be used from any goroutine, and several of one crypto key are one
// root.
//
// # What it does not do
//
// It was run against an imitation of the API, made from its documentation, and
// not against Google Cloud.
//
// # Sources
//
// Cloud KMS REST reference v1: cryptoKeys, cryptoKeyVersions; "Verifying
// end-to-end data integrity".
package rootgcp
