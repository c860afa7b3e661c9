// Package workload makes realistic token events for benchmarks and tests:
// about 400 bytes each with personal data, subjects drawn by Zipf's law, every
// event of a seed the same in every run.
//
// # What it is
//
// A [Generator] yields issued, refreshed, verified and rejected events in the
// proportions of a busy issuer: most are verifications.
//
// # Guarantees
//
//   - The same [Config] yields the same events, ids included, so that a run
//     can be repeated with the same ids.
//   - Every event passes events.Policy.Validate.
//
// # Shapes and units
//
// Times step by one millisecond from Config.Start.
//
// # Errors
//
// None.
//
// # Concurrency
//
// A Generator belongs to one goroutine; give each its own Config.Seed.
//
// # What it does not do
//
// It signs no tokens: the events are what an issuer would say of them.
//
// # Sources
//
// RFC 9068 (claims of an access token).
package workload
