// Package natsd runs a NATS server inside the process, with JetStream and with
// credentials for each role.
//
// # What it is
//
// [Start] starts the server. It makes the keys of a deployment on first start
// and finds them again after: an operator, three accounts, and for each [Role]
// a scoped signing key of its account and one user, whose credentials file is
// at [Server.CredsFile]. [Permissions] says what each role may do; [Deploy]
// writes the same accounts for a server that runs by itself.
//
// There are three accounts because permissions do not reach answers: the server
// sends an acknowledgement, or what its API answers, to whatever reply subject a
// client named, and does not check that the client may publish there. In one
// account an issuer can have an acknowledgement written into the log, and a
// verifier can have the keyring deleted. So streams, and the roles operator,
// projector and api, are in the account "rescind"; issuers and verifiers have
// an account each, which imports the subjects that their role may publish and,
// for verifiers, live revocations. What crosses is answered on a subject that
// the server made, and the answer comes back into the account of whoever asked.
//
// # Guarantees
//
//   - A role can publish and subscribe to what [Permissions] lists and to
//     nothing else. In particular neither issuers nor verifiers can make a
//     consumer, read an event, or publish what revokes or erases in our name;
//     nobody but the projector can write the log and the revocation feed.
//   - Whatever reply subject an issuer or a verifier names, the answer reaches no
//     stream, acknowledges nothing, is no request of JetStream's and is sent to
//     nobody who follows the feed.
//   - An issuer sees no answer that is for a verifier, or for a role of the core,
//     and the reverse.
//   - A verifier may say how far it is, and only the API hears it: no verifier
//     hears another.
//   - Clients without credentials, or with those of another deployment, are
//     refused.
//   - Who connects finds an account whole, however many connect first.
//   - Credentials carry no permissions: a change of a role reaches those that
//     were handed out, at the next start. Credentials of an account that the role
//     is no longer in are made anew then.
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
// signed for that reason. The same holds for its replies: the roles of the
// account "rescind" are trusted not to name a stream's subject.
//
// Verifiers have one role: each may register under any id.
//
// Clients of one account are not kept from each other's answers: issuers see
// each other's acknowledgements, and verifiers each other's feed keys.
//
// # Sources
//
// NATS documentation on JWT authentication and scoped signing keys; the
// JetStream API's subjects, service imports and their responses as nats-server
// 2.15 has them. docs/adr/0007-three-nats-accounts.md.
package natsd
