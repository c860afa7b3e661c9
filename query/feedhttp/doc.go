// Package feedhttp offers the revocation feed to verifiers that speak HTTP and
// no NATS: deltas as server-sent events, snapshots and feed keys.
//
// # What it is
//
// A [Server] is given every delta by the feed that the API follows for itself,
// and passes it on to those who listen. What is further back it reads from where
// the feed is stored. Messages, snapshots and pages of keys travel as the
// projector signed them: who receives them checks them as a verifier on NATS
// does, and need not trust what is between. docs/feed.md is the format.
//
// # Guarantees
//
//   - A stream that names a position goes on with the delta behind it, and
//     leaves none out; where that is not to be had, or the position is of
//     another feed, it says reset and ends.
//   - A position names no log. Where the log was made anew and the feed stayed,
//     streams end, and one that comes back with its position is sent the first
//     delta of the new log: its PrevSum is zero, and its epoch another.
//   - Heartbeats are the feed's own, signed: a stream over which nothing comes
//     makes nobody believe that nothing was revoked.
//   - A stream that does not take what it is sent within WriteWait is cut, and
//     so is one that falls behind what is kept: it may come back with its
//     position. Others do not wait for it.
//   - Memory is bounded: what is kept is shared by all streams, whatever their
//     number, each of which takes at most 48 KiB with its connection (28 KiB
//     measured, of 1,000), and those that read what is stored wait for each other, each of
//     them for six times WriteWait at most. Of
//     snapshots at most two are held.
//   - A stream ends with the access token that it was opened with.
//   - Close ends every stream.
//   - Keys are those of the tenants that were asked for and of no other, whatever
//     the projector answers.
//   - A snapshot is answered with a strong ETag of all its bytes, and a body that
//     is cut short is not one of the announced length.
//
// # Shapes and units
//
// A position is "<feed>-<seq>": the Feed and Seq of a revocation.Head in
// decimal. An event is of type delta, heartbeat or reset; its data is one line
// of JSON, [Delta] or [Reset].
//
// # Errors
//
// [ErrPosition] where Last-Event-ID is no position; [ErrBusy] where there are too
// many streams; anything else means that the feed cannot be read now.
//
// # Concurrency
//
// A Server may be used from any goroutine, but for Pass, which one goroutine
// calls.
//
// # What it does not do
//
// It authenticates nobody and knows no routes: that is package query. It hides
// no tenant's hashes from another tenant's verifier: the feed is one chain, and a
// part of it could not be checked for gaps. What they are of is not to be told
// without the tenant's keys.
//
// # Sources
//
// WHATWG HTML, section 9.2 (server-sent events); RFC 9110 sections 8.8.3 and
// 13.1.2 (ETag, If-None-Match).
package feedhttp
