// Package natsd runs a NATS server inside the process, with JetStream and with
// credentials for each role.
//
// # What it is
//
// [Start] starts the server. It makes the keys of a deployment on first start
// and finds them again after: an operator, an account, and for each [Role] a
// scoped signing key and one user, whose credentials file is at
// [Server.CredsFile]. [Permissions] says what each role may do; deployments
// with servers of their own generate their accounts from it.
//
// # Guarantees
//
//   - A role can publish and subscribe to what [Permissions] lists and to
//     nothing else. In particular neither issuers nor verifiers can make a
//     consumer, read an event, or publish what revokes or erases in our name;
//     nobody but the projector can write the log and the revocation feed.
//   - Clients without credentials, or with those of another deployment, are
//     refused.
//   - Credentials carry no permissions: a change of a role reaches those that
//     were handed out, at the next start.
//   - What JetStream acknowledges is synced to the disk first, unless SyncEvery
//     says otherwise.
//   - Keys and credentials have mode 0600; a key that others can read stops the
//     start, and a start that is killed leaves no half key.
//
// # Shapes and units
//
// Dir/nats holds *.nk (seeds), <role>.creds, and data/ with the streams.
// Messages may have up to [MaxPayload] bytes.
//
// # Errors
//
// [Config.Validate] reports all faults at once. No error repeats a key.
//
// # Concurrency
//
// A Server may be used from any goroutine. Shutdown waits for the server's own.
//
// # What it does not do
//
// It does not cluster, listen with TLS, or issue credentials beyond one user a
// role: that is for a server that runs by itself. It creates no streams: that
// is events/stream. A role that may consume a stream may have it delivered to
// any subject, as the server does not check where to: what verifiers act on is
// signed for that reason.
//
// # Sources
//
// NATS documentation on JWT authentication and scoped signing keys; the
// JetStream API's subjects as nats-server 2.15 has them.
package natsd
