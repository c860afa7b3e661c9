// Package rootvault keeps the root's keys of the keyring in the transit engine
// of HashiCorp Vault or OpenBao, one transit key each.
//
// # What it is
//
// [Vault] is a [seal.Root] over the engine's HTTP API.
//
// # Guarantees
//
//   - Vault keeps the contract of seal.Root.
//   - A key is gone only where the engine says that there is no such key (404, and
//     an empty list of errors): a refusal, a sealed server, a missing mount, an
//     answer of something that stands before the server, or none, is an error.
//   - The token is read anew for each request, so that whoever renews it need
//     tell nobody, and is in no error.
//
// # Shapes and units
//
// A key is named rescind- and 32 random hex digits, of type aes256-gcm96, not
// exportable. The token's policy needs, under the mount: create and update on
// keys/rescind-*, encrypt/rescind-*, decrypt/rescind-* and
// keys/rescind-*/config; read and delete on keys/rescind-*.
//
// # Errors
//
// As seal.Root says.
//
// # Concurrency
//
// A Vault may be used from any goroutine, and several of one mount are one root.
//
// # What it does not do
//
// Vault deletes a key from its storage at once. Backups and snapshots of that
// storage keep it: they must not outlive keys.keep.
// It was run against an imitation of the API, made from its documentation, and
// not against a real server.
//
// # Sources
//
// Vault's API documentation of the transit secrets engine.
package rootvault
