// Package heap has the garbage collector use the memory that there is, so that
// it runs less often.
//
// # What it is
//
// [Keep] looks at what was alive after the last collection and sets the
// collector's percentage so that the next one begins when the heap reaches a
// goal: [Goal] in a deployment. A process that needs little is collected every
// 400 % instead of every 100 %; one that needs much, every 25 %, and stays within
// what it may have.
//
// # Guarantees
//
//   - Where GOGC or GOMEMLIMIT is set, nothing is changed: whoever set it knows
//     better.
//   - However much is alive, the heap may grow by a quarter between two collections:
//     the collector never takes the processor for itself, as it would near a
//     limit that is too low.
//   - What was set before is set again by stop.
//
// # Shapes and units
//
// Bytes of heap, as runtime/metrics has them. The process takes about 110 MiB
// more: stacks, the runtime and what the last collection has not returned.
//
// # Concurrency
//
// It is a setting of the whole process: Keep is called once at a time.
//
// # What it does not do
//
// It is no limit. What a role holds is bounded by the role.
//
// # Sources
//
// A Guide to the Go Garbage Collector; runtime/debug.SetGCPercent. A memory
// limit (debug.SetMemoryLimit) was not taken: above it the collector runs all
// the time, and what is alive depends on how many people and ids there are.
package heap
