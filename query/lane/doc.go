// Package lane follows the control lane of the logs for the API.
//
// # What it is
//
// A [Follower] reads every control record from the first one on, hands each to
// the projections that were registered with [Follower.Handle], and tells those
// who wait for one record when it is there: how a caller of the API reads what
// it has just written.
//
// # Guarantees
//
//   - Every handler sees every control record once, in the order of the log of
//     its shard, for as long as the process lives; a reader that fails is opened
//     again behind the last record that was handled. A tenant's records are all
//     in one shard; between shards there is no order.
//   - [Follower.Wait] returns after every handler has seen the record, and
//     [Follower.Sync] after they have seen all that was on every log.
//   - [Follower.Record] reads what a handler was given, byte for byte as it was
//     logged, from the place that the handler was told.
//   - Memory is bounded by [Config.Recent] and by those who wait.
//
// # Shapes and units
//
// An [Entry] is a record with its shard, its index in the log of it, the
// sealed part that travels beside it, and where its batch stands.
//
// # Errors
//
// A log that cannot be read is tried again with back-off, for ever. A batch
// that cannot be decoded or is another shard's, and a log that was replaced,
// stop [Follower.Run] with an error: going on would show a past that is not what
// happened.
//
// # Concurrency
//
// Handlers are called by Run, one record after the other: never two at once.
// Wait and Position may be called from any goroutine.
//
// # What it does not do
//
// It keeps no position: a process that starts reads the lane again, which is
// as long as there were revocations and requests, not as there were tokens.
//
// # Sources
//
// DESIGN, "How an event travels".
package lane
