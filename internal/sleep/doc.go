// Package sleep waits, and wakes at once when a context ends.
//
// # What it is
//
// What a loop calls between its turns, or before it tries again.
//
// # Guarantees
//
//   - Nothing is left behind: no timer, no goroutine.
//   - Of many that back off, not all come back in the same moment.
//
// # Shapes and units
//
// Failures count from 0.
//
// # Errors
//
// The context's, where it ended first.
//
// # Concurrency
//
// Any goroutine may call anything.
//
// # What it does not do
//
// It does not try again: whoever calls it does.
//
// # Sources
//
// None.
package sleep
