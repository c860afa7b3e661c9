// Package history decides about tokens as of the past, from the log.
//
// # What it is
//
// [History.Decide] reads the control lane of a tenant's shard from its first
// batch up to a [Moment], keeps what stands under the hashes that the claims
// have, and lets a revocation.Set decide at that moment.
//
// # Guarantees
//
//   - The answer is what a set would have decided that was given every entry of
//     the log up to the moment, and no other, with the time of the moment.
//   - It depends on the log and the feed keys alone: not on what this process
//     saw, nor on when it started.
//   - Where an entry of the tenant was made with a feed key that was destroyed
//     since (projector/feedkey), and had neither expired nor been lifted at the
//     moment, a token is never called active: it is unknown, for cause cold, or
//     revoked where another entry says so. Of more than 65,536 such entries the lifts
//     of the others are not seen.
//   - A position that the log has not reached is an error, not an answer.
//   - Memory is bounded by the entries that stand under the claims' own hashes and
//     65,536 others, and as many passes go on at once as Config.AtOnce says.
//
// # Shapes and units
//
// A moment is a position, the index of a record in the log of the tenant's
// shard, at the time when its batch was written; or a time, which stands for
// all batches before the first that was written later, by the intake's clock.
// Age is 0 in a decision of the past.
//
// # Errors
//
// [ErrFuture]; those of the log and of the keyring, any of which may pass.
//
// # Concurrency
//
// Decide may be called from any goroutine.
//
// # What it does not do
//
// It does not say what one verifier knew: that is in its position. It reads no
// snapshot: the one that is kept lacks what has expired since and does not say
// when something was lifted, so for a moment before it, it is not the set as it
// was, and after it the log is all the same needed.
//
// # Sources
//
// docs/adr/0016.
package history
