// Package feed keeps a revocation set current from NATS, and knows how far to
// trust it.
//
// # What it is
//
// A [Feed] listens to live deltas, fetches a signed snapshot and what was
// stored since, and follows. [Feed.Decide] answers from memory.
//
// # Guarantees
//
//   - A decision is active only where the view is complete: every delta up to
//     the last one applied was applied, each named the one before it, all were
//     signed, and the last was signed within StaleAfter of now.
//   - A gap, another history, a step back, and a message that is not signed end
//     that at once, and are mended without help. What the old view revokes
//     stays revoked meanwhile.
//   - A token that the view revokes is revoked however old the view is.
//   - Being connected is not being fresh: age counts from when the last delta
//     was signed and received, and grows while nothing arrives.
//   - The position is one that decisions are made at: it does not move before
//     the keys that read the entries up to it were asked for and answered. That
//     of a decision is in the shard of the token's tenant.
//   - Listeners are told of every entry that was applied when decisions see it,
//     and of a new view and new keys.
//   - It needs no more than a verifier's credentials: core subscriptions,
//     direct gets and one request. It creates nothing on the server.
//   - With Dir, a start without the server refuses what the last saved snapshot
//     revokes; everything else is unknown until the server is back.
//
// # Shapes and units
//
// See package revocation. Dir holds snapshot (signed, as fetched) and keys
// (signed, as answered), mode 0600: whoever reads both can test a guessed
// identifier. Both are checked on reading and ignored where they are not valid.
//
// # Errors
//
// Run retries everything that may pass. It returns an error where the
// configuration is wrong or the connection is closed for good.
//
// # Concurrency
//
// Run may be called once. Everything else may be called from any goroutine, and
// Decide takes no lock but the set's read lock.
//
// # What it does not do
//
// It does not validate tokens and knows no policy: that is revocation/guard.
// It trusts the clocks of projector and verifier to be within ClockSkew: by so
// much a held-back feed can look younger than it is. The saved snapshot is as
// old as SaveEvery, not as the last delta.
//
// # Sources
//
// NATS ADR-28 (RePublish), ADR-31 (direct get), ADR-20 (object store).
package feed
