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
//   - The snapshot before the newest stays until the next is stored, for whoever
//     is still reading it. A revoker that stood still while it stored one replaces
//     none that was stored meanwhile.
//   - Once it is the writer, a slow or failing object store or keyring delays
//     no delta.
//   - An entry leaves when it has expired by the last delta's time, and a delta
//     says no later time than our clock's, nor than the NATS server's and
//     ClockSkew. So one clock that is ahead, at work, at a start or where one that
//     stood by takes over, has nothing leave early. That the two differ is said
//     in Stats and in the log, and revoking goes on.
//   - Where the time goes back by more than ClockSkew, what had left too early
//     comes back: into the set and the snapshot from the log, and to verifiers by
//     deltas that tell it again.
//
// # Shapes and units
//
// revocation.Delta, Announcement, Snapshot and KeysReply. A position is the
// index of a record in the log of its shard. A record that ought to revoke but
// does not say what is counted in Stats.Defects and logged: it cannot be
// enforced. A snapshot takes about 18.5 bytes a revocation. Two are kept, and there
// are three while one is being stored: 10 million revocations take up to 560 MB of
// the object store.
//
// Which clock is trusted with what: the earlier of ours and the NATS server's
// with when entries leave and heads are signed; the intake's, and the
// publisher's where that is later, with when an entry is to expire; a verifier's
// with what has effect now, but with dropping only as far as a head says so, and
// with how old a head is, ahead or behind, within its own skew. Our steady clock
// counts between two answers of the server.
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
// hashes or expiries: the intake does. While our clock and the server's are both
// ahead, as where they are one machine's, nothing tells and entries leave; who
// does not have that clock takes what is signed for old meanwhile, and calls
// nothing active. A clock of ours that is behind makes heads look old as well. The
// earlier time is taken for the right one: a clock that goes back wrongly costs
// one reading of the log.
//
// # Sources
//
// NATS ADR-28 (RePublish) and the expected-last-sequence header of JetStream.
package revoke
