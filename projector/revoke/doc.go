// Package revoke turns the control lane of the log into the revocation feed
// that verifiers follow.
//
// # What it is
//
// A [Revoker] reads the log, publishes what was revoked and lifted as signed
// deltas into the stream of revocations, keeps signed snapshots in the object
// store, and answers verifiers who ask for feed keys.
//
// # Guarantees
//
//   - Every revocation and lift of the log is in a delta, or in every snapshot
//     from the first one on, in the order of the log, whatever is killed,
//     repeated or lost. It keeps no state of its own: where it stands is in the
//     last delta, and everything else is in the log.
//   - Several logs make one feed. Positions and order are per shard, and a batch
//     of a log that is not configured, or of another shard, is never passed over
//     in silence: Run refuses another number of shards than the streams have.
//   - A delta names the one before it. It is published only where nothing was
//     stored since that one, so that two writers never interleave: the one that
//     comes late stands by, and takes over when the other falls silent.
//   - What a delta of at most revocation.MaxAnnounced entries revokes is
//     announced while it is being stored: verifiers refuse it before the chain
//     has it. It is in the log by then, so it is true whatever becomes of the
//     delta, the writer or its term. Lifts are not announced. An announcement
//     that fails delays no delta.
//   - A delta is published each heartbeat, with or without entries.
//   - A message in the stream that is not a delta of ours is passed over: the
//     chain names the delta before it, or a snapshot where that is too far back.
//   - The feed can be rebuilt from the log alone: a snapshot that is missing,
//     changed or of another log is not needed.
//   - Once it is the writer, a slow or failing object store or keyring delays
//     no delta.
//
// # Shapes and units
//
// revocation.Delta, Announcement, Snapshot and KeysReply. A position is the index of a record
// in the log of its shard. A record that ought to revoke but does not say what is counted in
// Stats.Defects and logged: it cannot be enforced.
//
// # Errors
//
// Run retries everything that may pass. It returns an error where the
// configuration is wrong, the connection is closed for good, a batch of the log
// cannot be read, or the log was rolled back behind what verifiers were told, or
// replaced (stream.ErrLogReplaced): a new log does not revoke what the old one
// did, so that nobody may go on with it unasked.
//
// # Concurrency
//
// Run may be called once. Stats may be called from any goroutine.
//
// # What it does not do
//
// It does not decide whether somebody may revoke, and it does not compute
// hashes or expiries: the intake does.
//
// # Sources
//
// NATS ADR-28 (RePublish) and the expected-last-sequence header of JetStream.
package revoke
