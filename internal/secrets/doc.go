// Package secrets makes the keys that a deployment starts with, once, and
// finds them again.
//
// # What it is
//
// A folder with the folder of the keyring's root, the key that signs the feed, the key
// that signs the API's access tokens and its public JWKS.
//
// # Guarantees
//
//   - An existing key is never overwritten: [Init] fills in what is missing.
//   - A key file is written whole or not at all, mode 0600, in a folder 0700.
//
// # Shapes and units
//
// root: a folder, 0700, made empty; see rootdir. feed.pem: Ed25519, PKCS #8. api.pem: ECDSA P-256,
// PKCS #8. jwks.json: RFC 7517. clickhouse/USER: 26 characters, 128 bits.
//
// # Errors
//
// A file that cannot be read as the key it should be is an error that names
// it; nothing is replaced.
//
// # Concurrency
//
// Two processes that call Init on one folder at once end with the same keys.
//
// # What it does not do
//
// It does not rotate, and it is no KMS: with a KMS or a secret store, keep the
// keys there and refer to them in the configuration.
//
// # Sources
//
// RFC 5958 (PKCS #8), RFC 7517 and RFC 7638 (JWKS, thumbprint).
package secrets
