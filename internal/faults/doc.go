// Package faults gathers what is wrong with a configuration, so that whoever
// corrects it reads all of it at once.
//
// # What it is
//
// A [List] is what a method Validate fills and returns. Its zero value is ready.
//
// # Guarantees
//
//   - Every fault is in the error, in the order in which it was found.
//   - Where nothing is wrong there is no error.
//   - The bounds of Between are within it.
//
// # Shapes and units
//
// Faults stand on lines of their own, as of errors.Join.
//
// # Errors
//
// A fault that was added as an error is wrapped.
//
// # Concurrency
//
// A List belongs to one goroutine.
//
// # What it does not do
//
// It changes no value and knows no defaults: they are filled in before.
//
// # Sources
//
// None.
package faults
