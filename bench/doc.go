// Package bench measures Rescind against floors on the same machine in the
// same run: what `rescind bench` prints.
//
// # What it is
//
// [Ingest] and [Revoke] run a real stack in a temporary folder, measure it, and
// measure beside it the least that the same bytes could cost: a bare JetStream
// publish and consume, a bare insert of the same columns, a bare RePublish hop.
//
// # Guarantees
//
//   - Figure and floor come from the same run, alternating, on the same
//     servers.
//   - Every rate counts only what was read back afterwards.
//
// # Shapes and units
//
// A [Result] has a median, the least and the greatest of n runs (for
// latencies: of n operations), and the ratio to its floor. For a rate the
// ratio is value/floor: 1 is as fast as the floor. For a time too: 1 is as
// fast, 2 takes twice as long.
//
// # Errors
//
// A run that loses an event is an error, not a slow figure.
//
// # Concurrency
//
// One benchmark at a time: they would measure each other.
//
// # What it does not do
//
// It sets no targets, and it is no capacity test: machines differ, so compare
// ratios.
//
// # Sources
//
// docs/benchmarks.md.
package bench
