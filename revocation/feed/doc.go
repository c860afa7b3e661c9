// Package feed keeps a revocation set current from NATS, and knows how far to
// trust it.
//
// # What it is
//
// A [Feed] listens to live deltas, fetches a signed snapshot and what was
// stored since, and follows. [Feed.Decide] answers from memory. With a Name it
// sends receipts: how far it is, for whoever asks where a revocation is
// enforced. [Feed.Check] and [Feed.ReadyHandler] are for the application's own
// readiness.
//
// # Guarantees
//
//   - A decision is active only where the view is complete: every delta up to
//     the last one applied was applied, each named the one before it, all were
//     signed, and the last was signed within StaleAfter of now.
//   - A gap, another history, a step back, and a message that is not signed end
//     that at once, and are mended without help. What the old view revokes
//     stays revoked meanwhile. By case, with the test of it on a real server:
//     a message is lost (TestDroppedDeltasAreFetched, TestGapVouchesForNothing);
//     the connection is cut (TestCutConnectionIsAGapUntilItIsMended) or held
//     (TestHeldConnectionIsStale); the server restarts (TestServerRestart); our
//     buffer overflows (TestSlowConsumerIsAGapAndMended); the stream is created
//     again (TestStreamCreatedAgain), or purged (TestDeltasPurgedBehindAVerifier);
//     the log is another (TestLogCreatedAgain); the sequence steps back or forks
//     (TestStepBackIsNoticed), as where a backup is restored
//     (TestServerRestoredFromABackup); a delta is forged, live
//     (TestUnsignedLiveDeltaIsNotApplied) or stored
//     (TestUnsignedStoredDeltaIsPassedOver), late or again
//     (TestOldDeltasDoNotCountAsHeard, TestDuplicatesAndOldDeltasChangeNothing);
//     the snapshot is damaged (TestCorruptSnapshotIsNotLoaded), unsigned, or
//     something else (TestBadSnapshotsAreNotLoaded).
//   - A token that the view revokes is revoked however old the view is.
//   - A clock of ours that was ahead for a while has dropped nothing that has not
//     expired by the signer's.
//   - What is announced is refused at once, and that is all: an announcement
//     moves no position, makes no view younger, ends no doubt and is no gap.
//     One that is not signed, of another history, or of what the view was told
//     of already changes nothing.
//   - Being connected is not being fresh: age counts from when the last delta
//     was signed and received, and grows while nothing arrives. One that was
//     signed ahead of our time counts as one that is as old: its age cannot be
//     told.
//   - The position is one that decisions are made at: it does not move before
//     the keys that read the entries up to it were asked for and answered. That
//     of a decision is in the shard of the token's tenant.
//   - Listeners are told of every entry that was applied when decisions see it,
//     announced or stored, and of a new view, the first one and a saved one among
//     them, and new keys.
//   - It needs no more than a verifier's credentials: core subscriptions,
//     direct gets and one request. It creates nothing on the server.
//   - With Dir, a start without the server refuses what the last saved snapshot
//     revokes; everything else is unknown, and stale, until the server is back.
//     Without Dir everything is unknown, and cold.
//   - A receipt names a position only when decisions are made at it. One is sent
//     when that moves, at most every 10 ms, and each second in any case; on
//     leaving, before Run returns. Nothing of the feed waits for it, and none is
//     sent later than it was true.
//   - Check is nil, and ReadyHandler answers 200, exactly while the view vouches
//     for what it does not revoke.
//
// # Shapes and units
//
// See package revocation. Dir holds snapshot (signed, as fetched), keys
// (signed, as answered) and verifier (its id), mode 0600: whoever reads the
// first two can test a guessed identifier. All are checked on reading and
// ignored where they are not valid.
//
// A receipt is a revocation.Receipt in JSON, on stream.LiveVerifier and, at the
// start, once a minute and on leaving, on stream.VerifierSubject.
//
// # Errors
//
// Run retries everything that may pass. It returns an error where the
// configuration is wrong or the connection is closed for good.
//
// # Concurrency
//
// Run may be called once. Everything else may be called from any goroutine, and
// Decide takes no lock.
//
// # What it does not do
//
// It does not validate tokens and knows no policy: that is revocation/guard.
// What was announced and is not stored is forgotten by a resync, until the
// delta comes. It trusts the clocks of projector and verifier to be within
// ClockSkew: by so much a held-back feed can look younger than it is; further
// apart nothing is active, and what is revoked is revoked. The saved snapshot is
// as old as SaveEvery, not as the last delta. A snapshot that takes longer to fetch
// than the time in which two others are stored, two minutes where something changes
// all the time, cannot be loaded.
//
// # Sources
//
// NATS ADR-28 (RePublish), ADR-31 (direct get), ADR-20 (object store).
package feed
