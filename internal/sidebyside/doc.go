// Package sidebyside times functions on a machine that has other things to do.
//
// # What it is
//
// [Time] runs functions in turns, a short while each, and says how long one
// call took in the run that was disturbed least, and in the middle one. [CPU]
// is how much processor time something took, whoever else wanted it.
//
// # Guarantees
//
//   - Each function is run as often as the others, in turns, so that what slows
//     the machine down slows all of them down.
//
// # Shapes and units
//
// Nanoseconds for a call. The overhead of a call through a variable, some 2 ns,
// is in all of them.
//
// # Errors
//
// None.
//
// # Concurrency
//
// The functions are called from one goroutine. CPU is of the whole process.
//
// # What it does not do
//
// It does not say what a run would take on an idle machine: memory and caches
// are shared with whatever else runs.
//
// # Sources
//
// getrusage(2).
package sidebyside
