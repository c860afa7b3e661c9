// Package feedkey turns the keys that revocations are hashed under: it makes a
// tenant's next one when that is due, and destroys each when nothing that was made
// with it lives any more.
//
// # What it is
//
// Every process that runs intakes runs a [Keeper]; one at a time, which holds a lock,
// does what is due. The keys are in the keyring. What was made with which of them, and
// until when it lives, is read from the control lanes of the logs. Time is the earlier
// of the NATS server's and the process's own.
//
// # Guarantees
//
//   - A generation is made Config.Period after the one before it, of a tenant that has
//     revoked under that one, and not before: a tenant that does not revoke costs
//     nothing.
//   - It is used seal.FeedKeyAhead later: every intake and every verifier that is
//     connected has read it long before.
//   - A generation is destroyed only once the next one has been in use for Linger, no
//     message is in the intake that was stored before that, and every revocation that
//     the logs have of it has expired Linger ago. What waits in the intake, in hand or
//     held or delivered again, is in the log before the logs are read. What a log said
//     counts after it was restored from an older copy, which is read anew.
//   - It is destroyed then, without anybody's doing, and its bytes are overwritten: no
//     hash in the log that was made with it can be compared with a guess.
//   - A lift keeps no generation.
//   - [Status.Lost] counts keys that are not there, and that verifiers need: one that
//     does not rotate until what it made has expired or is lifted, another one until
//     it has expired, lifted or not.
//   - One that is back, with a restored keyring, is destroyed again in the first turn in
//     which what is written above is true.
//   - A keeper that is killed at any point leaves nothing half. Several at once do no
//     harm.
//
// # Shapes and units
//
// A turn reads what the logs have since the one before it, and the names and ages of
// all feed keys; the first reads the control lanes from their beginning. It keeps a
// time for each generation that the logs speak of, and for each revocation under one
// that does not rotate until it is lifted or expires.
//
// # Errors
//
// [Keeper.Run] returns nil when its context ends. What fails is logged, counted, and
// tried again after Config.Every.
//
// # Concurrency
//
// Run is called once. [Keeper.Status] may be called from any goroutine.
//
// # What it does not do
//
// It does not hash: the intake does, under the generation that is in use. It does not
// reach copies: a verifier forgets a key with the next answer it gets, and a copy of
// the keyring opens until its epoch is destroyed. It turns no key early, and never that
// of revocations without an end (seal.Tenant.FeedKeyFor).
//
// # Sources
//
// docs/adr/0028; NIST SP 800-57 part 1, 5.3 (cryptoperiods); package intakekey.
package feedkey
