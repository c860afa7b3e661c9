// Package verifiers knows who follows the revocation feed, how far each is, and
// so where a revocation is enforced.
//
// # What it is
//
// A [Registry] hears the receipts of every verifier and reads, when it starts,
// who is registered. [Registry.Enforced] says how many of them apply what was
// revoked at a place of the log; [Registry.Wait] waits until all that are there do.
//
// # Guarantees
//
//   - A verifier counts as having applied a revocation only where it said, in the
//     log that we read, that it decides at that position or behind it.
//   - One that was killed stays registered and is named as silent, for
//     stream.VerifiersKept; one that stops in order is gone at once; one that
//     comes back under its id is the same one.
//   - It keeps no state of its own: two registries, and one that was started
//     anew, know the same verifiers. What only memory holds is when a verifier
//     was first seen to apply something.
//   - Wait is done where nobody is registered, and else when at least one
//     verifier is fresh and every fresh one has applied the revocation. Silence
//     alone never makes it done.
//   - A receipt that is larger than stream.MaxReceiptBytes, is not one, or names
//     another verifier than its subject is dropped and counted.
//   - A position, or a log, that our own view of the feed does not have counts
//     for nothing until it does; after a second the verifier is named as
//     unconfirmed.
//   - While two processes that speak under one id may both be alive, the verifier
//     is named as contested and has applied nothing: nobody can silently speak
//     for a verifier that is alive. So is one that was killed and is back within
//     FreshFor, until that is over.
//   - No clock of a verifier is used, but to show how far it is off.
//   - Memory is bounded: by MaxVerifiers, and by two million first-seen times
//     together, at most 64 MiB. At its bound the registry forgets who was silent
//     longest for somebody new; where all are fresh, the new one is dropped and
//     counted.
//
// # Shapes and units
//
// A position is the index of a record in the log of its shard. The lag of a
// verifier is from when the intake received the revocation, by the intake's
// clock, to when the first receipt of it having been applied arrived here, by
// ours: it holds the way of the receipt and up to 10 ms for which the verifier
// holds it back, so it is an upper bound where these two clocks agree, and wrong
// by what they differ. It is not known of what a verifier had applied before
// this registry first heard it, or behind the last 10,000 positions that it was
// seen at (fewer above 200 verifiers: two million by their number, and by that
// of the shards). Measured on one of two shared cores: 5 µs of processor time a
// receipt, so half a percent of a core for a thousand idle verifiers; 39 MiB for
// a thousand that have each moved three thousand times.
//
// # Errors
//
// Run retries everything that may pass, and returns an error only where the
// configuration is wrong or the connection is closed for good.
//
// # Concurrency
//
// Run may be called once. Everything else may be called from any goroutine.
//
// # What it does not do
//
// It does not know whether a verifier does what it says. A receipt is a claim
// under credentials that verifiers share: whoever has them can register
// verifiers that never apply anything, so that waiting ends at its deadline; make
// a verifier that is alive contested; and claim positions of the log, or take
// leave, for a verifier that is gone or was never there. None of that delays or undoes a
// revocation. Credentials that permit one id each prevent the last three; leaks
// of revoked tokens show in the audit trail whatever a verifier claims.
//
// # Sources
//
// RFC 7240 section 4.3 (wait) is what it is for.
package verifiers
