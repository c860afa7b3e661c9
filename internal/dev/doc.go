// Package dev runs the whole of Rescind in one folder: an embedded NATS, an
// embedded ClickHouse, generated keys, and every role in this process.
//
// # What it is
//
// [Start] brings a [Stack] up and writes DIR/dev.json when it is ready; [Run]
// does so until its context ends. `rescind dev`, `rescind demo`, the
// benchmarks and the end-to-end tests all run this.
//
// # Guarantees
//
//   - dev.json is written last, when everything in it answers, and removed
//     first.
//   - A folder that was stopped, or killed, is found again whole: keys,
//     events, records, requests.
//   - A copy of the folder that is put back brings back nobody who was erased since:
//     the erasure ledger is beside it.
//   - A folder keeps the number of shards that it was made with.
//   - Only one stack runs in a folder; the second one says so.
//   - Everything listens on loopback only.
//
// # Shapes and units
//
// [File] is dev.json.
//
// # Errors
//
// A start that fails stops what it had started.
//
// # Concurrency
//
// A Stack may be used from any goroutine.
//
// # What it does not do
//
// It is not for production: one disk, plaintext on loopback, keys in files.
//
// # Sources
//
// DESIGN, "Names others depend on".
package dev
